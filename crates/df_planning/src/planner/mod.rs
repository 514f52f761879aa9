//! The planner: a request in, a plan out. It samples candidate rollouts by diffusion forcing, guided by costs, and chooses one.

mod arrival;
mod error;
mod full;
mod goal;
mod plan;
mod prepared;
mod request;
mod sample;
mod select;
mod streaming;
#[cfg(test)]
mod tests;
mod token_limit;
mod weighting;

use df_core::map::SharedMap;
use df_core::{Frame, Layout, Normaliser};
use df_diffusion::{Denoiser, NoiseSchedule, Tokens};

use crate::config::{PlannerConfig, PlannerMode, PlanningConfig};
use crate::costs::{Cost, CostConfig, bind_costs};
use crate::inference::{Budget, GuidedSampler, PlanBuffer, Query};

pub use error::{PlanError, PlannerConfigError, PlannerError};
pub use plan::{CostStatistics, Plan, Skipped, Statistics};
pub use request::PlanRequest;
pub use token_limit::TokenLimit;

use goal::GoalTracker;
use prepared::Prepared;

/// Plans with a denoiser.
pub struct Planner {
    sampler: GuidedSampler,
    config: PlannerConfig,
    period_ns: i64,
    goal: GoalTracker,
    /// What the next plan may continue.
    buffer: Option<PlanBuffer>,
}

impl Planner {
    /// A planner with a denoiser of tokens of `layout`. `schedule`: the noise schedule that the denoiser was trained with.
    ///
    /// # Errors
    /// [`PlannerError`]: the configuration does not fit the denoiser or the layout.
    pub fn new(
        denoiser: Box<dyn Denoiser + Send>,
        config: &PlanningConfig,
        layout: Layout,
        normaliser: Normaliser,
        schedule: NoiseSchedule,
    ) -> Result<Self, PlannerError> {
        let contract = &config.contract;
        let goal_group = contract.goal.as_ref().map(|goal| goal.group.as_str());
        let costs = bind_costs(&config.costs, goal_group, &layout).map_err(|e| e.located(&contract.document))?;
        let goal = GoalTracker::new(contract, &layout);
        let sampler = GuidedSampler::new(denoiser, layout, normaliser, schedule, costs, contract.period_s);
        TokenLimit(sampler.max_tokens()).check(&config.planner)?;
        Ok(Self { sampler, config: config.planner.clone(), period_ns: contract.period_ns(), goal, buffer: None })
    }

    /// Plans. The noise follows from the configured seed and the time of the tick. Within an unlimited budget the same requests
    /// give the same plans.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn plan(&mut self, request: &PlanRequest, budget: &Budget) -> Result<Plan, PlanError> {
        if let Some(topic) = self.sampler.guidance().missing_map() {
            return Err(PlanError::NoMap { topic: topic.into() });
        }
        // A request may date from before a change of the configuration.
        let request = request.with_history(self.config.history, self.sampler.layout());
        self.plan_without_maps(&request, budget)
    }

    /// Plans once and forgets the plan, so that the first real plan is not the slowest. It needs no map.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn warm_up(&mut self, request: &PlanRequest) -> Result<(), PlanError> {
        self.plan_without_maps(request, &Budget::unlimited())?;
        self.reset();
        Ok(())
    }

    /// Samples a conditional query with the planner's configuration. See [`Query`].
    ///
    /// # Errors
    /// [`PlanError::Sampling`].
    pub fn sample_query(&mut self, query: &Query, samples: usize, seed: u64) -> Result<Vec<Vec<Frame>>, PlanError> {
        Ok(self.sampler.sample_query(query, samples, seed, &self.config)?)
    }

    /// Forgets what lives across ticks: the goal, its arrival and the last plan. Call it after a backward jump of time.
    pub fn reset(&mut self) {
        self.goal.reset();
        self.buffer = None;
    }

    /// The maps that come by topics. Without them there is no plan.
    pub fn maps(&self) -> Vec<SharedMap> {
        self.sampler.guidance().maps().cloned().collect()
    }

    /// The configuration in effect.
    pub fn config(&self) -> &PlannerConfig {
        &self.config
    }

    /// From units to the network's values.
    pub fn normaliser(&self) -> &Normaliser {
        self.sampler.normaliser()
    }

    /// The length of the network's window.
    pub fn token_limit(&self) -> TokenLimit {
        TokenLimit(self.sampler.max_tokens())
    }

    /// Changes the configuration between two plans; a refused change leaves it as it was. A streamed plan starts anew where the
    /// mode or a size changes, and else goes on.
    ///
    /// # Errors
    /// As [`TokenLimit::check`].
    pub fn set_config(&mut self, config: PlannerConfig) -> Result<(), PlannerConfigError> {
        self.token_limit().check(&config)?;
        if config.mode != self.config.mode {
            self.buffer = None;
        }
        self.config = config;
        Ok(())
    }

    /// Takes the weights of `costs`, which are those that the planner was made with.
    pub fn set_weights(&mut self, costs: &[CostConfig]) {
        self.sampler.guidance_mut().set_weights(costs.iter().map(|cost| cost.weight));
    }

    /// Adds a cost that the configuration does not name, behind those that it names.
    pub fn add_cost(&mut self, cost: Box<dyn Cost>) {
        self.sampler.guidance_mut().add(cost);
    }

    fn plan_without_maps(&mut self, request: &PlanRequest, budget: &Budget) -> Result<Plan, PlanError> {
        self.follow_goal(&request.goal);
        let prepared = Prepared::new(request, &self.sampler, &self.goal, &self.config, self.period_ns)?;
        let sampled = sample::sample(&mut self.sampler, &prepared, &mut self.buffer, &self.config, budget)?;
        let plan = select::select(&self.sampler, &prepared, &sampled, &self.config);
        if let Some(arrival) = prepared.arrivals.get(plan.chosen) {
            self.goal.choose(arrival, prepared.first_ns, self.period_ns);
        }
        if !plan.is_finite() {
            self.buffer = None;
            return Err(PlanError::NotFinite);
        }
        self.remember(&prepared, &sampled.clean, plan.chosen);
        Ok(plan)
    }

    /// Forgets the last plan if the goal has moved.
    fn follow_goal(&mut self, goal: &[f64]) {
        if self.goal.has_moved(goal) {
            self.reset();
            self.goal.set(goal);
        }
    }

    /// Keeps what the next plan may continue.
    fn remember(&mut self, prepared: &Prepared, clean: &Tokens, chosen: usize) {
        let rollouts = self.config.rollouts;
        match (self.config.mode, &mut self.buffer) {
            (PlannerMode::Streaming, Some(buffer)) => buffer.swap_to_front(chosen, rollouts),
            (PlannerMode::Full, buffer) if self.config.warm_start.candidates > 0 => {
                let data = clean.sequence(chosen * rollouts)[prepared.first * clean.channels..].to_vec();
                let x = Tokens { batch: 1, tokens: clean.tokens - prepared.first, channels: clean.channels, data };
                *buffer = Some(PlanBuffer::clean(x, self.sampler.spec().noise_groups(), prepared.first_ns));
            }
            (_, buffer) => *buffer = None,
        }
    }
}
