//! Target values: channels take given values.

use serde::Deserialize;

use super::binding::{Binding, PerChannel, Selection};
use super::cost::{Cost, Rollout};
use super::error::CostError;
use super::factory::CostFactory;

/// `weight` times the time integral, over channels, of `((v - value) / scale)^2`, in (unit / scale)^2 s.
///
/// With the gate `goal_nearer_than` and the velocities at 0 the robot comes to rest at the goal.
pub(super) struct TargetCost {
    /// Factor of the cost.
    pub(super) weight: f64,
    /// Channels of a frame.
    pub(super) of: Vec<usize>,
    /// The wanted values, one per channel of `of`.
    pub(super) value: Vec<f64>,
    /// `1 / scale^2`, one per channel of `of`.
    pub(super) inverse_squares: Vec<f64>,
}

/// The keys of [`TargetCost`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TargetCostConfig {
    of: Selection,
    value: PerChannel<f64>,
    #[serde(default = "PerChannel::one")]
    scale: PerChannel<f64>,
}

impl CostFactory for TargetCost {
    const NAME: &'static str = "target";
    type Config = TargetCostConfig;

    fn bind(config: TargetCostConfig, binding: &Binding) -> Result<Self, CostError> {
        let of = binding.channels("of", &config.of)?;
        let value = binding.numbers("value", &config.value, of.len())?;
        let inverse_squares = binding.inverse_squares(&config.scale, of.len())?;
        Ok(Self { weight: binding.config.weight, of, value, inverse_squares })
    }
}

impl Cost for TargetCost {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn weight(&mut self) -> &mut f64 {
        &mut self.weight
    }

    fn evaluate(&self, rollout: &Rollout, gradient: &mut [f32]) -> f64 {
        let mut cost = 0.0;
        for (frame, gradient) in rollout.frames().zip(gradient.chunks_exact_mut(rollout.channels)) {
            for (i, &c) in self.of.iter().enumerate() {
                let apart = f64::from(frame[c]) - self.value[i];
                let factor = self.weight * rollout.period_s * self.inverse_squares[i];
                cost += factor * apart * apart;
                gradient[c] += (2.0 * factor * apart) as f32;
            }
        }
        cost
    }
}

#[cfg(test)]
mod tests {
    use crate::costs::test_support::{assert_gradient, bound, cost_of, refusal};

    #[test]
    fn the_cost_is_the_one_computed_by_hand() {
        // vx should be 1 (per 0.5), vy 0 (per 1): 2 * 0.1 s * (((3 - 1) / 0.5)^2 + 1^2 + (0 / 0.5)^2 + 2^2) = 0.2 * 21.
        let cost = bound("{kind: target, weight: 2, of: velocity, value: [1, 0], scale: [0.5, 1]}").unwrap();
        let values = [[9.0, 9.0, 9.0, 9.0, 3.0, 1.0, 9.0, 9.0], [9.0, 9.0, 9.0, 9.0, 1.0, -2.0, 9.0, 9.0]].concat();
        assert!((cost_of(&*cost, &values, 8) - 4.2).abs() < 1e-9);
        assert_gradient(&*cost, &values, 8, &[]);
    }

    #[test]
    fn a_value_is_finite() {
        let refused = refusal("{kind: target, weight: 2, of: velocity.1, value: .inf}");
        assert_eq!(refused, "costs[0].value: [inf]: must be finite");
    }
}
