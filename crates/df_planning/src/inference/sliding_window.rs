//! Sliding window: sequences of any length, sampled window by window. A window is as long as what the network was trained on.

use df_diffusion::{ConditioningMask, MatrixKind, SchedulingMatrix, Tokens};

use super::budget::Budget;
use super::error::{SamplingError, TooLong};
use super::guided_sampler::GuidedSampler;
use super::sampling_task::{GuidedSample, SamplingTask};
use crate::config::PlannerConfig;
use crate::guidance::CostSpan;

/// What is sampled, over the whole length.
pub struct SlidingWindow<'a> {
    /// The known noise groups.
    pub mask: &'a ConditioningMask,
    /// Tokens of the history. The tokens after it follow the scheduling matrix.
    pub first: usize,
    /// Tokens of one window that the next one begins with, at least 1.
    pub overlap: usize,
    /// The token after the history that holds the next action.
    pub acting: usize,
    /// The order in which tokens are denoised.
    pub matrix: MatrixKind,
    /// Frames that costs see, from the newest history token on, per sequence; empty: no guidance.
    pub cost_horizon: &'a [usize],
    /// The goal in units; empty without a goal.
    pub goal: &'a [f64],
    /// Solver, denoising steps, guidance, rollouts.
    pub config: &'a PlannerConfig,
    /// The time that is left.
    pub budget: &'a Budget<'a>,
}

impl GuidedSampler {
    /// Samples all of `x`, which holds noise. Where `x` is longer than the window, each next window begins with the last tokens
    /// of the one before, which are then known.
    ///
    /// Returns the sample of the first window. `x` is cut behind the last window that the time allowed.
    ///
    /// # Shapes
    /// `x` is `[batch, token, channel]`, normalised.
    ///
    /// # Errors
    /// As [`GuidedSampler::sample`]; [`SamplingError::TooLong`] where the history alone fills the window.
    pub fn sample_sliding_window(
        &mut self,
        x: &mut Tokens,
        whole: &SlidingWindow,
        noise: &mut dyn FnMut(&mut Tokens),
    ) -> Result<GuidedSample, SamplingError> {
        let total = x.tokens;
        let max = self.max_tokens().map_or(total, |max| max.min(total));
        let (first, overlap) = (whole.first, whole.overlap);
        if (total > max && overlap.max(first) >= max) || first >= total {
            return Err(TooLong { history: first, horizon: total - first, max }.into());
        }
        let config = whole.config;
        // Later windows do not hold the history. Its newest frame is the same in every sequence.
        let mut newest: Option<Vec<f32>> = None;
        let mut first_sample = None;
        let (mut begin, mut known) = (0, first);
        loop {
            let end = (begin + max).min(total);
            let mut part = x.window(begin..end);
            let mut mask = whole.mask.window(begin..end);
            if begin > 0 {
                mask.condition_sampled(known, &part);
            }
            mask.apply(&mut part, self.schedule());
            let (steps, uncertainty_scale) = (config.denoising_steps, config.uncertainty_scale);
            let matrix = SchedulingMatrix::new(whole.matrix, end - begin - known, steps, uncertainty_scale)?;
            let skipped = (begin + known - first) * self.spec().frame_stack;
            let cost_horizon: Vec<usize> =
                whole.cost_horizon.iter().map(|frames| frames.saturating_sub(skipped)).collect();
            let task = SamplingTask {
                mask: &mask,
                matrix: &matrix,
                span: CostSpan { first_future: known, skipped, frames: &cost_horizon, newest: newest.as_deref() },
                acting: if begin == 0 { whole.acting } else { 0 },
                first_shared: if begin == 0 { known } else { end - begin },
                goal: whole.goal,
                config,
                budget: whole.budget,
            };
            let sample = match self.sample(&mut part, &task, noise) {
                Err(SamplingError::OutOfTime) if begin > 0 => {
                    *x = x.window(0..begin + known);
                    break;
                }
                sample => sample?,
            };
            first_sample.get_or_insert(sample);
            x.put_window(begin, begin..end, &part);
            if end == total {
                break;
            }
            begin = end - overlap;
            newest = (first > 0).then(|| {
                let history = &x.sequence(0)[..first * x.channels];
                self.guidance().in_units(&history[history.len() - self.layout().frame_channels()..])
            });
            known = overlap;
        }
        first_sample.ok_or(SamplingError::OutOfTime)
    }
}
