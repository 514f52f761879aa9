//! What the network predicts, and the exact conversions between the three choices.

use serde::{Deserialize, Serialize};

/// Which target a network predicts; see [`Objective`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectiveKind {
    /// The clean value.
    X0,
    /// The noise.
    Noise,
    /// `v = alpha noise - sigma x0`.
    V,
}

/// The prediction target: the clean value `x0`, the `noise`, or `v = alpha noise - sigma x0` (Salimans and Ho 2022).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Objective(pub ObjectiveKind);

/// Below this signal amplitude a noise prediction says nothing about x0; the division is bounded by it.
const MIN_ALPHA: f32 = 1e-3;

impl Objective {
    /// The target for one value.
    pub fn target(self, x0: f32, noise: f32, alpha: f32, sigma: f32) -> f32 {
        match self.0 {
            ObjectiveKind::X0 => x0,
            ObjectiveKind::Noise => noise,
            ObjectiveKind::V => alpha * noise - sigma * x0,
        }
    }

    /// The clean value as `a x + b prediction`: the pair `(a, b)`.
    ///
    /// From `x = alpha x0 + sigma noise` with `alpha^2 + sigma^2 = 1`: v gives `alpha x - sigma v`, noise gives
    /// `(x - sigma noise) / alpha` (alpha is bounded below by 0.001 there).
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
        /// x0 -> target -> x0 for every objective: an identity wherever the level leaves a signal.
        #[test]
        fn conversions_invert_each_other(x0 in -3.0f32..3.0, noise in -3.0f32..3.0, angle in 0.0f32..1.55) {
            let (alpha, sigma) = (angle.cos(), angle.sin());
            let x = alpha * x0 + sigma * noise;
            for kind in [ObjectiveKind::X0, ObjectiveKind::Noise, ObjectiveKind::V] {
                let objective = Objective(kind);
                let (a, b) = objective.x0_coefficients(alpha, sigma);
                let back = a * x + b * objective.target(x0, noise, alpha, sigma);
                // f32 rounding of x, enlarged by the division by alpha (>= 0.02 here).
                prop_assert!((back - x0).abs() < 1e-6 * (1.0 + 4.0 / alpha) * 3.0, "{kind:?}: {back} is not {x0}");
            }
        }
    }
}
