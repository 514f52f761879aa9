//! How much the error of one slot counts in training, by its level's signal-to-noise ratio.

use crate::config::ObjectiveKind;

/// Min-SNR weighting (Hang et al. 2023, "Efficient Diffusion Training via Min-SNR Weighting Strategy", eq. 7-8).
///
/// In terms of the x0 error the weight is `min(SNR, gamma)`, `SNR = alpha^2 / sigma^2`; the error of another target is a
/// multiple of it: noise error `= SNR x` x0 error, v error `= (SNR + 1) x` x0 error. Known slots (level 0) weigh nothing:
/// there is nothing to learn about them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossWeight {
    pub gamma: f32,
}

impl Default for LossWeight {
    fn default() -> Self {
        Self { gamma: 5.0 }
    }
}

impl LossWeight {
    /// Weight of the squared error of the target.
    pub fn of(self, objective: ObjectiveKind, alpha: f32, sigma: f32) -> f32 {
        if sigma <= 0.0 {
            return 0.0;
        }
        let snr = (alpha * alpha) / (sigma * sigma);
        let clipped = snr.min(self.gamma);
        match objective {
            // A pure-noise slot still has an x0 worth predicting (its mean given the rest): keep a floor.
            ObjectiveKind::X0 => clipped.max(1e-2),
            ObjectiveKind::Noise => {
                if snr > 0.0 {
                    clipped / snr
                } else {
                    1.0
                }
            }
            ObjectiveKind::V => (clipped + 1.0) / (snr + 1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_a_level_with_snr_25() {
        // alpha^2 / sigma^2 = 25 with alpha^2 + sigma^2 = 1: sigma^2 = 1/26. gamma 5: min = 5.
        let (alpha, sigma) = ((25.0f32 / 26.0).sqrt(), (1.0f32 / 26.0).sqrt());
        let weight = LossWeight::default();
        assert!((weight.of(ObjectiveKind::X0, alpha, sigma) - 5.0).abs() < 1e-4);
        assert!((weight.of(ObjectiveKind::Noise, alpha, sigma) - 5.0 / 25.0).abs() < 1e-4);
        assert!((weight.of(ObjectiveKind::V, alpha, sigma) - 6.0 / 26.0).abs() < 1e-4);
        assert_eq!(weight.of(ObjectiveKind::V, 1.0, 0.0), 0.0);
    }
}
