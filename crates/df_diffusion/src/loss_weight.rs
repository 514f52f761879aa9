//! How much the error of one noise group counts in training, by the signal-to-noise ratio of its level and of its past.

use super::{NoiseSchedule, RecentLevels, TokenSpec};
use crate::ObjectiveKind;
use serde::{Deserialize, Serialize};

/// How much the error of a noise group counts; see [`LossWeight`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossWeightKind {
    /// Hang et al. 2023.
    MinSnr,
    /// Chen et al. 2024.
    FusedSnr,
    /// 1 everywhere.
    Uniform,
}

/// A loss weight over the noise groups of a window.
///
/// With `SNR = alpha^2 / sigma^2` of a noise group, `g = snr_clip`, `S = min(SNR, g) / g` and `U = SNR / g`:
/// - `uniform`: 1.
/// - `min_snr` (Hang et al. 2023, "Efficient Diffusion Training via Min-SNR Weighting Strategy", eq. 7-8): the x0 error
///   weighs `min(SNR, g) = g S`. The error of another target is a multiple of it, noise error `= SNR x` x0 error, v error
///   `= (SNR + 1) x` x0 error; so the weights are `S / U` for noise and `g S / (g U + 1)` for v.
/// - `fused_snr` (Chen et al. 2024, "Diffusion Forcing", appendix on SNR reweighting, and `compute_loss_weights` of its
///   code): a noise group is also told about by its past. The past's ratio is an exponential mean over the frames before it,
///   `C[k] = d C[k-1] + (1 - d) S[k]`, `C[0] = S[0]`, `d = snr_decay`. `S` and `d C[k-1]` are fused as if they were
///   probabilities of independent events, `S' = 1 - (1 - d C[k-1]) (1 - S)`, and `U' = 1 - (1 - d C[k-1]) (1 - U)` alike;
///   both stand in place of `S` and `U` above. With `d = 0` it is `min_snr`.
///
/// `S[k]` is the mean over the modalities of frame `k`: what is hidden there tells nothing. The decay is per frame, as the
/// code's is (it raises it to the power of the frame stack), so that stacking changes nothing.
///
/// Two additions for pure-noise noise groups, whose clean value is still worth predicting from the rest, and with which sampling
/// starts here (in the sources their weight is 0 without a past): for v the x0 error weighs 1 more, which is `1 / (SNR + 1)`
/// more in terms of v; the weight for x0 is at least [`MIN_X0`]; and 0/0 of noise is 1, its limit. Known noise groups (level 0)
/// weigh nothing: there is nothing to learn about them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossWeight {
    pub kind: LossWeightKind,
    pub snr_clip: f32,
    /// Per frame.
    pub snr_decay: f32,
}

/// Least weight of an x0 error.
const MIN_X0: f32 = 1e-2;

impl LossWeight {
    /// Weight of the squared error of the target, per noise group of a window: `levels` and the result are `[token, noise_group]`.
    pub fn of_window(
        &self,
        levels: &[f32],
        spec: &TokenSpec,
        schedule: NoiseSchedule,
        objective: ObjectiveKind,
    ) -> Vec<f32> {
        let mut weights = Vec::with_capacity(levels.len());
        let mut past: Option<f32> = None;
        let mut schedule = RecentLevels::new(schedule);
        for frame in levels.chunks(spec.modalities) {
            let decay = if self.kind == LossWeightKind::FusedSnr { self.snr_decay } else { 0.0 };
            let told = decay * past.unwrap_or(0.0);
            let mut sum = 0.0;
            for &level in frame {
                let (alpha, sigma) = schedule.alpha_sigma(level);
                // Finite, so that a factor 0 makes 0.
                let snr = (alpha * alpha / (sigma * sigma)).min(f32::MAX);
                sum += snr.min(self.snr_clip) / self.snr_clip;
                weights.push(if sigma > 0.0 { self.of_noise_group(snr, told, objective) } else { 0.0 });
            }
            let mean = sum / frame.len() as f32;
            past = Some(past.map_or(mean, |past| decay * past + (1.0 - decay) * mean));
        }
        weights
    }

    /// `told`: what the past tells, `d C[k-1]`.
    fn of_noise_group(&self, snr: f32, told: f32, objective: ObjectiveKind) -> f32 {
        if self.kind == LossWeightKind::Uniform {
            return 1.0;
        }
        let clip = self.snr_clip;
        let fuse = |ratio: f32| told + (1.0 - told) * ratio;
        let (clipped, whole) = (fuse(snr.min(clip) / clip), fuse(snr / clip));
        match objective {
            ObjectiveKind::X0 => (clip * clipped).max(MIN_X0),
            ObjectiveKind::Noise if whole > 0.0 => clipped / whole,
            ObjectiveKind::Noise => 1.0,
            ObjectiveKind::V => clip * clipped / (clip * whole + 1.0) + 1.0 / (snr + 1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NoiseScheduleKind;
    use proptest::prelude::*;

    const SCHEDULE: NoiseSchedule = NoiseSchedule(NoiseScheduleKind::Cosine);
    const OBJECTIVES: [ObjectiveKind; 3] = [ObjectiveKind::X0, ObjectiveKind::Noise, ObjectiveKind::V];

    fn weight(kind: LossWeightKind, snr_decay: f32) -> LossWeight {
        LossWeight { kind, snr_clip: 5.0, snr_decay }
    }

    /// The level of a signal-to-noise ratio: alpha / sigma = 1 / tan(pi/2 level).
    fn level(snr: f32) -> f32 {
        (1.0 / snr.sqrt()).atan() / std::f32::consts::FRAC_PI_2
    }

    fn close(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-4 * e.max(1.0)), "{found:?} {expected:?}");
    }

    #[test]
    fn min_snr_by_hand() {
        let min = weight(LossWeightKind::MinSnr, 0.9);
        // Slots: known; SNR 25, clipped to 5; SNR 2; pure noise.
        let levels = [0.0, level(25.0), level(2.0), 1.0];
        let of = |objective| min.of_window(&levels, &TokenSpec::new(&[0, 1], 1), SCHEDULE, objective);
        close(&of(ObjectiveKind::X0), &[0.0, 5.0, 2.0, 0.01]);
        close(&of(ObjectiveKind::Noise), &[0.0, 5.0 / 25.0, 1.0, 1.0]);
        // v: (min(SNR, 5) + 1) / (SNR + 1).
        close(&of(ObjectiveKind::V), &[0.0, 6.0 / 26.0, 1.0, 1.0]);
        let uniform = weight(LossWeightKind::Uniform, 0.0);
        let spec = TokenSpec::new(&[0, 1], 1);
        close(&uniform.of_window(&levels, &spec, SCHEDULE, ObjectiveKind::V), &[0.0, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn fused_snr_by_hand() {
        // Two modalities, three frames, clip 5, decay 0.8. Frame 0: SNR 5 and pure noise, S = 1 and 0, mean 0.5 = C[0].
        // Frame 1: told 0.8 * 0.5 = 0.4. SNR 2.5: S = U = 0.5, fused 0.4 + 0.6 * 0.5 = 0.7. SNR 25: S = 1, fused 1;
        // U = 5, fused 0.4 + 0.6 * 5 = 3.4. Mean S = 0.75, C[1] = 0.8 * 0.5 + 0.2 * 0.75 = 0.55.
        // Frame 2: told 0.8 * 0.55 = 0.44. Pure noise: fused 0.44. Known: nothing to learn.
        let levels = [level(5.0), 1.0, level(2.5), level(25.0), 1.0, 0.0];
        let fused = weight(LossWeightKind::FusedSnr, 0.8);
        // Frames of one token or of several: the same.
        for frame_stack in [1, 3] {
            let spec = TokenSpec::new(&[0, 1], frame_stack);
            let of = |objective| fused.of_window(&levels, &spec, SCHEDULE, objective);
            close(&of(ObjectiveKind::X0), &[5.0, 0.01, 3.5, 5.0, 2.2, 0.0]);
            close(&of(ObjectiveKind::Noise), &[1.0, 1.0, 1.0, 1.0 / 3.4, 1.0, 0.0]);
            // v: 5 S' / (5 U' + 1) + 1 / (SNR + 1).
            let expected = [
                5.0 / 6.0 + 1.0 / 6.0,
                0.0 + 1.0,
                3.5 / 4.5 + 1.0 / 3.5,
                5.0 / 18.0 + 1.0 / 26.0,
                2.2 / 3.2 + 1.0,
                0.0,
            ];
            close(&of(ObjectiveKind::V), &expected);
        }
    }

    #[test]
    fn a_clean_past_gives_full_weight_however_noisy_the_slot() {
        // C stays 1 along a clean past; told is the decay, and the x0 weight 5 (d + (1 - d) S) is 5 for d = 1.
        let levels = [0.0, 0.0, 0.0, 1.0];
        for decay in [0.9, 1.0] {
            let fused = weight(LossWeightKind::FusedSnr, decay);
            let weights = fused.of_window(&levels, &TokenSpec::new(&[0], 1), SCHEDULE, ObjectiveKind::X0);
            close(&weights, &[0.0, 0.0, 0.0, 5.0 * decay]);
        }
    }

    proptest! {
        #[test]
        fn without_a_past_fused_is_min_snr(levels in prop::collection::vec(0.0f32..=1.0, 8), decay in 0.0f32..1.0) {
            let spec = TokenSpec::new(&[0, 1], 2);
            for objective in OBJECTIVES {
                let of = |kind, decay| weight(kind, decay).of_window(&levels, &spec, SCHEDULE, objective);
                let min = of(LossWeightKind::MinSnr, decay);
                prop_assert_eq!(&of(LossWeightKind::FusedSnr, 0.0), &min);
                // The first frame has no past.
                prop_assert_eq!(&of(LossWeightKind::FusedSnr, decay)[..2], &min[..2]);
            }
        }

        /// A cleaner past never makes a noise group's x0 error count less.
        #[test]
        fn a_cleaner_past_counts_more(past in 0.0f32..1.0, cleaner in 0.0f32..1.0, own in 0.01f32..=1.0, decay in 0.0f32..1.0) {
            let fused = weight(LossWeightKind::FusedSnr, decay);
            let of = |past: f32| fused.of_window(&[past, own], &TokenSpec::new(&[0], 1), SCHEDULE, ObjectiveKind::X0)[1];
            prop_assert!(of(past * cleaner) >= of(past) - 1e-5);
        }
    }
}
