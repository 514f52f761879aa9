//! The last gate: every command passes through it, and nothing else leaves. What leaves is finite, has one value per channel
//! and keeps the contract's limits on value, rate and acceleration, whatever was wanted.
//!
//! A command holds until the next one, so its rate is its change over the time `h` since the last one. `h` counts as one period
//! at most: after a stall the robot has not moved on, and a jump would be one all the same. Where time does not advance (a tick
//! is repeated, the clock jumps back) `h` is 0 and a limited channel keeps its value.

use super::command::Reason;
use df_core::Action;

/// What is left to go, as a share of the range between the limits, counts as arrived.
const ARRIVED: f64 = 1e-9;

/// Remembers what left last.
#[derive(Clone, Debug)]
pub struct CommandLimiter {
    action: Action,
    period_s: f64,
    tick_ns: Option<i64>,
    values: Vec<f64>,
    /// Per channel, unit/s.
    rates: Vec<f64>,
}

impl CommandLimiter {
    /// Before the first command the safe action counts as being in effect.
    pub fn new(action: Action, period_s: f64) -> Self {
        let (values, rates) = (action.safe.clone(), vec![0.0; action.safe.len()]);
        Self { action, period_s, tick_ns: None, values, rates }
    }

    /// What left last.
    pub fn last(&self) -> &[f64] {
        &self.values
    }

    /// Somebody else's command is in effect: the next one starts from there, at rest.
    pub fn assume(&mut self, values: &[f64]) {
        if self.refusal(values).is_none() {
            self.values = self.action.limited(values);
            self.rates.fill(0.0);
        }
    }

    /// What may leave at `tick_ns` of what is wanted; where that is no command at all, the way to the safe action and why.
    pub fn pass(&mut self, tick_ns: i64, wanted: &[f64]) -> (Vec<f64>, Option<Reason>) {
        let refusal = self.refusal(wanted);
        let wanted = self.action.limited(if refusal.is_some() { &self.action.safe } else { wanted });
        let passed_s = self.tick_ns.map_or(self.period_s, |last| tick_ns.saturating_sub(last) as f64 * 1e-9);
        let h = passed_s.clamp(0.0, self.period_s);
        self.tick_ns = Some(tick_ns);
        for (c, wanted) in wanted.into_iter().enumerate() {
            let channel = Channel {
                min: self.action.min[c],
                max: self.action.max[c],
                rate: self.action.max_rate.get(c).copied(),
                acceleration: self.action.max_acceleration.get(c).copied(),
            };
            (self.values[c], self.rates[c]) = channel.step((self.values[c], self.rates[c]), wanted, h);
        }
        (self.values.clone(), refusal)
    }

    /// Why these values are no command.
    pub fn refusal(&self, values: &[f64]) -> Option<Reason> {
        let expected = self.action.safe.len();
        if values.len() != expected {
            Some(Reason::WrongLength { expected, got: values.len() })
        } else {
            values.iter().any(|v| !v.is_finite()).then_some(Reason::NotFinite)
        }
    }
}

/// The limits of one channel.
struct Channel {
    min: f64,
    max: f64,
    rate: Option<f64>,
    acceleration: Option<f64>,
}

impl Channel {
    /// Value and rate after `h` seconds on the way from `value` (moving at `rate`) to `wanted`, which lies within the limits.
    ///
    /// With a limit `a` on acceleration the value must always be able to stop before the limits on value: `v^2 / 2a` is left
    /// on the way at least. A rate `v` with `v h + v^2 / 2a <= left` keeps that so; and where it was so, slowing down by `a h`
    /// gives such a rate: with `v = u - a h` the left side is `u^2 / 2a - a h^2 / 2`. For any `h`, so whatever the ticks do.
    fn step(&self, (value, rate): (f64, f64), wanted: f64, h: f64) -> (f64, f64) {
        let Some(max) = self.rate else { return (wanted, 0.0) };
        let left = wanted - value;
        let Some(a) = self.acceleration else {
            // The margin is for what is lost in floating point: without it the last step may leave 1e-17 to go.
            let arrives = left.abs() <= max * h * (1.0 + 1e-12);
            let next = if arrives { wanted } else { value + (max * h).copysign(left) };
            return (next.clamp(self.min, self.max), 0.0);
        };
        if h <= 0.0 {
            return (value, rate);
        }
        let arrived = (ARRIVED * (self.max - self.min)).min(max * h).min(a * h * h);
        if left.abs() <= arrived && rate.abs() <= a * h {
            return (wanted, 0.0);
        }
        let stops_within = |left: f64| a * ((h * h + 2.0 * left.max(0.0) / a).sqrt() - h);
        // What is wanted may be reached at once where the next step can stop there; else it is approached like a limit.
        let towards = stops_within(left.abs()).max((left.abs() / h).min(a * h)).copysign(left);
        let next = towards.clamp(-max, max).clamp(rate - a * h, rate + a * h);
        let next = next.min(stops_within(self.max - value)).max(-stops_within(value - self.min));
        ((value + next * h).clamp(self.min, self.max), next)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::PlanningConfig;

    fn gate(limits: &str) -> CommandLimiter {
        let text = format!(
            "{{period_s: 0.1, frame_stack: 1, observations: {{x: {{topic: x, type: p/msg/X, fields: [x], max_age_s: 1}}}},
              action: {{topic: u, type: p/msg/X, fields: [x], min: [-2], max: [3], safe: [0], max_age_s: 1{limits}}}}}"
        );
        let config = PlanningConfig::parse(&text, std::path::Path::new("c.yaml")).unwrap();
        CommandLimiter::new(config.contract.action, config.contract.period_s)
    }

    const MS: i64 = 1_000_000;

    fn steps(gate: &mut CommandLimiter, asked: &[(i64, f64)]) -> Vec<f64> {
        asked.iter().map(|(ms, wanted)| (gate.pass(ms * MS, &[*wanted]).0[0] * 1e6).round() / 1e6).collect()
    }

    #[test]
    fn no_rate_limit_lets_values_within_the_limits_jump() {
        assert_eq!(steps(&mut gate(""), &[(0, 9.0), (100, -9.0), (100, 1.5), (50, 0.25)]), [3.0, -2.0, 1.5, 0.25]);
    }

    #[test]
    fn a_rate_counts_over_a_period_at_most_and_not_against_time() {
        // 5 / s: 0.5 a period; half a period; a stall of a second counts as one; a repeated tick and one before it count nothing.
        let asked = [(0, 9.0), (100, 9.0), (150, 9.0), (1150, 9.0), (1150, 9.0), (900, 9.0), (1000, 1.5)];
        assert_eq!(steps(&mut gate(", max_rate: [5]"), &asked), [0.5, 1.0, 1.25, 1.75, 1.75, 1.75, 1.5]);
    }

    #[test]
    fn what_is_no_command_leads_to_the_safe_action_by_name() {
        let mut gate = gate(", max_rate: [5]");
        steps(&mut gate, &[(0, 2.0), (100, 2.0)]);
        assert_eq!(gate.pass(200 * MS, &[f64::NAN]), (vec![0.5], Some(Reason::NotFinite)));
        let length = Reason::WrongLength { expected: 1, got: 2 };
        assert_eq!(gate.pass(300 * MS, &[1.0, 1.0]), (vec![0.0], Some(length)));
        gate.assume(&[f64::INFINITY]);
        assert_eq!(gate.last(), [0.0]);
        // Somebody else's command beyond the limits: from the limit on.
        gate.assume(&[-7.0]);
        assert_eq!(gate.pass(400 * MS, &[0.0]), (vec![-1.5], None));
    }

    #[test]
    fn a_limited_acceleration_brakes_before_the_target_and_arrives() {
        // 2 / s^2, 0.1 s: the rate grows by 0.2 a tick. 0.02, 0.06, 0.12, 0.2 on the way up.
        let mut gate = gate(", max_rate: [5], max_acceleration: [2]");
        let ticks: Vec<(i64, f64)> = (0..40).map(|k| (100 * k, 1.0)).collect();
        let way = steps(&mut gate, &ticks);
        assert_eq!(way[..4], [0.02, 0.06, 0.12, 0.2]);
        assert!(way.is_sorted() && way[39] == 1.0, "{way:?}");
        // Unlimited it takes sqrt(2 * 0.5 / 2) = 0.7 s to the middle and as long from there: 14 ticks. Here a few more.
        let arrived = way.iter().position(|v| *v == 1.0).unwrap();
        assert!((14..=20).contains(&arrived), "{arrived}");
        assert_eq!(gate.last(), [1.0]);
    }

    proptest! {
        /// Whatever is wanted whenever: within the limits, every one of them, and at rest on what is wanted long enough.
        #[test]
        fn every_limit_holds_and_the_target_is_reached(
            rate in 0.5f64..40.0,
            acceleration in 0.5f64..400.0,
            asked in prop::collection::vec((prop_oneof![Just(100), -50i64..250], prop_oneof![-4.0f64..4.0, Just(f64::NAN)]), 1..60),
            last in prop_oneof![Just(-2.0), Just(3.0), -2.0f64..3.0],
        ) {
            let mut gate = gate(&format!(", max_rate: [{rate}], max_acceleration: [{acceleration}]"));
            let (mut at_ms, mut value, mut before) = (0, 0.0, 0.0);
            gate.pass(0, &[0.0]);
            let end = std::iter::repeat_n((100, last), 400);
            for (passed_ms, wanted) in asked.into_iter().chain(end) {
                at_ms += passed_ms;
                let next = gate.pass(at_ms * MS, &[wanted]).0[0];
                let h = passed_ms.clamp(0, 100) as f64 * 1e-3;
                prop_assert!((-2.0..=3.0).contains(&next));
                prop_assert!((next - value).abs() <= rate * h * (1.0 + 1e-9) + 1e-12);
                if h > 0.0 {
                    let now = (next - value) / h;
                    prop_assert!((now - before).abs() <= acceleration * h * (1.0 + 1e-9) + 1e-6, "{before} to {now} in {h} s");
                    before = now;
                }
                value = next;
            }
            // The slowest: 5 units at 0.5 / s, and sqrt(2 * 5 / 0.5) = 4.5 s twice where acceleration rules: below 40 s.
            prop_assert_eq!(value, last);
        }
    }
}
