//! The guided sampler: takes noisy tokens down the rows of a scheduling matrix, guided by costs, within a time budget.

use df_core::{Layout, Normaliser};
use df_diffusion::{Denoiser, NoiseSchedule, Solver, SolverConfig, TokenSpec, Tokens, sample};

use super::budget::{Allowed, StepTimes};
use super::conditioning::Conditioning;
use super::error::SamplingError;
use super::guidance_step::GuidanceInput;
use super::sampling_task::{GuidedSample, SamplingTask};
use crate::config::GradientKind;
use crate::costs::Cost;
use crate::guidance::{Guidance, average_shared_tokens};

/// A denoiser with everything that sampling needs around it: layout, normaliser, noise schedule, costs, step times.
pub struct GuidedSampler {
    denoiser: Box<dyn Denoiser + Send>,
    layout: Layout,
    normaliser: Normaliser,
    spec: TokenSpec,
    schedule: NoiseSchedule,
    guidance: Guidance,
    times: StepTimes,
}

/// What the denoising steps of one sampling add up to.
#[derive(Default)]
struct StepTotals {
    clean: Option<Tokens>,
    guided: usize,
    unguided: usize,
    gradient_norm: f32,
    gradient_variance: f64,
}

impl GuidedSampler {
    /// A sampler of tokens of `layout`. `costs` guide it; `period_s` is the time between two frames, seconds.
    pub fn new(
        denoiser: Box<dyn Denoiser + Send>,
        layout: Layout,
        normaliser: Normaliser,
        schedule: NoiseSchedule,
        costs: Vec<Box<dyn Cost>>,
        period_s: f64,
    ) -> Self {
        let spec = TokenSpec::new(&layout.modality_of_channel(), layout.frame_stack);
        let guidance = Guidance::new(costs, normaliser.clone(), &spec, period_s);
        Self { denoiser, layout, normaliser, spec, schedule, guidance, times: StepTimes::default() }
    }

    /// A sampler that no cost guides.
    pub fn without_costs(
        denoiser: Box<dyn Denoiser + Send>,
        layout: Layout,
        normaliser: Normaliser,
        schedule: NoiseSchedule,
    ) -> Self {
        // Only costs read the period.
        Self::new(denoiser, layout, normaliser, schedule, Vec::new(), 1.0)
    }

    /// Groups and channels of a frame.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// From units to normalised values.
    pub fn normaliser(&self) -> &Normaliser {
        &self.normaliser
    }

    /// Noise groups of a token.
    pub fn spec(&self) -> &TokenSpec {
        &self.spec
    }

    /// The noise schedule that the denoiser was trained with.
    pub fn schedule(&self) -> NoiseSchedule {
        self.schedule
    }

    /// The costs.
    pub fn guidance(&self) -> &Guidance {
        &self.guidance
    }

    /// The costs, to change their weights.
    pub fn guidance_mut(&mut self) -> &mut Guidance {
        &mut self.guidance
    }

    /// The longest sequence of one evaluation, tokens; `None`: any.
    pub fn max_tokens(&self) -> Option<usize> {
        self.denoiser.max_tokens()
    }

    /// Conditioning for this sampler's tokens. `history_actions`: whether the actions of the history are known.
    pub fn conditioning(&self, history_actions: bool) -> Conditioning<'_> {
        Conditioning {
            layout: &self.layout,
            normaliser: &self.normaliser,
            schedule: self.schedule,
            spec: &self.spec,
            history_actions,
        }
    }

    /// Tokens of zeros, `[batch, token, channel]`.
    pub fn zeros(&self, batch: usize, tokens: usize) -> Tokens {
        Tokens::zeros(batch, tokens, self.spec.channels())
    }

    /// The frames of sequence `b` from token `first` on, `[frame][channel]`, in units.
    pub fn frames(&self, x: &Tokens, b: usize, first: usize) -> Vec<Vec<f32>> {
        x.sequence(b)[first * x.channels..]
            .chunks_exact(self.layout.frame_channels())
            .map(|frame| self.guidance.in_units(frame))
            .collect()
    }

    /// Takes `x` down the rows of the matrix. `noise` fills its argument with the noise of stochastic solvers.
    ///
    /// # Shapes
    /// `x` is `[batch, token, channel]`. Its sampled noise groups are at the levels of row 0.
    ///
    /// # Errors
    /// [`SamplingError`]; [`SamplingError::OutOfTime`] where the time did not allow the first step.
    pub fn sample(
        &mut self,
        x: &mut Tokens,
        task: &SamplingTask,
        noise: &mut dyn FnMut(&mut Tokens),
    ) -> Result<GuidedSample, SamplingError> {
        let config = task.config;
        let solver_config = SolverConfig { kind: config.solver, eta: config.eta as f32 };
        let mut solver = Solver::new(solver_config, self.schedule, &self.spec);
        let mut totals = StepTotals::default();
        let acting_level = |row: usize| task.matrix.row(row)[task.acting];
        let rows = task.matrix.steps();
        let rows_until_clean = (0..=rows).find(|&row| acting_level(row) <= 0.0).unwrap_or(rows);
        let sampled = sample(x, task.mask, task.matrix, &mut solver, noise, &mut |step| {
            let level = acting_level(step.row);
            let scale = config.guidance.scale_at(f64::from(level));
            let wanted = !task.span.frames.is_empty()
                && config.guidance.gradient != GradientKind::None
                && scale > 0.0
                // In pure noise the costs say nothing yet. Once the action is clean, guidance cannot change it.
                && level > 0.0
                && level < 1.0;
            let guided = match self.times.allowed(task.budget, rows_until_clean.saturating_sub(step.row + 1)) {
                Allowed::Nothing => return Ok(None),
                Allowed::Guided => wanted,
                Allowed::Plain => false,
            };
            totals.unguided += usize::from(wanted && !guided);
            totals.guided += usize::from(guided);
            let mut clean = self.times.timed(task.budget, guided, || {
                if !guided {
                    return Ok(self.denoiser.denoise(step.x, step.levels)?);
                }
                let input = GuidanceInput {
                    x: step.x,
                    levels: step.levels,
                    scale: scale as f32,
                    guidance: &self.guidance,
                    schedule: self.schedule,
                    spec: &self.spec,
                    task,
                };
                let prediction = input.predict(&mut *self.denoiser)?;
                totals.gradient_variance += prediction.gradient_variance;
                totals.gradient_norm = totals.gradient_norm.max(prediction.gradient_norm);
                Ok::<_, SamplingError>(prediction.clean)
            })?;
            average_shared_tokens(&mut clean, config.rollouts, task.first_shared, config.shared_tokens);
            totals.clean = Some(clean.clone());
            Ok::<_, SamplingError>(Some(clean))
        })?;
        Ok(GuidedSample {
            clean: totals.clean.ok_or(SamplingError::OutOfTime)?,
            sampled,
            guided_steps: totals.guided,
            unguided_steps: totals.unguided,
            gradient_norm: totals.gradient_norm,
            gradient_variance: totals.gradient_variance / totals.guided.max(1) as f64,
        })
    }
}
