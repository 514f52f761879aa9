//! A request as sampling sees it: known noise groups, arrivals, and the frames that costs see.

use std::ops::Range;

use df_diffusion::{ConditioningMask, Tokens};

use super::goal::GoalTracker;
use super::request::PlanRequest;
use crate::config::PlannerConfig;
use crate::guidance::CostSpan;
use crate::inference::{GuidedSample, GuidedSampler, KnownObservation, SamplingError};

/// A request as sampling sees it.
pub(super) struct Prepared<'a> {
    pub(super) mask: ConditioningMask,
    /// The first future token.
    pub(super) first: usize,
    /// Per candidate: the future frames in which the goal holds; empty without a goal.
    pub(super) arrivals: Vec<Range<usize>>,
    /// Frames that costs see, per sequence.
    pub(super) cost_horizon: Vec<usize>,
    /// The tick of the request, nanoseconds.
    pub(super) tick_ns: i64,
    /// Time of the first future frame, nanoseconds.
    pub(super) first_ns: i64,
    /// Time between two frames, nanoseconds.
    pub(super) period_ns: i64,
    /// The future frame that holds the plan's first action.
    pub(super) acting_frame: usize,
    /// The future token that holds it.
    pub(super) acting_token: usize,
    /// Frames of the history that costs see.
    pub(super) seen: usize,
    /// The goal in units; empty without a goal.
    pub(super) goal: &'a [f64],
}

/// The sampled sequences of a plan.
pub(super) struct Sampled {
    /// The clean tokens, `[batch, token, channel]`, normalised.
    pub(super) clean: Tokens,
    /// The account of the denoising steps.
    pub(super) sample: GuidedSample,
}

impl<'a> Prepared<'a> {
    /// Conditions every sequence on the history, the committed action and the goal.
    ///
    /// # Errors
    /// A standard deviation in the history that is not a number.
    pub(super) fn new(
        request: &'a PlanRequest,
        sampler: &GuidedSampler,
        goal: &GoalTracker,
        config: &PlannerConfig,
        period_ns: i64,
    ) -> Result<Self, SamplingError> {
        let layout = sampler.layout();
        let stack = layout.frame_stack;
        let batch = config.candidates * config.rollouts;
        let frames = config.horizon * stack;
        let history = request.history.frames().len();
        let first = history / stack;
        let conditioning = sampler.conditioning(config.history_actions);
        let mut mask = ConditioningMask::unconditioned(batch, first + config.horizon, sampler.spec());
        let committed: Option<Vec<f32>> = request.committed.as_ref().map(|c| c.iter().map(|&v| v as f32).collect());
        for b in 0..batch {
            conditioning.condition_history(&mut mask, b, request.history.frames())?;
            if let Some(committed) = &committed {
                conditioning.condition_committed_action(&mut mask, b, history, committed)?;
            }
        }
        let first_ns = request.tick_ns + period_ns;
        // Costs see the newest history token, so that a jump away from it costs, and the frames up to the end of the stay at
        // the goal. What follows the stay is left open.
        let seen = first.min(1) * stack;
        let mut prepared = Self {
            mask,
            first,
            arrivals: Vec::new(),
            cost_horizon: vec![seen + frames; batch],
            tick_ns: request.tick_ns,
            first_ns,
            period_ns,
            // The committed action is in the first future frame, and the plan's first action in the next one.
            acting_frame: usize::from(committed.is_some()),
            acting_token: (usize::from(committed.is_some()) / stack).min(config.horizon - 1),
            seen,
            goal: &request.goal,
        };
        if let (true, Some(modality), false) = (config.goal_as_observation, goal.modality(), request.goal.is_empty()) {
            let to_frames = |seconds: f64| ((seconds * 1e9 / period_ns as f64).round() as usize).max(1);
            let (hold, every) = (to_frames(config.goal_hold_s), to_frames(config.goal_every_s));
            prepared.arrivals = goal.propose(first_ns, period_ns, frames, hold, config);
            let ranges: Vec<_> = (0..batch).map(|b| prepared.arrivals[b / config.rollouts].clone()).collect();
            let known = KnownObservation { modality, values: &request.goal, frames: &ranges, every };
            conditioning.condition_observation(&mut prepared.mask, first * stack, &known)?;
            if let Some(modality) = goal.rate_modality() {
                let rest = vec![0.0; layout.modalities[modality].channels.len()];
                let known = KnownObservation { modality, values: &rest, ..known };
                conditioning.condition_observation(&mut prepared.mask, first * stack, &known)?;
            }
            let end = |range: &Range<usize>| if range.is_empty() { frames } else { range.end.min(frames) };
            prepared.cost_horizon = ranges.iter().map(|range| seen + end(range)).collect();
        }
        Ok(prepared)
    }

    /// The frames that costs see, where one window holds the whole plan.
    pub(super) fn span(&self) -> CostSpan<'_> {
        CostSpan { first_future: self.first, skipped: 0, frames: &self.cost_horizon, newest: None }
    }
}
