//! Sampling with guidance, within a time: what the denoising steps of a plan consist of.

use super::PlanError;
use super::budget::{Allowed, Budget, StepTimes};
use crate::guidance::{Guidance, Span, share, shorten};
use crate::{GradientKind, GuidanceStep, PlannerConfig};
use df_diffusion::{
    ConditioningMask, Denoiser, Levels, NoiseSchedule, Sampled, SchedulingMatrix, Solver, SolverConfig, TokenSpec,
    Tokens, sample,
};

/// Guidance divides by the signal amplitude; below this it says nothing about the clean value.
const MIN_ALPHA: f32 = 0.1;

/// Samples sequences with a denoiser.
pub struct Generator {
    pub denoiser: Box<dyn Denoiser + Send>,
    pub spec: TokenSpec,
    pub schedule: NoiseSchedule,
    pub guidance: Guidance,
    pub times: StepTimes,
}

/// What one sampling is asked for.
pub struct Task<'a> {
    pub known: &'a ConditioningMask,
    pub matrix: &'a SchedulingMatrix,
    /// What costs see; no frames: no guidance.
    pub span: Span<'a>,
    /// The first token that futures share.
    pub first_shared: usize,
    /// The matrix's column of the token that holds the action to come.
    pub acting: usize,
    /// In units; empty: none.
    pub goal: &'a [f64],
    pub settings: &'a PlannerConfig,
    pub budget: &'a Budget<'a>,
}

/// What a sampling gave.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The clean tokens that were predicted last, `[batch, token, channel]`.
    pub clean: Tokens,
    pub sampled: Sampled,
    pub guided_steps: usize,
    /// Steps that should have been guided, were the time not short.
    pub unguided_steps: usize,
    /// The longest gradient of a sequence before it was shortened, normalised units.
    pub gradient_norm: f32,
    /// Variance of the shared tokens' gradient over the futures of a candidate, summed over values, mean over guided steps.
    pub gradient_variance: f64,
}

impl Generator {
    /// Takes `x` down the rows of the matrix. `noise` fills its argument with noise as stochastic solvers want it.
    ///
    /// # Errors
    /// [`PlanError`]; [`PlanError::OutOfTime`] where the time did not even allow the first step.
    pub fn generate(
        &mut self,
        x: &mut Tokens,
        task: &Task,
        noise: &mut dyn FnMut(&mut Tokens),
    ) -> Result<Generated, PlanError> {
        let settings = task.settings;
        let config = SolverConfig { kind: settings.solver, eta: settings.eta as f32 };
        let mut solver = Solver::new(config, self.schedule, &self.spec);
        let mut steps = Steps { clean: None, guided: 0, unguided: 0, norm: 0.0, variance: 0.0 };
        let near = |row: usize| task.matrix.row(row)[task.acting];
        // Rows until the action is clean.
        let until_clean = (0..=task.matrix.steps()).find(|&row| near(row) <= 0.0).unwrap_or(task.matrix.steps());
        let sampled = sample(x, task.known, task.matrix, &mut solver, noise, &mut |step| {
            let scale = settings.guidance.scale_at(f64::from(near(step.row)));
            let wanted = !task.span.frames.is_empty()
                && settings.guidance.gradient != GradientKind::None
                && scale > 0.0
                // In pure noise the costs of the mean future say nothing yet; once the action is clean, guidance could not
                // change it any more.
                && near(step.row) > 0.0
                && near(step.row) < 1.0;
            let guided = match self.times.allowed(task.budget, until_clean.saturating_sub(step.row + 1)) {
                Allowed::Nothing => return Ok(None),
                Allowed::Guided => wanted,
                Allowed::Plain => false,
            };
            steps.unguided += usize::from(wanted && !guided);
            steps.guided += usize::from(guided);
            // Taken out for the closure's sake: what times is part of what runs.
            let mut times = std::mem::take(&mut self.times);
            let clean = times.timed(task.budget, guided, || {
                if guided {
                    self.guided(step.x, step.levels, task, scale as f32, &mut steps)
                } else {
                    Ok(self.denoiser.denoise(step.x, step.levels)?)
                }
            });
            self.times = times;
            let mut clean = clean?;
            share(&mut clean, settings.rollouts, task.first_shared, settings.shared_tokens);
            steps.clean = Some(clean.clone());
            Ok::<_, PlanError>(Some(clean))
        })?;
        Ok(Generated {
            clean: steps.clean.ok_or(PlanError::OutOfTime)?,
            sampled,
            guided_steps: steps.guided,
            unguided_steps: steps.unguided,
            gradient_norm: steps.norm,
            gradient_variance: steps.variance / steps.guided.max(1) as f64,
        })
    }

    /// The predicted clean tokens, moved against the gradient of the costs.
    ///
    /// The score of the tilted density `p(x) exp(-scale cost)` is `score - scale d cost / d x`; with
    /// `score = (alpha x0 - x) / sigma^2` the clean tokens move by `-scale sigma^2 / alpha d cost / d x` (exact, the gradient
    /// taken through the network), or about `-scale sigma^2 d cost / d x0` (cheap).
    fn guided(
        &mut self,
        x: &Tokens,
        levels: &Levels,
        task: &Task,
        scale: f32,
        steps: &mut Steps,
    ) -> Result<Tokens, PlanError> {
        let (settings, guidance) = (task.settings, &self.guidance);
        let exact = settings.guidance.gradient == GradientKind::Exact;
        let of_clean = |clean: &Tokens| guidance.evaluate(clean, &task.span, task.goal).1;
        let mut slope = None;
        let (mut clean, mut gradient) = if exact {
            self.denoiser.denoise_with_gradient(x, levels, &mut |clean| {
                let gradient = of_clean(clean);
                slope = Some(gradient.clone());
                gradient
            })?
        } else {
            let clean = self.denoiser.denoise(x, levels)?;
            let gradient = of_clean(&clean);
            (clean, gradient)
        };
        let slope = slope.unwrap_or_else(|| gradient.clone());
        steps.variance += share(&mut gradient, settings.rollouts, task.first_shared, settings.shared_tokens);
        steps.norm = steps.norm.max(shorten(&mut gradient, settings.guidance.max_norm as f32));
        if let Some(value) = gradient.data.iter().find(|g| !g.is_finite()) {
            return Err(PlanError::Gradient(*value));
        }
        // From here on the gradient is the move: how far, and only of what is sampled.
        let mut factors = vec![0.0; levels.noise_groups];
        for b in 0..x.batch {
            for t in 0..x.tokens {
                for (noise_group, (factor, &level)) in factors.iter_mut().zip(levels.at(b, t)).enumerate() {
                    let (alpha, sigma) = self.schedule.alpha_sigma(level);
                    let through = if exact { alpha.max(MIN_ALPHA) } else { 1.0 };
                    let sampled = task.known.is_sampled(b, t, noise_group);
                    *factor = if sampled { scale * sigma * sigma / through } else { 0.0 };
                }
                let of_token = gradient.at_mut(b, t).iter_mut();
                of_token
                    .zip(&self.spec.noise_group_of_channel)
                    .for_each(|(g, &noise_group)| *g *= factors[noise_group]);
            }
        }
        let shares = match settings.guidance.step {
            GuidanceStep::Plain => vec![1.0; x.batch],
            GuidanceStep::LineSearch => line_search(&clean, &gradient, &slope, settings.rollouts, &of_clean),
        };
        let length = x.tokens * x.channels;
        for (i, (value, by)) in clean.data.iter_mut().zip(&gradient.data).enumerate() {
            *value -= shares[i / length] * by;
        }
        Ok(clean)
    }
}

/// What is counted while the steps are taken.
struct Steps {
    clean: Option<Tokens>,
    guided: usize,
    unguided: usize,
    norm: f32,
    variance: f64,
}

/// How much of the move each sequence makes; the futures of a candidate make the same share.
///
/// Given `x`, the clean tokens have some covariance `C` around their mean `m`, and the move `d = scale C g` (`g`: the costs'
/// slope at `m`) is the one exact gradient step; the mean of the tilted density lies where
/// `1/2 d' C^-1 d share^2 / scale + cost(m - share d)` is least. With the costs' curvature along `d`, found from their slope at
/// `m - d`, that is `share = g.d / (g.d + d' H d)`: exact for a Gaussian and a quadratic cost of one direction, and never more
/// than the whole move.
fn line_search(
    clean: &Tokens,
    by: &Tokens,
    slope: &Tokens,
    rollouts: usize,
    of_clean: &dyn Fn(&Tokens) -> Tokens,
) -> Vec<f32> {
    let mut moved = clean.clone();
    moved.data.iter_mut().zip(&by.data).for_each(|(value, by)| *value -= by);
    let there = of_clean(&moved);
    let length = rollouts * clean.tokens * clean.channels;
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    let of_candidate = |c: usize| {
        let range = c * length..(c + 1) * length;
        let (by, here, there) = (&by.data[range.clone()], &slope.data[range.clone()], &there.data[range]);
        let descent = dot(here, by);
        let curvature = (descent - dot(there, by)).max(0.0);
        // No descent at all: the gradient does not say where to go.
        if descent > 0.0 { (descent / (descent + curvature)) as f32 } else { 0.0 }
    };
    (0..clean.batch).map(|b| of_candidate(b / rollouts)).collect()
}
