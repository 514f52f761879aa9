//! The command limiter: every command passes through it. Its commands are finite, have one value per channel, and keep the
//! contract's limits on value, rate and acceleration.
//!
//! A command holds until the next one. Its rate is its change over the time `h` since the last one. `h` is at most one period,
//! because the robot does not move on during a stall. Where time does not advance (a repeated tick, a clock that jumps back)
//! `h` is 0 and a limited channel keeps its value.

use super::command::Reason;
use df_core::Action;

/// A channel has arrived within this fraction of the range between its limits.
const ARRIVED: f64 = 1e-9;

/// Limits commands with respect to the last one.
#[derive(Clone, Debug)]
pub(super) struct CommandLimiter {
    action: Action,
    period_s: f64,
    tick_ns: Option<i64>,
    values: Vec<f64>,
    /// Per channel, unit/s.
    rates: Vec<f64>,
}

impl CommandLimiter {
    /// A limiter of `action`. Before the first command the safe action is in effect.
    pub(super) fn new(action: Action, period_s: f64) -> Self {
        let (values, rates) = (action.safe.clone(), vec![0.0; action.safe.len()]);
        Self { action, period_s, tick_ns: None, values, rates }
    }

    /// The command in effect, `[channel]` in units.
    pub(super) fn last(&self) -> &[f64] {
        &self.values
    }

    /// A command of another controller is in effect. The next command starts from there, with rate 0.
    pub(super) fn follow(&mut self, values: &[f64]) {
        if self.invalid(values).is_none() {
            self.values = self.action.limited(values);
            self.rates.fill(0.0);
        }
    }

    /// The command of a tick on the way to `wanted`. Where `wanted` is invalid, on the way to the safe action, and why.
    pub(super) fn limit(&mut self, tick_ns: i64, wanted: &[f64]) -> (Vec<f64>, Option<Reason>) {
        let invalid = self.invalid(wanted);
        let wanted = self.action.limited(if invalid.is_some() { &self.action.safe } else { wanted });
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
            (self.values[c], self.rates[c]) = channel.step(self.values[c], self.rates[c], wanted, h);
        }
        (self.values.clone(), invalid)
    }

    /// Why these values are no command.
    pub(super) fn invalid(&self, values: &[f64]) -> Option<Reason> {
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
    /// With a limit `a` on acceleration the value must always be able to stop before the limits on value, so `v^2 / 2a` must be
    /// left. A rate `v` with `v h + v^2 / 2a <= left` keeps that condition. Where it holds for the rate `u`, slowing down by
    /// `a h` keeps it: with `v = u - a h` the left side is `u^2 / 2a - a h^2 / 2`. That is true for any `h`.
    fn step(&self, value: f64, rate: f64, wanted: f64, h: f64) -> (f64, f64) {
        let Some(max) = self.rate else { return (wanted, 0.0) };
        let left = wanted - value;
        let Some(a) = self.acceleration else {
            // The margin is for rounding: without it the last step may leave 1e-17.
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
        // The target is reached at once where the next step can stop there. Else it is approached like a limit.
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

    fn limiter(limits: &str) -> CommandLimiter {
        let text = format!(
            "{{period_s: 0.1, frame_stack: 1, observations: {{x: {{topic: x, type: p/msg/X, fields: [x], max_age_s: 1}}}},
              action: {{topic: u, type: p/msg/X, fields: [x], min: [-2], max: [3], safe: [0], max_age_s: 1{limits}}}}}"
        );
        let config = PlanningConfig::parse(&text, std::path::Path::new("c.yaml")).unwrap();
        CommandLimiter::new(config.contract.action, config.contract.period_s)
    }

    const MS: i64 = 1_000_000;

    fn steps(limiter: &mut CommandLimiter, wanted: &[(i64, f64)]) -> Vec<f64> {
        wanted.iter().map(|(ms, wanted)| (limiter.limit(ms * MS, &[*wanted]).0[0] * 1e6).round() / 1e6).collect()
    }

    #[test]
    fn without_a_rate_limit_values_jump_within_the_limits() {
        assert_eq!(steps(&mut limiter(""), &[(0, 9.0), (100, -9.0), (100, 1.5), (50, 0.25)]), [3.0, -2.0, 1.5, 0.25]);
    }

    #[test]
    fn a_rate_counts_over_at_most_one_period_and_never_backwards() {
        // 5 / s: 0.5 a period; half a period; a stall of a second counts as one; a repeated tick and an earlier one count 0.
        let wanted = [(0, 9.0), (100, 9.0), (150, 9.0), (1150, 9.0), (1150, 9.0), (900, 9.0), (1000, 1.5)];
        assert_eq!(steps(&mut limiter(", max_rate: [5]"), &wanted), [0.5, 1.0, 1.25, 1.75, 1.75, 1.75, 1.5]);
    }

    #[test]
    fn an_invalid_command_leads_to_the_safe_action_and_is_named() {
        let mut limiter = limiter(", max_rate: [5]");
        steps(&mut limiter, &[(0, 2.0), (100, 2.0)]);
        assert_eq!(limiter.limit(200 * MS, &[f64::NAN]), (vec![0.5], Some(Reason::NotFinite)));
        let length = Reason::WrongLength { expected: 1, got: 2 };
        assert_eq!(limiter.limit(300 * MS, &[1.0, 1.0]), (vec![0.0], Some(length)));
        limiter.follow(&[f64::INFINITY]);
        assert_eq!(limiter.last(), [0.0]);
        // A command of another controller beyond the limits: from the limit on.
        limiter.follow(&[-7.0]);
        assert_eq!(limiter.limit(400 * MS, &[0.0]), (vec![-1.5], None));
    }

    #[test]
    fn a_limited_acceleration_brakes_before_the_target_and_arrives() {
        // 2 / s^2, 0.1 s: the rate grows by 0.2 a tick. 0.02, 0.06, 0.12, 0.2 on the way up.
        let mut limiter = limiter(", max_rate: [5], max_acceleration: [2]");
        let ticks: Vec<(i64, f64)> = (0..40).map(|k| (100 * k, 1.0)).collect();
        let way = steps(&mut limiter, &ticks);
        assert_eq!(way[..4], [0.02, 0.06, 0.12, 0.2]);
        assert!(way.is_sorted() && way[39] == 1.0, "{way:?}");
        // Unlimited it takes sqrt(2 * 0.5 / 2) = 0.7 s to the middle and as long from there: 14 ticks. Here a few more.
        let arrived = way.iter().position(|v| *v == 1.0).unwrap();
        assert!((14..=20).contains(&arrived), "{arrived}");
        assert_eq!(limiter.last(), [1.0]);
    }

    proptest! {
        /// Any commands at any times: every limit holds, and a target that lasts is reached.
        #[test]
        fn every_limit_holds_and_the_target_is_reached(
            rate in 0.5f64..40.0,
            acceleration in 0.5f64..400.0,
            wanted in prop::collection::vec((prop_oneof![Just(100), -50i64..250], prop_oneof![-4.0f64..4.0, Just(f64::NAN)]), 1..60),
            last in prop_oneof![Just(-2.0), Just(3.0), -2.0f64..3.0],
        ) {
            let mut limiter = limiter(&format!(", max_rate: [{rate}], max_acceleration: [{acceleration}]"));
            let (mut at_ms, mut value, mut before) = (0, 0.0, 0.0);
            limiter.limit(0, &[0.0]);
            let end = std::iter::repeat_n((100, last), 400);
            for (passed_ms, wanted) in wanted.into_iter().chain(end) {
                at_ms += passed_ms;
                let next = limiter.limit(at_ms * MS, &[wanted]).0[0];
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
