//! Small actions, or small values of any other channels.

use serde::Deserialize;

use super::binding::{Binding, PerChannel, Selection};
use super::kinds::Kind;
use super::{Cost, CostError, Rollout};

/// `weight` times the time integral, over channels, of `(v / scale)^2`, in (unit / scale)^2 s.
pub struct Effort {
    pub weight: f64,
    pub of: Vec<usize>,
    /// `1 / scale^2`, one per channel of `of`.
    pub inverse_squares: Vec<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    #[serde(default = "Selection::action")]
    of: Selection,
    #[serde(default = "PerChannel::one")]
    scale: PerChannel<f64>,
}

impl Kind for Effort {
    const NAME: &'static str = "effort";
    type Settings = Settings;

    fn bind(settings: Settings, binding: &Binding) -> Result<Self, CostError> {
        let of = binding.channels("of", &settings.of)?;
        let inverse_squares = binding.inverse_squares(&settings.scale, of.len())?;
        Ok(Self { weight: binding.config.weight, of, inverse_squares })
    }
}

impl Cost for Effort {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn weight(&mut self) -> &mut f64 {
        &mut self.weight
    }

    fn evaluate(&self, future: &Rollout, gradient: &mut [f32]) -> f64 {
        let mut cost = 0.0;
        for (frame, gradient) in future.frames().zip(gradient.chunks_exact_mut(future.channels)) {
            for (&c, inverse_square) in self.of.iter().zip(&self.inverse_squares) {
                let value = f64::from(frame[c]);
                let factor = self.weight * future.period_s * inverse_square;
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
    use crate::costs::cost::{assert_gradient, cost_of};
    use crate::costs::kinds::tests::bound;

    #[test]
    fn by_hand() {
        let cost = Effort { weight: 3.0, of: vec![0, 2], inverse_squares: vec![1.0, 0.25] };
        // 3 * 0.1 s * ((2^2 + (4/2)^2) + (1^2 + 0)) = 0.3 * 9.
        assert!((cost_of(&cost, &[2.0, 9.0, 4.0, 1.0, 9.0, 0.0], 3) - 2.7).abs() < 1e-9);
    }

    #[test]
    fn it_is_of_the_action_unless_told_otherwise() {
        // 1 * 0.1 s * (3^2 + 1^2) / 2^2.
        let cost = bound("{kind: effort, weight: 1, scale: 2}").unwrap();
        assert!((cost_of(&*cost, &[3.0, 1.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0], 8) - 0.25).abs() < 1e-9);
    }

    #[test]
    fn the_gradient_is_that_of_a_finite_difference() {
        let cost = Effort { weight: 3.0, of: vec![0, 2], inverse_squares: vec![1.0, 0.25] };
        assert_gradient(&cost, &[2.0, 9.0, -4.0, 1.0, 9.0, 0.0], 3, &[]);
    }
}
