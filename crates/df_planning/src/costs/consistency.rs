//! Consistency of positions and their rates: the positions of a plan move as its velocities say.

use serde::Deserialize;

use super::binding::{Binding, Selection};
use super::cost::{Cost, Rollout};
use super::error::CostError;
use super::factory::CostFactory;

/// `weight` times the time integral, over channels, of `max(0, |d| - tolerance)^2` with the defect
/// `d = (p[k+n] - p[k]) / (n period) - mean of v over k..k+n` (`n` frames in `over_s`, the mean by the trapezoidal rule), in
/// (unit/s)^2 s.
///
/// It shows a plan that jumps because a known future observation lies where the robot cannot be. An interval longer than a
/// frame and a tolerance keep the small noise of sampled frames out.
pub(super) struct ConsistencyCost {
    /// Factor of the cost.
    pub(super) weight: f64,
    /// The channels of the positions.
    pub(super) of: Vec<usize>,
    /// The channels of its rate, as many.
    pub(super) rate: Vec<usize>,
    /// Length of the interval, seconds.
    pub(super) over_s: f64,
    /// Defects up to this cost nothing, unit/s.
    pub(super) tolerance: f64,
}

/// The keys of [`ConsistencyCost`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConsistencyCostConfig {
    of: Selection,
    rate: Selection,
    over_s: f64,
    tolerance: f64,
}

impl CostFactory for ConsistencyCost {
    const NAME: &'static str = "consistency";
    type Config = ConsistencyCostConfig;

    fn bind(config: ConsistencyCostConfig, binding: &Binding) -> Result<Self, CostError> {
        let ConsistencyCostConfig { of, rate, over_s, tolerance } = config;
        binding.positive("over_s", over_s)?;
        binding.not_negative("tolerance", tolerance)?;
        let (of, rates) = (binding.channels("of", &of)?, binding.channels("rate", &rate)?);
        let rule = format!("must be as many channels as `of`, which has {}, and is {}", of.len(), rates.len());
        binding.require(of.len() == rates.len(), "rate", rate, rule)?;
        Ok(Self { weight: binding.config.weight, of, rate: rates, over_s, tolerance })
    }
}

impl Cost for ConsistencyCost {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn weight(&mut self) -> &mut f64 {
        &mut self.weight
    }

    fn evaluate(&self, rollout: &Rollout, gradient: &mut [f32]) -> f64 {
        let frames = rollout.frames().len();
        let n = ((self.over_s / rollout.period_s).round() as usize).clamp(1, frames.saturating_sub(1).max(1));
        let value = |frame: usize, channel: usize| f64::from(rollout.values[frame * rollout.channels + channel]);
        let span_s = n as f64 * rollout.period_s;
        let per_frame = 1.0 / n as f64;
        let mut cost = 0.0;
        for (&p, &v) in self.of.iter().zip(&self.rate) {
            // Trapezoidal rule: the ends of the interval count half. The sum moves on with the interval.
            let trapezoid = |k: usize| 0.5 * (value(k, v) + value(k + 1, v));
            let mut sum: f64 = (0..n.min(frames.saturating_sub(1))).map(trapezoid).sum();
            for k in 0..frames.saturating_sub(n) {
                if k > 0 {
                    sum += trapezoid(k + n - 1) - trapezoid(k - 1);
                }
                let defect = (value(k + n, p) - value(k, p)) / span_s - per_frame * sum;
                let beyond = (defect.abs() - self.tolerance).max(0.0) * defect.signum();
                if beyond == 0.0 {
                    continue;
                }
                cost += self.weight * rollout.period_s * beyond * beyond;
                let slope = 2.0 * self.weight * rollout.period_s * beyond;
                gradient[(k + n) * rollout.channels + p] += (slope / span_s) as f32;
                gradient[k * rollout.channels + p] -= (slope / span_s) as f32;
                let (whole, half) = ((slope * per_frame) as f32, (0.5 * slope * per_frame) as f32);
                gradient[k * rollout.channels + v] -= half;
                gradient[(k + n) * rollout.channels + v] -= half;
                for j in k + 1..k + n {
                    gradient[j * rollout.channels + v] -= whole;
                }
            }
        }
        cost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::costs::test_support::{assert_gradient, cost_of, refusal};

    fn with(over_s: f64, tolerance: f64) -> ConsistencyCost {
        ConsistencyCost { weight: 0.5, of: vec![0], rate: vec![1], over_s, tolerance }
    }

    #[test]
    fn a_consistent_plan_costs_nothing_and_a_jump_costs_its_square() {
        let cost = |values: &[f32], tolerance| cost_of(&with(0.1, tolerance), values, 2);
        // 1 m/s for 0.1 s is 0.1 m.
        assert!(cost(&[0.0, 1.0, 0.1, 1.0, 0.2, 1.0], 0.0) < 1e-12);
        // The second step is 0.3 m instead of 0.1 m: 2 m/s of defect; 0.5 * 0.1 s * (0 + 2^2) = 0.2.
        assert!((cost(&[0.0, 1.0, 0.1, 1.0, 0.4, 1.0], 0.0) - 0.2).abs() < 1e-5);
        // With a tolerance of 1.5 m/s: 0.5 * 0.1 s * 0.5^2.
        assert!((cost(&[0.0, 1.0, 0.1, 1.0, 0.4, 1.0], 1.5) - 0.0125).abs() < 1e-5);
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        for (over_s, tolerance) in [(0.1, 0.0), (0.2, 0.0), (0.1, 0.8)] {
            assert_gradient(&with(over_s, tolerance), &[0.0, 0.2, 0.05, -0.3, 0.1, 0.6, 0.3, 0.1], 2, &[]);
        }
    }

    #[test]
    fn positions_and_rates_have_as_many_channels() {
        assert_eq!(
            refusal("{kind: consistency, weight: 1, of: position, rate: velocity.0, over_s: 1, tolerance: 0}"),
            "costs[0].rate: velocity.0: must be as many channels as `of`, which has 2, and is 1"
        );
        let refused = refusal("{kind: consistency, weight: 1, of: position, rate: velocity, over_s: 0, tolerance: 0}");
        assert_eq!(refused, "costs[0].over_s: 0: must be a finite number above 0");
    }
}
