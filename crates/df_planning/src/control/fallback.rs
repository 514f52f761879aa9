//! The fallback: the action where no plan may be followed. It leads from the last command to the safe action.

use super::command::FallbackLevel;
use crate::config::{FallbackPolicy, SafetyConfig};

/// Leads from the last command to the safe action.
#[derive(Clone, Debug)]
pub(super) struct Fallback {
    safe: Vec<f64>,
    period_ns: i64,
    /// `None` while a plan is followed.
    progress: Option<Progress>,
}

/// How far a fallback has come.
#[derive(Clone, Debug)]
struct Progress {
    /// The command before it.
    from: Vec<f64>,
    newest_ns: i64,
    /// Time since its begin, with the period of this tick.
    elapsed_ns: i64,
}

impl Fallback {
    /// A fallback to the action `safe`, in units.
    pub(super) fn new(safe: Vec<f64>, period_ns: i64) -> Self {
        Self { safe, period_ns, progress: None }
    }

    /// A plan is followed again.
    pub(super) fn reset(&mut self) {
        self.progress = None;
    }

    /// The action of a tick without a plan, and its level. `last`: the last command. `stopped`: nothing is held, because no
    /// plan will follow.
    pub(super) fn action(
        &mut self,
        tick_ns: i64,
        last: &[f64],
        config: &SafetyConfig,
        stopped: bool,
    ) -> (FallbackLevel, Vec<f64>) {
        let period_ns = self.period_ns;
        let progress = self.progress.get_or_insert_with(|| Progress {
            from: last.to_vec(),
            newest_ns: tick_ns.saturating_sub(period_ns),
            elapsed_ns: 0,
        });
        // Every tick counts for a period at least, so that a clock that jumps back does not prolong the fallback.
        let passed_ns = tick_ns.saturating_sub(progress.newest_ns).max(period_ns);
        progress.elapsed_ns = progress.elapsed_ns.saturating_add(passed_ns);
        progress.newest_ns = tick_ns;
        let policy_ns = (config.policy_s * 1e9).round();
        let fraction = progress.elapsed_ns as f64 / policy_ns;
        let before_ns = progress.elapsed_ns.saturating_sub(period_ns) as f64;
        match config.policy {
            _ if progress.from == self.safe => (FallbackLevel::Safe, self.safe.clone()),
            FallbackPolicy::Hold if !stopped && before_ns < policy_ns => (FallbackLevel::Hold, progress.from.clone()),
            FallbackPolicy::Ramp if fraction < 1.0 => {
                let line = progress.from.iter().zip(&self.safe).map(|(from, safe)| from + (safe - from) * fraction);
                (FallbackLevel::Ramp, line.collect())
            }
            _ => (FallbackLevel::Safe, self.safe.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tick of 100 ms from 2 to the safe action 0, 0.4 s of policy.
    fn actions(policy: FallbackPolicy, stop: bool, ticks_ms: &[i64]) -> Vec<(FallbackLevel, f64)> {
        let config = SafetyConfig { policy, policy_s: 0.4, ..SafetyConfig::default() };
        let mut fallback = Fallback::new(vec![0.0], 100_000_000);
        let mut action = |ms: &i64| {
            let (level, values) = fallback.action(ms * 1_000_000, &[2.0], &config, stop);
            (level, values[0])
        };
        ticks_ms.iter().map(&mut action).collect()
    }

    #[test]
    fn each_policy_ends_at_the_safe_action() {
        let ticks = [700, 800, 900, 1000, 1100];
        // A quarter of the way each tick.
        let ramp = [
            (FallbackLevel::Ramp, 1.5),
            (FallbackLevel::Ramp, 1.0),
            (FallbackLevel::Ramp, 0.5),
            (FallbackLevel::Safe, 0.0),
            (FallbackLevel::Safe, 0.0),
        ];
        assert_eq!(actions(FallbackPolicy::Ramp, false, &ticks), ramp);
        assert_eq!(actions(FallbackPolicy::Ramp, true, &ticks), ramp);
        // Held for 400 ms: at four ticks.
        let hold = [
            (FallbackLevel::Hold, 2.0),
            (FallbackLevel::Hold, 2.0),
            (FallbackLevel::Hold, 2.0),
            (FallbackLevel::Hold, 2.0),
            (FallbackLevel::Safe, 0.0),
        ];
        assert_eq!(actions(FallbackPolicy::Hold, false, &ticks), hold);
        assert_eq!(actions(FallbackPolicy::Hold, true, &ticks), [(FallbackLevel::Safe, 0.0); 5]);
        assert_eq!(actions(FallbackPolicy::Safe, false, &ticks), [(FallbackLevel::Safe, 0.0); 5]);
    }

    #[test]
    fn skipped_ticks_count_and_a_clock_that_jumps_back_does_not_prolong_the_fallback() {
        // Two ticks skipped: three periods more.
        let ramp = actions(FallbackPolicy::Ramp, false, &[700, 1000]);
        assert_eq!(ramp, [(FallbackLevel::Ramp, 1.5), (FallbackLevel::Safe, 0.0)]);
        let back = actions(FallbackPolicy::Hold, false, &[700, 100, 100, -900, -800]);
        assert_eq!(back[3..], [(FallbackLevel::Hold, 2.0), (FallbackLevel::Safe, 0.0)]);
    }
}
