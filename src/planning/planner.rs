//! The planner: history in, plan out. Samples candidate futures by diffusion forcing, guided by costs, and picks one.

use std::ops::Range;
use std::path::Path;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::arrival::Arrivals;
use super::conditioning::{Conditioning, KnownObservation};
use super::{Plan, PlanRequest};
use crate::config::{Config, GradientKind, PlannerConfig};
use crate::diffusion::{
    Denoiser, DenoiserError, Levels, MatrixError, NoiseSchedule, SchedulingMatrix, Solver, SolverKind, TokenSpec,
    Tokens,
};
use crate::guidance::{Guidance, costs, share, shorten};
use crate::model::{Checkpoint, engine};
use crate::signal::{Layout, Normaliser};

/// Guidance divides by the signal amplitude; below this it says nothing about the clean value.
const LEAST_ALPHA: f32 = 0.1;

/// Plans with a denoiser.
pub struct Planner {
    denoiser: Box<dyn Denoiser + Send>,
    layout: Layout,
    normaliser: Normaliser,
    spec: TokenSpec,
    schedule: NoiseSchedule,
    guidance: Guidance,
    settings: PlannerConfig,
    goal_modality: Option<usize>,
    period_ns: i64,
    arrivals: Arrivals,
}

/// Why no plan was made, or no planner.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PlanError {
    /// The checkpoint cannot be read, or was trained under another contract; says what differs.
    #[error("{0}")]
    Checkpoint(String),
    #[error(transparent)]
    Matrix(#[from] MatrixError),
    #[error(transparent)]
    Denoiser(#[from] DenoiserError),
    #[error(
        "{history} history tokens and a horizon of {horizon} are more than the {most} tokens that the network was trained on"
    )]
    TooLong { history: usize, horizon: usize, most: usize },
    /// A cost does not fit the layout; says where in the configuration.
    #[error("{0}")]
    Cost(String),
    #[error("the plan holds a value that is not finite")]
    NotFinite,
    /// Planning ended in a panic, which the caller caught.
    #[error("planning panicked: {0}")]
    Panicked(String),
}

impl Planner {
    /// Loads a checkpoint directory and checks it against the configuration and the layout of its bound contract.
    /// `device_name`: `cpu`, `flex`, `tch`, `cuda:0`.
    ///
    /// # Errors
    /// [`PlanError::Checkpoint`]; [`PlanError::TooLong`]; [`PlanError::Cost`].
    pub fn load(checkpoint: &Path, config: &Config, layout: &Layout, device_name: &str) -> Result<Self, PlanError> {
        let refused = |message: String| PlanError::Checkpoint(message);
        let engine = engine(device_name).map_err(|e| refused(e.to_string()))?;
        let loaded = Checkpoint::load(checkpoint, &engine.device()).map_err(|e| refused(e.to_string()))?;
        loaded.check(checkpoint, config, layout).map_err(|e| refused(e.to_string()))?;
        let (history, horizon, most) = (config.planner.history, config.planner.horizon, loaded.sizes.tokens);
        if history + horizon > most {
            return Err(PlanError::TooLong { history, horizon, most });
        }
        let schedule = NoiseSchedule(loaded.model.noise_schedule);
        let denoiser = Box::new(loaded.denoiser(&engine));
        Self::new(denoiser, config, layout.clone(), loaded.normaliser, schedule)
    }

    /// A planner with any denoiser that works on tokens of `layout`.
    ///
    /// # Errors
    /// [`PlanError::Cost`].
    pub fn new(
        denoiser: Box<dyn Denoiser + Send>,
        config: &Config,
        layout: Layout,
        normaliser: Normaliser,
        schedule: NoiseSchedule,
    ) -> Result<Self, PlanError> {
        let spec = TokenSpec::new(&layout.modality_of_channel(), layout.frame_stack);
        let goal_group = config.goal.as_ref().map(|g| g.group.as_str());
        let costs =
            costs(&config.costs, goal_group, &layout).map_err(|e| PlanError::Cost(e.located(config).to_string()))?;
        Ok(Self {
            denoiser,
            guidance: Guidance::new(costs, normaliser.clone(), &spec, config.contract.period_s),
            goal_modality: goal_group.and_then(|group| layout.modality(group)),
            layout,
            normaliser,
            spec,
            schedule,
            settings: config.planner.clone(),
            period_ns: config.contract.period_ns(),
            arrivals: Arrivals::default(),
        })
    }

    /// Plans. The same request after the same requests gives the same plan: the noise comes from the configured seed and
    /// the tick's time.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn plan(&mut self, request: &PlanRequest) -> Result<Plan, PlanError> {
        let settings = self.settings.clone();
        let batch = settings.candidates * settings.futures;
        let frames = settings.horizon * self.layout.frame_stack;
        let first_ns = request.tick_ns + self.period_ns;

        let mut known = Conditioning::new(request, &self.layout, &self.normaliser, batch, settings.horizon);
        let mut arrivals = Vec::new();
        // Frames that costs are counted over: from the newest history token on, so that a jump away from it shows, to the
        // end of the stay at the goal; what comes after it is no concern of this plan.
        let seen = known.first_future.min(1) * self.layout.frame_stack;
        let mut counted = vec![seen + frames; batch];
        if let (true, Some(modality), false) =
            (settings.goal_as_observation, self.goal_modality, request.goal.is_empty())
        {
            arrivals = self.arrivals.propose(&request.goal, first_ns, self.period_ns, frames, settings.candidates);
            let of_sequence: Vec<_> = (0..batch).map(|b| arrivals[b / settings.futures].clone()).collect();
            let goal = KnownObservation { modality, values: &request.goal, frames: &of_sequence };
            known.know(&goal, &self.layout, &self.normaliser);
            let end = |range: &Range<usize>| if range.is_empty() { frames } else { range.end.min(frames) };
            counted = of_sequence.iter().map(|range| seen + end(range)).collect();
        }

        let matrix = SchedulingMatrix::new(
            settings.matrix,
            settings.horizon,
            settings.denoising_steps,
            settings.uncertainty_scale,
        )?;
        let x = self.sample(&known, &matrix, &counted, request)?;

        let (statistics, _) = self.guidance.evaluate(&x, known.first_future, &counted, &request.goal);
        let candidate_costs: Vec<f64> =
            statistics.costs.chunks(settings.futures).map(|c| c.iter().sum::<f64>() / c.len() as f64).collect();
        let chosen =
            (0..candidate_costs.len()).min_by(|a, b| candidate_costs[*a].total_cmp(&candidate_costs[*b])).unwrap_or(0);
        if let Some(arrival) = arrivals.get(chosen) {
            self.arrivals.choose(arrival, first_ns, self.period_ns);
        }
        let futures: Vec<Vec<Vec<f32>>> = (0..batch).map(|b| self.frames(&x, b, known.first_future)).collect();
        if futures.iter().flatten().flatten().any(|v| !v.is_finite()) {
            return Err(PlanError::NotFinite);
        }
        // Frame i holds the action that led to it: the action of tick i + 1 stands in frame i + 1.
        let action = self.layout.action();
        let actions = futures[chosen * settings.futures][1..]
            .iter()
            .map(|frame| frame[action.clone()].iter().map(|&v| f64::from(v)).collect())
            .collect();
        Ok(Plan {
            first_tick_ns: first_ns,
            actions,
            futures,
            candidate_costs,
            futures_per_candidate: settings.futures,
            chosen,
            denoising_steps: matrix.steps(),
        })
    }

    /// Forgets what lives across ticks (a backward jump of time, a new run).
    pub fn reset(&mut self) {
        self.arrivals = Arrivals::default();
    }

    /// Samples every sequence from noise down the scheduling matrix.
    fn sample(
        &mut self,
        known: &Conditioning,
        matrix: &SchedulingMatrix,
        counted: &[usize],
        request: &PlanRequest,
    ) -> Result<Tokens, PlanError> {
        let settings = self.settings.clone();
        let (futures, shared, first) = (settings.futures, settings.shared_tokens, known.first_future);
        let batch = settings.candidates * futures;
        let (tokens, channels) = (first + settings.horizon, self.spec.channels());
        let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
        rng.set_stream(request.tick_ns as u64);
        let mut noise = |scale: f64| {
            let mut noise = Tokens::zeros(batch, tokens, channels);
            for value in &mut noise.data {
                let drawn: f32 = StandardNormal.sample(&mut rng);
                *value = drawn * scale as f32;
            }
            share_first(&mut noise, futures, first, shared);
            noise
        };
        let kind = SolverKind::Ddim { eta: settings.eta as f32 };
        let mut solver = Solver::new(kind, self.schedule, &self.spec);
        let mut x = known.start(noise(settings.temperature), &self.spec.slot_of_channel);
        let silent = Tokens::zeros(batch, tokens, channels);
        let mut from = known.levels(matrix.row(0));
        for row in 1..=matrix.steps() {
            let to = known.levels(matrix.row(row));
            // A guided step costs three plain ones. In pure noise the costs of the mean future say nothing yet; once the near
            // token is clean, guidance could no longer change the action.
            let near = matrix.row(row - 1)[0];
            let mut clean = if near > 0.0 && near < 1.0 {
                self.guided(&x, &from, known, counted, &request.goal)?
            } else {
                self.denoiser.denoise(&x, &from)?
            };
            share(&mut clean, futures, first, shared);
            let fresh = if solver.is_stochastic() { noise(settings.temperature) } else { silent.clone() };
            solver.step(&mut x, &clean, &from, &to, &fresh);
            from = to;
        }
        Ok(x)
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
        known: &Conditioning,
        counted: &[usize],
        goal: &[f64],
    ) -> Result<Tokens, PlanError> {
        let settings = &self.settings.guidance;
        let (first, futures, shared) = (known.first_future, self.settings.futures, self.settings.shared_tokens);
        if settings.gradient == GradientKind::Off || settings.scale == 0.0 {
            return Ok(self.denoiser.denoise(x, levels)?);
        }
        let guidance = &self.guidance;
        let (mut clean, mut gradient) = match settings.gradient {
            GradientKind::Exact => self
                .denoiser
                .denoise_with_gradient(x, levels, &mut |clean| guidance.evaluate(clean, first, counted, goal).1)?,
            _ => {
                let clean = self.denoiser.denoise(x, levels)?;
                let gradient = guidance.evaluate(&clean, first, counted, goal).1;
                (clean, gradient)
            }
        };
        share(&mut gradient, futures, first, shared);
        shorten(&mut gradient, settings.max_norm as f32);
        if gradient.data.iter().any(|g| !g.is_finite()) {
            return Err(PlanError::NotFinite);
        }
        let scale = settings.scale as f32;
        for b in 0..x.batch {
            for t in first..x.tokens {
                let factors: Vec<f32> = levels
                    .at(b, t)
                    .iter()
                    .enumerate()
                    .map(|(slot, &level)| {
                        let (alpha, sigma) = self.schedule.alpha_sigma(level);
                        let through =
                            if settings.gradient == GradientKind::Exact { alpha.max(LEAST_ALPHA) } else { 1.0 };
                        if known.is_sampled(b, t, slot) { scale * sigma * sigma / through } else { 0.0 }
                    })
                    .collect();
                let gradient = gradient.at(b, t);
                for (c, value) in clean.at_mut(b, t).iter_mut().enumerate() {
                    *value -= factors[self.spec.slot_of_channel[c]] * gradient[c];
                }
            }
        }
        Ok(clean)
    }

    /// The future frames of one sequence, in units.
    fn frames(&self, x: &Tokens, batch: usize, first: usize) -> Vec<Vec<f32>> {
        let channels = self.layout.frame_channels();
        x.sequence(batch)[first * x.channels..]
            .chunks_exact(channels)
            .map(|frame| frame.iter().enumerate().map(|(c, &v)| self.normaliser.invert(c, v)).collect())
            .collect()
    }
}

/// Gives the futures of each candidate the first one's noise in their shared tokens.
fn share_first(noise: &mut Tokens, futures: usize, first: usize, shared: usize) {
    let length = noise.tokens * noise.channels;
    let range = first * noise.channels..(first + shared).min(noise.tokens) * noise.channels;
    for candidate in noise.data.chunks_mut(futures * length) {
        let (own, others) = candidate.split_at_mut(length);
        others.chunks_mut(length).for_each(|other| other[range.clone()].copy_from_slice(&own[range.clone()]));
    }
}
