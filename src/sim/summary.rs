//! What is told at the end of a drive: on one screen, in the picture, and as JSON for scripts.

use std::fmt;

use serde::Serialize;

/// The outcome of a drive. What was not heard from the planner is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Seed of the drive.
    pub seed: u64,
    /// True if the goal was reached.
    pub reached: bool,
    /// Time until the robot came to the goal to stay, seconds; `None` if it did not.
    pub seconds: Option<f64>,
    /// Length of the whole drive, seconds.
    pub elapsed_s: f64,
    /// Length of the way driven, metres.
    pub way_m: f64,
    /// Actions received.
    pub actions: u64,
    /// Their rate as received here, hertz.
    pub received_rate_hz: Option<f64>,
    /// Their rate as the planner counts it, hertz.
    pub achieved_rate_hz: Option<f64>,
    /// Median planning time, milliseconds.
    pub planning_latency_ms_p50: Option<f64>,
    /// 99th percentile of the planning time, milliseconds.
    pub planning_latency_ms_p99: Option<f64>,
    /// Ticks at which no fresh plan was ready.
    pub deadline_misses: Option<f64>,
    /// Plans that left something out to be in time.
    pub plans_cut_short: Option<f64>,
}

impl Summary {
    /// Names and values, one line each.
    pub fn facts(&self) -> Vec<(String, String)> {
        let number = |value: Option<f64>, digits: usize, unit: &str| {
            value.map_or("not heard of".to_string(), |value| format!("{value:.digits$}{unit}"))
        };
        let time = match self.seconds {
            Some(seconds) => ("time to the goal", format!("{seconds:.2} s")),
            None => ("time driven", format!("{:.1} s", self.elapsed_s)),
        };
        let latency = match (self.planning_latency_ms_p50, self.planning_latency_ms_p99) {
            (Some(p50), Some(p99)) => format!("{p50:.1} / {p99:.1} ms"),
            _ => "not heard of".into(),
        };
        [
            time,
            ("way driven", format!("{:.1} m", self.way_m)),
            ("achieved rate", number(self.achieved_rate_hz, 2, " Hz")),
            ("rate as received", number(self.received_rate_hz, 2, " Hz")),
            ("planning p50 / p99", latency),
            ("deadline misses", number(self.deadline_misses, 0, "")),
            ("plans cut short", number(self.plans_cut_short, 0, "")),
            ("seed", self.seed.to_string()),
        ]
        .map(|(name, value)| (name.to_string(), value))
        .into()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", if self.reached { "goal reached" } else { "goal NOT reached" })?;
        for (name, value) in self.facts() {
            writeln!(f, "  {name:<20} {value:>18}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_known_and_what_is_not() {
        let summary = Summary {
            seed: 4,
            reached: true,
            seconds: Some(5.214),
            received_rate_hz: Some(19.997),
            deadline_misses: Some(0.0),
            ..Summary::default()
        };
        let text = summary.to_string();
        assert!(text.starts_with("goal reached\n"), "{text}");
        let line = |name: &str| text.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        assert!(line("time to the goal").ends_with("5.21 s"));
        assert!(line("rate as received").ends_with("20.00 Hz"));
        assert!(line("deadline misses").ends_with(" 0"));
        assert!(line("planning p50").ends_with("not heard of"));
        assert!(Summary::default().to_string().starts_with("goal NOT reached\n  time driven"));
    }
}
