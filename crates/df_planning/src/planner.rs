//! The planner: history in, plan out. Samples candidate futures by diffusion forcing, guided by costs, and picks one.

use std::ops::Range;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::arrival::Arrivals;
use super::budget::{Budget, StepTimes};
use super::conditioning::{Conditioning, KnownObservation};
use super::guided_sampler::{Generated, Generator, Task};
use super::sliding_window::SlidingWindow;
use super::warm_start::{Buffer, Descent, tie_prefix, warm_start};
use super::weighting;
use super::{CostStatistics, Plan, PlanRequest, Skipped, Statistics};
use crate::PlanningConfig;
use crate::costs::costs;
use crate::guidance::{Guidance, Span};
use crate::{PlannerConfig, PlannerMode};
use df_core::map::SharedMap;
use df_core::settings::ValidationError;
use df_core::{Layout, Normaliser};
use df_diffusion::MatrixKind;
use df_diffusion::{
    ConditioningMask, Denoiser, DenoiserError, LevelError, MatrixError, NoiseSchedule, SchedulingMatrix, TokenSpec,
    Tokens,
};

/// Plans with a denoiser.
pub struct Planner {
    pub(super) generator: Generator,
    pub(super) layout: Layout,
    pub(super) normaliser: Normaliser,
    pub(super) settings: PlannerConfig,
    goal_modality: Option<usize>,
    /// Of the goal's rates.
    rate_modality: Option<usize>,
    /// A goal that moved less than this is the same one, in its group's unit.
    goal_tolerance: f64,
    period_ns: i64,
    arrivals: Arrivals,
    goal: Vec<f64>,
    pub(super) buffer: Option<Buffer>,
}

/// Why no plan was made, or no planner.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PlanError {
    /// The checkpoint cannot be read, or was trained under another contract; says what differs.
    #[error("{0}")]
    Checkpoint(String),
    /// A setting that may not be: key, value and rule.
    #[error(transparent)]
    Setting(#[from] ValidationError),
    #[error(transparent)]
    Matrix(#[from] MatrixError),
    #[error(transparent)]
    Level(#[from] LevelError),
    #[error(transparent)]
    Denoiser(#[from] DenoiserError),
    #[error(
        "{history} history tokens and a horizon of {horizon} do not fit into the {max} tokens that the network was trained on"
    )]
    TooLong { history: usize, horizon: usize, max: usize },
    /// A cost does not fit the layout; says where in the configuration.
    #[error("{0}")]
    Cost(String),
    #[error("the gradient of the costs is {0}")]
    Gradient(f32),
    /// A topic that costs take their map from has brought none yet.
    #[error("no map has come on the topic `{topic}` yet")]
    NoMap { topic: String },
    #[error("the plan holds a value that is not finite")]
    NotFinite,
    /// Not even one denoising step fitted into the time.
    #[error("the time did not allow a single denoising step")]
    OutOfTime,
    /// Planning ended in a panic, which the caller caught.
    #[error("planning panicked: {0}")]
    Panicked(String),
}

/// A request as sampling sees it.
struct Prepared {
    known: ConditioningMask,
    /// The first future token.
    first: usize,
    /// Per candidate: the future frames in which the goal holds; empty without a goal.
    arrivals: Vec<Range<usize>>,
    /// Frames that costs are counted over, per sequence.
    cost_horizon: Vec<usize>,
    first_ns: i64,
    /// The future frame that holds the plan's first action.
    acting: usize,
}

impl Planner {
    /// A planner with any denoiser that works on tokens of `layout`.
    ///
    /// # Errors
    /// Settings that do not fit the denoiser.
    pub fn new(
        denoiser: Box<dyn Denoiser + Send>,
        config: &PlanningConfig,
        layout: Layout,
        normaliser: Normaliser,
        schedule: NoiseSchedule,
    ) -> Result<Self, PlanError> {
        let spec = TokenSpec::new(&layout.modality_of_channel(), layout.frame_stack);
        let goal_group = config.contract.goal.as_ref().map(|g| g.group.as_str());
        let costs = costs(&config.costs, goal_group, &layout)
            .map_err(|e| PlanError::Cost(e.located(&config.contract.document).to_string()))?;
        let guidance = Guidance::new(costs, normaliser.clone(), &spec, config.contract.period_s);
        let mut planner = Self {
            generator: Generator { denoiser, spec, schedule, guidance, times: StepTimes::default() },
            goal_modality: goal_group.and_then(|group| layout.modality(group)),
            rate_modality: config
                .contract
                .goal
                .as_ref()
                .and_then(|g| g.rate.as_deref())
                .and_then(|group| layout.modality(group)),
            goal_tolerance: config.contract.goal.as_ref().map_or(0.0, |goal| goal.tolerance),
            layout,
            normaliser,
            settings: config.planner.clone(),
            period_ns: config.contract.period_ns(),
            arrivals: Arrivals::default(),
            goal: Vec::new(),
            buffer: None,
        };
        planner.set(config.planner.clone())?;
        Ok(planner)
    }

    /// Plans. The same request after the same requests gives the same plan, while time is no matter: the noise comes from the
    /// configured seed and the tick's time.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn plan(&mut self, request: &PlanRequest, budget: &Budget) -> Result<Plan, PlanError> {
        let missing = self.generator.guidance.maps().find(|map| map.current().is_none());
        if let Some(topic) = missing.and_then(SharedMap::topic) {
            return Err(PlanError::NoMap { topic: topic.topic.clone() });
        }
        // A request may have been made before the setting was changed.
        if request.history.frames().len() != self.settings.history * self.layout.frame_stack {
            let history = request.history.resized(&self.layout, self.settings.history);
            return self.plan_unchecked(&PlanRequest { history, ..request.clone() }, budget);
        }
        self.plan_unchecked(request, budget)
    }

    /// Plans once and forgets it, so that the first real plan is not the slowest. Maps need not have come.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn warm_up(&mut self, request: &PlanRequest) -> Result<(), PlanError> {
        self.plan_unchecked(request, &Budget::unlimited())?;
        self.reset();
        Ok(())
    }

    /// The maps that topics feed; without them there is no plan.
    pub fn maps(&self) -> Vec<SharedMap> {
        self.generator.guidance.maps().cloned().collect()
    }

    fn plan_unchecked(&mut self, request: &PlanRequest, budget: &Budget) -> Result<Plan, PlanError> {
        let prepared = self.prepare(request)?;
        let mut rng = ChaCha8Rng::seed_from_u64(self.settings.seed);
        rng.set_stream(request.tick_ns as u64);
        let (temperature, rollouts, shared) =
            (self.settings.temperature as f32, self.settings.rollouts, self.settings.shared_tokens);
        let first = prepared.first;
        let mut noise = move |x: &mut Tokens| {
            x.data.iter_mut().for_each(|value| {
                let drawn: f32 = StandardNormal.sample(&mut rng);
                *value = temperature * drawn;
            });
            tie_prefix(x, rollouts, first.min(x.tokens), shared);
        };
        let (clean, generated) = match self.settings.mode {
            PlannerMode::Full => self.plan_full(&prepared, request, budget, &mut noise)?,
            PlannerMode::Streaming => self.plan_streaming(&prepared, request, budget, &mut noise)?,
        };
        self.select(&prepared, request, &clean, &generated)
    }

    /// Forgets what lives across ticks (a backward jump of time, a new run).
    pub fn reset(&mut self) {
        self.arrivals.reset();
        self.goal = Vec::new();
        self.buffer = None;
    }

    fn prepare(&mut self, request: &PlanRequest) -> Result<Prepared, PlanError> {
        let moved = self.goal.len() != request.goal.len()
            || self.goal.iter().zip(&request.goal).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
                > self.goal_tolerance;
        if moved {
            self.reset();
            self.goal.clone_from(&request.goal);
        }
        let settings = &self.settings;
        let batch = settings.candidates * settings.rollouts;
        let stack = self.layout.frame_stack;
        let frames = settings.horizon * stack;
        let first_ns = request.tick_ns + self.period_ns;
        let conditioning = Conditioning {
            layout: &self.layout,
            normaliser: &self.normaliser,
            schedule: self.generator.schedule,
            spec: &self.generator.spec,
            history_actions: settings.history_actions,
        };
        let mut known = conditioning.of_request(request, batch, settings.horizon)?;
        let first = request.history.frames().len() / stack;
        let mut arrivals = Vec::new();
        // Frames that costs are counted over: from the newest history token on, so that a jump away from it shows, to the
        // end of the stay at the goal; what comes after it is no concern of this plan.
        let seen = first.min(1) * stack;
        let mut cost_horizon = vec![seen + frames; batch];
        if let (true, Some(modality), false) =
            (settings.goal_as_observation, self.goal_modality, request.goal.is_empty())
        {
            let in_frames = |seconds: f64| ((seconds * 1e9 / self.period_ns as f64).round() as usize).max(1);
            let (hold, every) = (in_frames(settings.goal_hold_s), in_frames(settings.goal_every_s));
            arrivals =
                self.arrivals.propose(first_ns, self.period_ns, frames, hold, settings.candidates, settings.goal_free);
            let of_sequence: Vec<_> = (0..batch).map(|b| arrivals[b / settings.rollouts].clone()).collect();
            let goal = KnownObservation { modality, values: &request.goal, frames: &of_sequence, every };
            conditioning.know(&mut known, first * stack, &goal)?;
            if let Some(modality) = self.rate_modality {
                let rest = vec![0.0; self.layout.modalities[modality].channels.len()];
                conditioning.know(&mut known, first * stack, &KnownObservation { modality, values: &rest, ..goal })?;
            }
            let end = |range: &Range<usize>| if range.is_empty() { frames } else { range.end.min(frames) };
            cost_horizon = of_sequence.iter().map(|range| seen + end(range)).collect();
        }
        // A committed action stands in the first future frame, and the next one is asked for.
        let acting = usize::from(request.committed.is_some());
        Ok(Prepared { known, first, arrivals, cost_horizon, first_ns, acting })
    }

    /// The future token that holds the plan's first action.
    fn acting(&self, prepared: &Prepared) -> usize {
        (prepared.acting / self.layout.frame_stack).min(self.settings.horizon - 1)
    }

    /// What is left of the last plan, if it had `batch` sequences of this length, and the frames that have passed since.
    fn last_plan(&self, prepared: &Prepared, batch: usize) -> Option<(&Buffer, usize)> {
        let buffer = self.buffer.as_ref()?;
        // To the nearest tick: a live tick may be some microseconds off the grid.
        let passed = prepared.first_ns - buffer.first_ns + self.period_ns / 2;
        let shift = usize::try_from(passed.div_euclid(self.period_ns)).ok()?;
        buffer.continues(batch, self.settings.horizon, shift, self.layout.frame_stack).then_some((buffer, shift))
    }

    /// A plan from pure noise, but for the candidates that are to continue the last one.
    fn plan_full(
        &mut self,
        prepared: &Prepared,
        request: &PlanRequest,
        budget: &Budget,
        noise: &mut dyn FnMut(&mut Tokens),
    ) -> Result<(Tokens, Generated), PlanError> {
        let (settings, first, stack) = (&self.settings, prepared.first, self.layout.frame_stack);
        let mut known = prepared.known.clone();
        let mut x = Tokens::zeros(known.batch(), known.tokens(), self.layout.token_channels());
        noise(&mut x);
        if let Some((buffer, shift)) = self.last_plan(prepared, 1) {
            let clean = vec![0.0; settings.horizon];
            let start = Descent::new(&clean, &clean, settings.warm_start.renoise_level as f32, shift, stack).start;
            let fresh = x.window(first..known.tokens());
            let future = buffer.shifted(shift, &start, fresh, &self.generator.spec, self.generator.schedule);
            let sequences = settings.warm_start.candidates.min(settings.candidates) * settings.rollouts;
            warm_start(&mut x, &mut known, first, &future, &start, sequences);
        }
        let whole = SlidingWindow {
            known: &known,
            first,
            overlap: first.max(1),
            acting: self.acting(prepared),
            matrix: self.settings.matrix,
            cost_horizon: &prepared.cost_horizon,
            goal: &request.goal,
            settings: &self.settings,
            budget,
        };
        let generated = self.generator.sample_sliding_window(&mut x, &whole, noise)?;
        Ok((x, generated))
    }

    /// The plan of the last tick, continued; from noise where there is none.
    fn plan_streaming(
        &mut self,
        prepared: &Prepared,
        request: &PlanRequest,
        budget: &Budget,
        noise: &mut dyn FnMut(&mut Tokens),
    ) -> Result<(Tokens, Generated), PlanError> {
        let (settings, mut known, first) = (&self.settings, prepared.known.clone(), prepared.first);
        let (spec, schedule) = (&self.generator.spec, self.generator.schedule);
        let (tokens, stack) = (settings.horizon, self.layout.frame_stack);
        // The row in which the acting token is clean ends every tick.
        let rows =
            settings.denoising_steps + (settings.uncertainty_scale * self.acting(prepared) as f64).ceil() as usize;
        let pyramid =
            SchedulingMatrix::new(MatrixKind::Pyramid, tokens, settings.denoising_steps, settings.uncertainty_scale)?
                .truncated(rows);
        let mut x = Tokens::zeros(known.batch(), known.tokens(), self.layout.token_channels());
        noise(&mut x);
        let matrix = match self.last_plan(prepared, known.batch()) {
            Some((buffer, shift)) => {
                let end = pyramid.row(pyramid.steps());
                let descent = Descent::new(end, &buffer.row, settings.streaming.renoise_level as f32, shift, stack);
                let future = buffer.shifted(shift, &descent.start, x.window(first..first + tokens), spec, schedule);
                let fresh = settings.streaming.num_fresh.min(settings.candidates - 1);
                let sequences = (settings.candidates - fresh) * settings.rollouts;
                warm_start(&mut x, &mut known, first, &future, &descent.start, sequences);
                tie_prefix(&mut x, settings.rollouts, first, settings.shared_tokens);
                let start = if fresh == 0 { descent.start } else { vec![1.0; tokens] };
                SchedulingMatrix::descent(&start, &descent.end, settings.streaming.steps_per_tick)?
            }
            None => pyramid,
        };
        known.apply(&mut x, schedule);
        let task = Task {
            known: &known,
            matrix: &matrix,
            span: Span { first_future: first, skipped: 0, frames: &prepared.cost_horizon, newest: None },
            first_shared: first,
            acting: self.acting(prepared),
            goal: &request.goal,
            settings,
            budget,
        };
        let generated = self.generator.generate(&mut x, &task, noise)?;
        // Where the time was short, the sampled noise groups were taken to level 0 in one go.
        let row = if generated.sampled.skipped == 0 { matrix.row(matrix.steps()).to_vec() } else { vec![0.0; tokens] };
        let levels = known.window(first..first + tokens).levels(&row);
        self.buffer = Some(Buffer { x: x.window(first..first + tokens), levels, row, first_ns: prepared.first_ns });
        let mut clean = generated.clean.clone();
        known.apply(&mut clean, schedule);
        Ok((clean, generated))
    }

    /// Costs, choice and the plan in units.
    fn select(
        &mut self,
        prepared: &Prepared,
        request: &PlanRequest,
        clean: &Tokens,
        generated: &Generated,
    ) -> Result<Plan, PlanError> {
        let rollouts_per_candidate = self.settings.rollouts;
        let span = Span { first_future: prepared.first, skipped: 0, frames: &prepared.cost_horizon, newest: None };
        let (evaluation, _) = self.generator.guidance.evaluate(clean, &span, &request.goal);
        let candidate_costs: Vec<f64> = evaluation
            .totals
            .chunks(rollouts_per_candidate)
            .map(|costs| costs.iter().sum::<f64>() / costs.len() as f64)
            .collect();
        let chosen =
            (0..candidate_costs.len()).min_by(|a, b| candidate_costs[*a].total_cmp(&candidate_costs[*b])).unwrap_or(0);
        if let Some(arrival) = prepared.arrivals.get(chosen) {
            self.arrivals.choose(arrival, prepared.first_ns, self.period_ns);
        }
        let rollouts: Vec<Vec<Vec<f32>>> = (0..clean.batch).map(|b| self.frames(clean, b, prepared.first)).collect();
        if rollouts.iter().flatten().flatten().any(|v| !v.is_finite()) {
            self.buffer = None;
            return Err(PlanError::NotFinite);
        }
        self.remember(prepared, clean, chosen);
        let own = chosen * rollouts_per_candidate..(chosen + 1) * rollouts_per_candidate;
        let weights = weighting::weights(&candidate_costs, chosen, self.settings.cost_temperature);
        let of_candidates = || rollouts.iter().step_by(rollouts_per_candidate).map(|future| &future[prepared.acting..]);
        let actions = weighting::actions(of_candidates, &weights, self.layout.action());
        let seen = prepared.first.min(1) * self.layout.frame_stack;
        let active_frames = prepared
            .cost_horizon
            .iter()
            .step_by(rollouts_per_candidate)
            .map(|cost_horizon| cost_horizon - seen)
            .collect();
        let of_cost = |(name, parts): (&'static str, &Vec<f64>)| CostStatistics::of(name, &parts[own.clone()]);
        Ok(Plan {
            first_tick_ns: request.tick_ns + prepared.acting as i64 * self.period_ns,
            first_frame_ns: prepared.first_ns,
            actions,
            rollouts,
            active_frames,
            candidate_costs,
            rollouts_per_candidate,
            chosen,
            denoising_steps: generated.sampled.denoising_steps,
            skipped: Skipped {
                denoising_steps: generated.sampled.skipped,
                guided_steps: generated.unguided_steps,
                tokens: prepared.known.tokens() - clean.tokens,
            },
            statistics: Statistics {
                costs: self.generator.guidance.names().zip(&evaluation.parts).map(of_cost).collect(),
                guided_steps: generated.guided_steps,
                gradient_norm: generated.gradient_norm,
                gradient_variance: generated.gradient_variance,
            },
        })
    }

    /// What the next plan may continue.
    fn remember(&mut self, prepared: &Prepared, clean: &Tokens, chosen: usize) {
        let rollouts = self.settings.rollouts;
        match (self.settings.mode, &mut self.buffer) {
            (PlannerMode::Streaming, Some(buffer)) => buffer.put_first(chosen, rollouts),
            (PlannerMode::Full, buffer) if self.settings.warm_start.candidates > 0 => {
                let data = clean.sequence(chosen * rollouts)[prepared.first * clean.channels..].to_vec();
                let x = Tokens { batch: 1, tokens: clean.tokens - prepared.first, channels: clean.channels, data };
                *buffer = Some(Buffer::clean(x, self.generator.spec.noise_groups(), prepared.first_ns));
            }
            (_, buffer) => *buffer = None,
        }
    }

    /// The frames of one sequence from token `first` on, in units.
    pub(super) fn frames(&self, x: &Tokens, batch: usize, first: usize) -> Vec<Vec<f32>> {
        let channels = self.layout.frame_channels();
        x.sequence(batch)[first * x.channels..]
            .chunks_exact(channels)
            .map(|frame| frame.iter().enumerate().map(|(c, &v)| self.normaliser.invert(c, v)).collect())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use df_diffusion::NoiseScheduleKind;
    use std::path::Path;

    use crate::settings::tests::ZeroDenoiser;
    use df_core::History;

    const CONFIG: &str = "
period_s: 0.1
frame_stack: 1
observations:
  place: {topic: x, type: p/msg/X, fields: [x], max_age_s: 60}
  speed: {topic: x, type: p/msg/X, fields: [v], max_age_s: 60}
action: {topic: u, type: p/msg/X, fields: [x], min: [-1], max: [1], safe: [0], max_age_s: 1}
goal: {topic: g, type: p/msg/X, fields: [x], group: place, rate: speed, tolerance: 0.1}
planner: {history: 1, horizon: 5, candidates: 2, rollouts: 1, guidance: {gradient: none}, goal_hold_s: 0.2, goal_free: false}
";

    /// At the goal, 7, for two frames, and at rest; before and after that where the denoiser believes it, at the means 3 and 1.
    #[test]
    fn rates_are_known_to_be_0_while_the_stay_at_the_goal_lasts() {
        for (rate, at_rest) in [("rate: speed, ", 0.0), ("", 1.0)] {
            let text = CONFIG.replace("rate: speed, ", rate);
            let config = PlanningConfig::parse(&text, Path::new("c.yaml")).unwrap();
            let groups = ["action", "place", "speed"].map(|name| (name.to_string(), vec![name.to_string()]));
            let layout = Layout::new(1, groups);
            let normaliser = Normaliser::new(vec![0.0, 3.0, 1.0], vec![1.0, 2.0, 0.5]);
            let history = History::new(&layout, 1);
            let schedule = NoiseSchedule(NoiseScheduleKind::Cosine);
            let mut planner = Planner::new(Box::new(ZeroDenoiser), &config, layout, normaliser, schedule).unwrap();
            let request = PlanRequest { tick_ns: 0, history, committed: None, goal: vec![7.0] };
            let plan = planner.plan(&request, &Budget::unlimited()).unwrap();
            for (future, active_frames) in plan.rollouts.iter().zip(&plan.active_frames) {
                // The stay may be cut off by the end of the horizon.
                let stay = future.iter().position(|frame| frame[1] == 7.0).unwrap();
                assert_eq!(*active_frames, (stay + 2).min(5));
                for (k, frame) in future.iter().enumerate() {
                    let expected = if (stay..stay + 2).contains(&k) { [7.0, at_rest] } else { [3.0, 1.0] };
                    assert_eq!(frame[1..], expected, "frame {k}, stay from {stay}");
                }
            }
        }
    }
}
