//! The lower rungs of the ladder: what is wanted where no plan may be followed.

use super::command::FallbackLevel;
use crate::{FallbackPolicy, SafetyConfig};

/// Leads from the last command to the safe action.
#[derive(Clone, Debug)]
pub struct Fallback {
    safe: Vec<f64>,
    period_ns: i64,
    descent: Option<Descent>,
}

#[derive(Clone, Debug)]
struct Descent {
    /// The command before it.
    from: Vec<f64>,
    newest_ns: i64,
    /// This tick's period included.
    elapsed_ns: i64,
}

impl Fallback {
    pub fn new(safe: Vec<f64>, period_ns: i64) -> Self {
        Self { safe, period_ns, descent: None }
    }

    /// A plan is followed again.
    pub fn recover(&mut self) {
        self.descent = None;
    }

    /// What is wanted at a tick without a plan. `last`: the last command. `stop`: for good, so nothing is held.
    pub fn descend(
        &mut self,
        tick_ns: i64,
        last: &[f64],
        settings: &SafetyConfig,
        stop: bool,
    ) -> (FallbackLevel, Vec<f64>) {
        let period_ns = self.period_ns;
        let descent = self.descent.get_or_insert_with(|| Descent {
            from: last.to_vec(),
            newest_ns: tick_ns.saturating_sub(period_ns),
            elapsed_ns: 0,
        });
        // Every tick counts for a period at least, so that no clock that jumps back prolongs what should end.
        let passed_ns = tick_ns.saturating_sub(descent.newest_ns).max(period_ns);
        descent.elapsed_ns = descent.elapsed_ns.saturating_add(passed_ns);
        descent.newest_ns = tick_ns;
        let policy_ns = (settings.policy_s * 1e9).round();
        let share = descent.elapsed_ns as f64 / policy_ns;
        let before_ns = descent.elapsed_ns.saturating_sub(period_ns) as f64;
        match settings.policy {
            _ if descent.from == self.safe => (FallbackLevel::Safe, self.safe.clone()),
            FallbackPolicy::Hold if !stop && before_ns < policy_ns => (FallbackLevel::Hold, descent.from.clone()),
            FallbackPolicy::Ramp if share < 1.0 => {
                let line = descent.from.iter().zip(&self.safe).map(|(from, safe)| from + (safe - from) * share);
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
    fn descended(policy: FallbackPolicy, stop: bool, ticks_ms: &[i64]) -> Vec<(FallbackLevel, f64)> {
        let settings = SafetyConfig { policy, policy_s: 0.4, ..SafetyConfig::default() };
        let mut fallback = Fallback::new(vec![0.0], 100_000_000);
        let mut descend = |ms: &i64| {
            let (rung, values) = fallback.descend(ms * 1_000_000, &[2.0], &settings, stop);
            (rung, values[0])
        };
        ticks_ms.iter().map(&mut descend).collect()
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
        assert_eq!(descended(FallbackPolicy::Ramp, false, &ticks), ramp);
        assert_eq!(descended(FallbackPolicy::Ramp, true, &ticks), ramp);
        // Held for 400 ms: at four ticks.
        let hold = [
            (FallbackLevel::Hold, 2.0),
            (FallbackLevel::Hold, 2.0),
            (FallbackLevel::Hold, 2.0),
            (FallbackLevel::Hold, 2.0),
            (FallbackLevel::Safe, 0.0),
        ];
        assert_eq!(descended(FallbackPolicy::Hold, false, &ticks), hold);
        assert_eq!(descended(FallbackPolicy::Hold, true, &ticks), [(FallbackLevel::Safe, 0.0); 5]);
        assert_eq!(descended(FallbackPolicy::Safe, false, &ticks), [(FallbackLevel::Safe, 0.0); 5]);
    }

    #[test]
    fn skipped_ticks_count_and_a_clock_that_jumps_back_does_not_prolong() {
        // Two ticks skipped: three periods more.
        let ramp = descended(FallbackPolicy::Ramp, false, &[700, 1000]);
        assert_eq!(ramp, [(FallbackLevel::Ramp, 1.5), (FallbackLevel::Safe, 0.0)]);
        let back = descended(FallbackPolicy::Hold, false, &[700, 100, 100, -900, -800]);
        assert_eq!(back[3..], [(FallbackLevel::Hold, 2.0), (FallbackLevel::Safe, 0.0)]);
    }
}
