//! Changed settings on their way to the threads that plan and tick: checked here, taken over between two plans and two ticks.

use std::sync::{Arc, Mutex};

use super::driving::lock;
use super::inbound::Inbound;
use super::parameters::Change;
use crate::config::Config;
use crate::planning::{PlanError, Planner, TokenLimit};

/// Gives changes to a configured node.
pub struct Tuning {
    limit: TokenLimit,
    news: News,
    inbound: Inbound,
    /// What goals are in.
    frame_id: String,
}

/// The newest configuration that the planner has not taken over yet.
#[derive(Clone, Default)]
pub struct News(Arc<Mutex<Option<Config>>>);

impl Tuning {
    pub fn new(planner: &Planner, config: &Config, inbound: Inbound) -> Self {
        // A goal without a frame lies in that of its group.
        let frame_id = config.goal.as_ref().and_then(|goal| goal.frame_id.clone()).unwrap_or_default();
        Self { limit: planner.limit(), news: News::default(), inbound, frame_id }
    }

    /// For the thread that plans.
    pub fn news(&self) -> News {
        self.news.clone()
    }

    /// Takes a change over: the planner before its next plan, the control loop before its next tick.
    ///
    /// # Errors
    /// What the network does not allow.
    pub fn apply(&self, change: &Change) -> Result<(), String> {
        if let Some(config) = &change.config {
            self.limit.check(&config.planner).map_err(|error| error.to_string())?;
            // The same rules again: they hold already.
            lock(&self.inbound.control)
                .set(config.mode, &config.planner, &config.safety)
                .map_err(|error| error.to_string())?;
            *lock(&self.news.0) = Some(config.clone());
        }
        if let Some(goal) = &change.goal {
            self.use_goal(goal);
        }
        Ok(())
    }

    /// A goal that was given as the parameter.
    pub fn use_goal(&self, goal: &[f64]) {
        self.inbound.use_goal("parameter", goal, &self.frame_id);
    }
}

impl News {
    /// Gives the planner what is new, between two plans.
    ///
    /// # Errors
    /// As [`Planner::set`]; [`Tuning::apply`] lets nothing through that is refused here.
    pub fn take_over(&self, planner: &mut Planner) -> Result<(), PlanError> {
        let Some(config) = lock(&self.0).take() else { return Ok(()) };
        planner.set(config.planner)?;
        planner.set_weights(&config.costs);
        Ok(())
    }
}
