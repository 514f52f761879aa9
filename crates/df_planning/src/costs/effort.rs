//! Effort: actions, or other channels, stay small.

use serde::Deserialize;

use super::binding::{Binding, PerChannel, Selection};
use super::cost::{Cost, Rollout};
use super::error::CostError;
use super::factory::CostFactory;

/// `weight` times the time integral, over channels, of `(v / scale)^2`, in (unit / scale)^2 s.
pub(super) struct EffortCost {
    /// Factor of the cost.
    pub(super) weight: f64,
    /// Channels of a frame.
    pub(super) of: Vec<usize>,
    /// `1 / scale^2`, one per channel of `of`.
    pub(super) inverse_squares: Vec<f64>,
}

/// The keys of [`EffortCost`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EffortCostConfig {
    #[serde(default = "Selection::action")]
    of: Selection,
    #[serde(default = "PerChannel::one")]
    scale: PerChannel<f64>,
}

impl CostFactory for EffortCost {
    const NAME: &'static str = "effort";
    type Config = EffortCostConfig;

    fn bind(config: EffortCostConfig, binding: &Binding) -> Result<Self, CostError> {
        let of = binding.channels("of", &config.of)?;
        let inverse_squares = binding.inverse_squares(&config.scale, of.len())?;
        Ok(Self { weight: binding.config.weight, of, inverse_squares })
    }
}

impl Cost for EffortCost {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn weight(&mut self) -> &mut f64 {
        &mut self.weight
    }

    fn evaluate(&self, rollout: &Rollout, gradient: &mut [f32]) -> f64 {
        let mut cost = 0.0;
        for (frame, gradient) in rollout.frames().zip(gradient.chunks_exact_mut(rollout.channels)) {
            for (&c, inverse_square) in self.of.iter().zip(&self.inverse_squares) {
                let value = f64::from(frame[c]);
                let factor = self.weight * rollout.period_s * inverse_square;
                cost += factor * value * value;
                gradient[c] += (2.0 * factor * value) as f32;
            }
        }
        cost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::costs::test_support::{assert_gradient, bound, cost_of};

    #[test]
    fn the_cost_is_the_one_computed_by_hand() {
        let cost = EffortCost { weight: 3.0, of: vec![0, 2], inverse_squares: vec![1.0, 0.25] };
        // 3 * 0.1 s * ((2^2 + (4/2)^2) + (1^2 + 0)) = 0.3 * 9.
        assert!((cost_of(&cost, &[2.0, 9.0, 4.0, 1.0, 9.0, 0.0], 3) - 2.7).abs() < 1e-9);
    }

    #[test]
    fn without_the_key_of_it_is_the_effort_of_the_action() {
        // 1 * 0.1 s * (3^2 + 1^2) / 2^2.
        let cost = bound("{kind: effort, weight: 1, scale: 2}").unwrap();
        assert!((cost_of(&*cost, &[3.0, 1.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0], 8) - 0.25).abs() < 1e-9);
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        let cost = EffortCost { weight: 3.0, of: vec![0, 2], inverse_squares: vec![1.0, 0.25] };
        assert_gradient(&cost, &[2.0, 9.0, -4.0, 1.0, 9.0, 0.0], 3, &[]);
    }
}
