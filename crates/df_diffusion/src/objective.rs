//! Objectives: what the network predicts, and its conversion to the clean value.

use serde::{Deserialize, Serialize};

/// Which target a network predicts; see [`Objective`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectiveKind {
    /// The clean value.
    X0,
    /// The noise.
    Noise,
    /// `v = alpha noise - sigma x0` (Salimans and Ho 2022).
    V,
}

/// The target of the prediction: the clean value `x0`, the `noise`, or `v = alpha noise - sigma x0` (Salimans and Ho
/// 2022, section 4). Each of them determines the clean value at levels below 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Objective(pub ObjectiveKind);

/// Minimum divisor in the conversion of a noise prediction. Below this amplitude of the signal, the noise determines x0
/// to no useful precision.
const MIN_ALPHA: f32 = 1e-3;

impl Objective {
    /// The target of one value `x0` at a level with these amplitudes.
    pub fn target(self, x0: f32, noise: f32, alpha: f32, sigma: f32) -> f32 {
        match self.0 {
            ObjectiveKind::X0 => x0,
            ObjectiveKind::Noise => noise,
            ObjectiveKind::V => alpha * noise - sigma * x0,
        }
    }

    /// The pair `(a, b)` with which the clean value is `a x + b prediction`.
    ///
    /// From `x = alpha x0 + sigma noise` with `alpha^2 + sigma^2 = 1`: `x0 = alpha x - sigma v`, and
    /// `x0 = (x - sigma noise) / alpha`. There alpha is at least 0.001.
    pub fn x0_coefficients(self, alpha: f32, sigma: f32) -> (f32, f32) {
        match self.0 {
            ObjectiveKind::X0 => (0.0, 1.0),
            ObjectiveKind::Noise => {
                let alpha = alpha.max(MIN_ALPHA);
                (1.0 / alpha, -sigma / alpha)
            }
            ObjectiveKind::V => (alpha, -sigma),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_objective_converts_its_target_back_to_the_clean_value(x0 in -3.0f32..3.0, noise in -3.0f32..3.0, angle in 0.0f32..1.55) {
            let (alpha, sigma) = (angle.cos(), angle.sin());
            let x = alpha * x0 + sigma * noise;
            for kind in [ObjectiveKind::X0, ObjectiveKind::Noise, ObjectiveKind::V] {
                let objective = Objective(kind);
                let (a, b) = objective.x0_coefficients(alpha, sigma);
                let back = a * x + b * objective.target(x0, noise, alpha, sigma);
                // Rounding of x to f32, multiplied by the division by alpha, which is at least 0.02 here.
                prop_assert!((back - x0).abs() < 1e-6 * (1.0 + 4.0 / alpha) * 3.0, "{kind:?}: {back} is not {x0}");
            }
        }
    }
}
