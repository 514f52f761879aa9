//! One guided prediction: the clean tokens, moved against the gradient of the costs.
//!
//! The score of the tilted density `p(x) exp(-scale cost)` is `score - scale d cost / d x`. With
//! `score = (alpha x0 - x) / sigma^2` the clean tokens move by `-scale sigma^2 / alpha d cost / d x`. That is exact, with the
//! gradient taken through the network. The cheap gradient moves them by about `-scale sigma^2 d cost / d x0`.

use df_diffusion::{Denoiser, DenoiserError, Levels, NoiseSchedule, TokenSpec, Tokens};

use super::error::SamplingError;
use super::sampling_task::SamplingTask;
use crate::config::{GradientKind, GuidanceStep};
use crate::guidance::{Guidance, average_shared_tokens, clip_norm};

/// Guidance divides by the signal amplitude. Below this amplitude the noisy tokens say nothing about the clean ones.
const MIN_ALPHA: f32 = 0.1;

/// What a guided prediction needs beside the denoiser.
pub(super) struct GuidanceInput<'a> {
    /// The noisy tokens, `[batch, token, channel]`.
    pub(super) x: &'a Tokens,
    /// Their levels, `[batch, token, noise_group]`.
    pub(super) levels: &'a Levels,
    /// Factor of the costs.
    pub(super) scale: f32,
    pub(super) guidance: &'a Guidance,
    pub(super) schedule: NoiseSchedule,
    pub(super) spec: &'a TokenSpec,
    pub(super) task: &'a SamplingTask<'a>,
}

/// A guided prediction.
pub(super) struct GuidedPrediction {
    /// The moved clean tokens, `[batch, token, channel]`.
    pub(super) clean: Tokens,
    /// The largest norm of a sequence's gradient before it was clipped.
    pub(super) gradient_norm: f32,
    /// As [`average_shared_tokens`] returns it.
    pub(super) gradient_variance: f64,
}

impl GuidanceInput<'_> {
    /// Predicts the clean tokens and moves them.
    ///
    /// # Errors
    /// [`SamplingError`]: the network fails, or a gradient is not finite.
    pub(super) fn predict(&self, denoiser: &mut dyn Denoiser) -> Result<GuidedPrediction, SamplingError> {
        let (task, config) = (self.task, self.task.config);
        let gradient_at = |clean: &Tokens| self.guidance.evaluate(clean, &task.span, task.goal).1;
        let (mut clean, mut gradient, slope) = match config.guidance.gradient {
            GradientKind::Exact => {
                let (mut slope, mut fault) = (None, None);
                let result = denoiser.denoise_with_gradient(self.x, self.levels, &mut |clean| {
                    let gradient = gradient_at(clean);
                    if gradient.data.iter().any(|value| !value.is_finite()) {
                        fault = self.guidance.non_finite_cost(clean, &task.span, task.goal);
                    }
                    slope = Some(gradient.clone());
                    gradient
                });
                // A denoiser refuses what is not finite. The cost at fault says more.
                let (clean, gradient) = match (result, fault) {
                    (Err(DenoiserError::NotFinite), Some((cost, value))) => {
                        return Err(SamplingError::CostGradient { cost, value });
                    }
                    (result, _) => result?,
                };
                let slope = slope.unwrap_or_else(|| gradient.clone());
                (clean, gradient, slope)
            }
            GradientKind::Cheap | GradientKind::None => {
                let clean = denoiser.denoise(self.x, self.levels)?;
                let gradient = gradient_at(&clean);
                let slope = gradient.clone();
                (clean, gradient, slope)
            }
        };
        let gradient_variance =
            average_shared_tokens(&mut gradient, config.rollouts, task.first_shared, config.shared_tokens);
        let gradient_norm = clip_norm(&mut gradient, config.guidance.max_norm as f32);
        if let Some(&value) = gradient.data.iter().find(|g| !g.is_finite()) {
            return Err(self.non_finite(&clean, value));
        }
        let step = self.scaled(gradient);
        let fractions = match config.guidance.step {
            GuidanceStep::Plain => vec![1.0; self.x.batch],
            GuidanceStep::LineSearch => line_search(&clean, &step, &slope, config.rollouts, &gradient_at),
        };
        let length = self.x.tokens * self.x.channels;
        for (i, (value, by)) in clean.data.iter_mut().zip(&step.data).enumerate() {
            *value -= fractions[i / length] * by;
        }
        Ok(GuidedPrediction { clean, gradient_norm, gradient_variance })
    }

    /// The error for a gradient that holds `value`: names the cost at fault, if one is.
    fn non_finite(&self, clean: &Tokens, value: f32) -> SamplingError {
        match self.guidance.non_finite_cost(clean, &self.task.span, self.task.goal) {
            Some((cost, value)) => SamplingError::CostGradient { cost, value },
            None => SamplingError::NetworkGradient { value },
        }
    }

    /// The step that the gradient stands for, of sampled noise groups only.
    fn scaled(&self, mut gradient: Tokens) -> Tokens {
        let exact = self.task.config.guidance.gradient == GradientKind::Exact;
        let mut factors = vec![0.0; self.levels.noise_groups];
        for b in 0..self.x.batch {
            for t in 0..self.x.tokens {
                for (noise_group, (factor, &level)) in factors.iter_mut().zip(self.levels.at(b, t)).enumerate() {
                    let (alpha, sigma) = self.schedule.alpha_sigma(level);
                    let through = if exact { alpha.max(MIN_ALPHA) } else { 1.0 };
                    let sampled = self.task.mask.is_sampled(b, t, noise_group);
                    *factor = if sampled { self.scale * sigma * sigma / through } else { 0.0 };
                }
                let values = gradient.at_mut(b, t).iter_mut();
                values.zip(&self.spec.noise_group_of_channel).for_each(|(g, &noise_group)| *g *= factors[noise_group]);
            }
        }
        gradient
    }
}

/// The fraction of its step that each sequence takes. The rollouts of a candidate take the same fraction.
///
/// Given `x`, the clean tokens have some covariance `C` around their mean `m`, and the step `d = scale C g` (`g`: the slope of
/// the costs at `m`) is the one exact gradient step. The mean of the tilted density is where
/// `1/2 d' C^-1 d fraction^2 / scale + cost(m - fraction d)` is smallest. The curvature of the costs along `d` follows from
/// their slope at `m - d`. So `fraction = g.d / (g.d + d' H d)`. It is exact for a Gaussian and a quadratic cost of one
/// direction, and at most 1.
///
/// # Shapes
/// `clean`, `step` and `slope` are `[candidate * rollouts, token, channel]`; the result has one value per sequence.
fn line_search(
    clean: &Tokens,
    step: &Tokens,
    slope: &Tokens,
    rollouts: usize,
    gradient_at: &dyn Fn(&Tokens) -> Tokens,
) -> Vec<f32> {
    let mut moved = clean.clone();
    moved.data.iter_mut().zip(&step.data).for_each(|(value, by)| *value -= by);
    let slope_there = gradient_at(&moved);
    let length = rollouts * clean.tokens * clean.channels;
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    let of_candidate = |c: usize| {
        let range = c * length..(c + 1) * length;
        let (step, here, there) = (&step.data[range.clone()], &slope.data[range.clone()], &slope_there.data[range]);
        let descent = dot(here, step);
        let curvature = (descent - dot(there, step)).max(0.0);
        // Without descent the gradient gives no direction.
        if descent > 0.0 { (descent / (descent + curvature)) as f32 } else { 0.0 }
    };
    (0..clean.batch).map(|b| of_candidate(b / rollouts)).collect()
}
