//! The weight of a noise group's error in training, by the signal-to-noise ratio of its level and of its past.

use serde::{Deserialize, Serialize};

use crate::{NoiseSchedule, ObjectiveKind, RecentLevels, TokenSpec};

/// Which weighting of errors; see [`LossWeight`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossWeightKind {
    /// By the clipped signal-to-noise ratio (Hang et al. 2023).
    MinSnr,
    /// By the clipped signal-to-noise ratios of level and past (Chen et al. 2024).
    FusedSnr,
    /// 1 everywhere.
    Uniform,
}

/// The weights of squared errors over the noise groups of a window.
///
/// With `SNR = alpha^2 / sigma^2` of a noise group, `g = snr_clip`, `S = min(SNR, g) / g` and `U = SNR / g`:
/// - `uniform`: 1.
/// - `min_snr` (Hang et al. 2023, "Efficient Diffusion Training via Min-SNR Weighting Strategy", eq. 7-8): the x0 error
///   weighs `min(SNR, g) = g S`. The error of another target is a multiple of it, noise error `= SNR x` x0 error, v
///   error `= (SNR + 1) x` x0 error; so the weights are `S / U` for noise and `g S / (g U + 1)` for v.
/// - `fused_snr` (Chen et al. 2024, "Diffusion Forcing", appendix on SNR reweighting, and `compute_loss_weights` of its
///   code): the past of a noise group adds information about it. The ratio of the past is an exponential mean over the
///   frames before, `C[k] = d C[k-1] + (1 - d) S[k]`, `C[0] = S[0]`, `d = snr_decay`. `S` and `d C[k-1]` are fused like
///   probabilities of independent events: `S' = 1 - (1 - d C[k-1]) (1 - S)`, and `U' = 1 - (1 - d C[k-1]) (1 - U)`.
///   They replace `S` and `U` above. With `d = 0` the result is `min_snr`.
///
/// `S[k]` is the mean over the modalities of frame `k`. A modality at level 1 counts as 0. The decay is per frame, as
/// in the code of the paper, which raises it to the power of the frame stack. The weights therefore do not depend on
/// the stacking.
///
/// The sources give a pure-noise group without a past the weight 0. Sampling starts with such groups, so they must be
/// learned. Hence three additions:
/// - v: the x0 error weighs 1 more, which is `1 / (SNR + 1)` more in terms of v;
/// - x0: the weight is at least 0.01;
/// - noise: 0/0 is 1, its limit.
///
/// Known noise groups (level 0) have the weight 0: they hold nothing to learn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossWeight {
    /// The weighting.
    pub kind: LossWeightKind,
    /// The ratio `g` at which the signal-to-noise ratio is clipped.
    pub snr_clip: f32,
    /// The decay `d` of the past per frame, in [0, 1]; only `fused_snr` uses it.
    pub snr_decay: f32,
}

/// Minimum weight of an x0 error: without it, the first denoising step would rest on an untrained prediction.
const MIN_X0_WEIGHT: f32 = 1e-2;

impl LossWeight {
    /// Weights of the squared errors of the target in one window; `levels` and the result are `[token, noise_group]`.
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
            let from_past = decay * past.unwrap_or(0.0);
            let mut sum = 0.0;
            for &level in frame {
                let (alpha, sigma) = schedule.alpha_sigma(level);
                // Infinity times 0 would be NaN.
                let snr = (alpha * alpha / (sigma * sigma)).min(f32::MAX);
                sum += snr.min(self.snr_clip) / self.snr_clip;
                weights.push(if sigma > 0.0 { self.of_noise_group(snr, from_past, objective) } else { 0.0 });
            }
            let mean = sum / frame.len() as f32;
            past = Some(past.map_or(mean, |past| decay * past + (1.0 - decay) * mean));
        }
        weights
    }

    /// The weight of one noise group; `from_past`: `d C[k-1]`.
    fn of_noise_group(&self, snr: f32, from_past: f32, objective: ObjectiveKind) -> f32 {
        if self.kind == LossWeightKind::Uniform {
            return 1.0;
        }
        let clip = self.snr_clip;
        let fuse = |ratio: f32| from_past + (1.0 - from_past) * ratio;
        let (clipped, unclipped) = (fuse(snr.min(clip) / clip), fuse(snr / clip));
        match objective {
            ObjectiveKind::X0 => (clip * clipped).max(MIN_X0_WEIGHT),
            ObjectiveKind::Noise if unclipped > 0.0 => clipped / unclipped,
            ObjectiveKind::Noise => 1.0,
            ObjectiveKind::V => clip * clipped / (clip * unclipped + 1.0) + 1.0 / (snr + 1.0),
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
    fn min_snr_weights_match_values_computed_by_hand() {
        let min = weight(LossWeightKind::MinSnr, 0.9);
        // Noise groups: known; SNR 25, clipped to 5; SNR 2; pure noise.
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
    fn fused_snr_weights_match_values_computed_by_hand() {
        // Two modalities, three frames, clip 5, decay 0.8. Frame 0: SNR 5 and pure noise, S = 1 and 0, mean 0.5 = C[0].
        // Frame 1: from the past 0.8 * 0.5 = 0.4. SNR 2.5: S = U = 0.5, fused 0.4 + 0.6 * 0.5 = 0.7. SNR 25: S = 1,
        // fused 1; U = 5, fused 0.4 + 0.6 * 5 = 3.4. Mean S = 0.75, C[1] = 0.8 * 0.5 + 0.2 * 0.75 = 0.55. Frame 2: from
        // the past 0.8 * 0.55 = 0.44. Pure noise: fused 0.44. Known: 0.
        let levels = [level(5.0), 1.0, level(2.5), level(25.0), 1.0, 0.0];
        let fused = weight(LossWeightKind::FusedSnr, 0.8);
        // The frame stack does not change the weights.
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
    fn after_a_clean_past_pure_noise_weighs_the_clip_times_the_decay() {
        // Along a clean past C stays 1. The x0 weight of pure noise is then 5 (d + (1 - d) 0) = 5 d.
        let levels = [0.0, 0.0, 0.0, 1.0];
        for decay in [0.9, 1.0] {
            let fused = weight(LossWeightKind::FusedSnr, decay);
            let weights = fused.of_window(&levels, &TokenSpec::new(&[0], 1), SCHEDULE, ObjectiveKind::X0);
            close(&weights, &[0.0, 0.0, 0.0, 5.0 * decay]);
        }
    }

    proptest! {
        #[test]
        fn without_a_past_fused_snr_equals_min_snr(levels in prop::collection::vec(0.0f32..=1.0, 8), decay in 0.0f32..1.0) {
            let spec = TokenSpec::new(&[0, 1], 2);
            for objective in OBJECTIVES {
                let of = |kind, decay| weight(kind, decay).of_window(&levels, &spec, SCHEDULE, objective);
                let min = of(LossWeightKind::MinSnr, decay);
                prop_assert_eq!(&of(LossWeightKind::FusedSnr, 0.0), &min);
                // The first frame has no past.
                prop_assert_eq!(&of(LossWeightKind::FusedSnr, decay)[..2], &min[..2]);
            }
        }

        #[test]
        fn a_cleaner_past_never_lowers_the_weight_of_an_x0_error(past in 0.0f32..1.0, cleaner in 0.0f32..1.0, own in 0.01f32..=1.0, decay in 0.0f32..1.0) {
            let fused = weight(LossWeightKind::FusedSnr, decay);
            let of = |past: f32| fused.of_window(&[past, own], &TokenSpec::new(&[0], 1), SCHEDULE, ObjectiveKind::X0)[1];
            prop_assert!(of(past * cleaner) >= of(past) - 1e-5);
        }
    }
}
