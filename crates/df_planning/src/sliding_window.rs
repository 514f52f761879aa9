//! Sequences of any length: a window of what the network was trained on slides over them.

use super::PlanError;
use super::budget::Budget;
use super::guided_sampler::{Generated, Generator, Task};
use crate::PlannerConfig;
use crate::guidance::Span;
use df_diffusion::MatrixKind;
use df_diffusion::{ConditioningMask, SchedulingMatrix, Tokens};

/// What is sampled, over the whole length.
pub struct SlidingWindow<'a> {
    pub known: &'a ConditioningMask,
    /// Tokens before the first one that follows the scheduling matrix: the history.
    pub first: usize,
    /// Tokens of one window that the next one begins with, at least 1.
    pub overlap: usize,
    /// The token after the history that holds the action to come.
    pub acting: usize,
    pub matrix: MatrixKind,
    /// Frames that costs are counted over, from the newest history token on, per sequence; empty: no guidance.
    pub cost_horizon: &'a [usize],
    pub goal: &'a [f64],
    pub settings: &'a PlannerConfig,
    pub budget: &'a Budget<'a>,
}

impl Generator {
    /// The longest sequence of one evaluation; the whole where the denoiser takes any.
    pub fn window(&self, tokens: usize) -> usize {
        self.denoiser.max_tokens().map_or(tokens, |max| max.min(tokens))
    }

    /// Samples all of `x` (noise where it is to be sampled). Where it is longer than the window, each next window begins with
    /// the last tokens of the one before, now known.
    ///
    /// The first window's account is returned, with the tokens that were sampled in all: `x` is cut behind the last window that
    /// the time allowed.
    ///
    /// # Errors
    /// As [`Generator::generate`]; [`PlanError::TooLong`] where the history alone fills the window.
    pub fn sample_sliding_window(
        &mut self,
        x: &mut Tokens,
        whole: &SlidingWindow,
        noise: &mut dyn FnMut(&mut Tokens),
    ) -> Result<Generated, PlanError> {
        let (total, max) = (x.tokens, self.window(x.tokens));
        let overlap = whole.overlap;
        if (total > max && overlap.max(whole.first) >= max) || whole.first >= total {
            return Err(PlanError::TooLong { history: whole.first, horizon: total - whole.first, max });
        }
        let settings = whole.settings;
        // Later windows do not hold the history any more; it is the same for every sequence.
        let frame = x.channels / self.spec.frame_stack;
        let mut newest: Option<Vec<f32>> = None;
        let mut first_generated = None;
        let (mut begin, mut before) = (0, whole.first);
        loop {
            let end = (begin + max).min(total);
            let mut part = x.window(begin..end);
            let mut known = whole.known.window(begin..end);
            if begin > 0 {
                known.condition_sampled(before, &part);
            }
            known.apply(&mut part, self.schedule);
            let (rows, slope) = (settings.denoising_steps, settings.uncertainty_scale);
            let matrix = SchedulingMatrix::new(whole.matrix, end - begin - before, rows, slope)?;
            let skipped = (begin + before - whole.first) * self.spec.frame_stack;
            let cost_horizon: Vec<usize> =
                whole.cost_horizon.iter().map(|frames| frames.saturating_sub(skipped)).collect();
            let task = Task {
                known: &known,
                matrix: &matrix,
                span: Span { first_future: before, skipped, frames: &cost_horizon, newest: newest.as_deref() },
                acting: if begin == 0 { whole.acting } else { 0 },
                first_shared: if begin == 0 { before } else { end - begin },
                goal: whole.goal,
                settings,
                budget: whole.budget,
            };
            let generated = match self.generate(&mut part, &task, noise) {
                Err(PlanError::OutOfTime) if begin > 0 => {
                    *x = x.window(0..begin + before);
                    break;
                }
                generated => generated?,
            };
            first_generated.get_or_insert(generated);
            x.put_window(begin, begin..end, &part);
            if end == total {
                break;
            }
            begin = end - overlap;
            let history = (whole.first > 0).then(|| &x.sequence(0)[..whole.first * x.channels]);
            newest = history.map(|values| self.guidance.in_units(&values[values.len() - frame..]));
            before = overlap;
        }
        first_generated.ok_or(PlanError::OutOfTime)
    }
}
