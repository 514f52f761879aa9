//! Hands changed settings to the threads that plan and tick. Settings are checked here and taken
//! between two plans and two ticks.

use std::sync::{Arc, Mutex};

use super::entry::Change;
use crate::config::Config;
use crate::ros::io::SampleSink;
use crate::ros::lock::lock;
use df_planning::{Planner, PlannerConfigError, TokenLimit};

/// The name of the source in the log of goals that are set here.
const SOURCE: &str = "parameter";

/// Applies changes to a configured node.
pub(crate) struct ParameterUpdates {
    limit: TokenLimit,
    pending: PendingConfig,
    sink: SampleSink,
    /// The frame of goals.
    frame_id: String,
}

/// The newest configuration that the planner has not taken yet. All clones share it.
#[derive(Clone, Default)]
pub(crate) struct PendingConfig(Arc<Mutex<Option<Config>>>);

impl ParameterUpdates {
    /// `planner` and `config` are those that the node was configured with.
    pub(crate) fn new(planner: &Planner, config: &Config, sink: SampleSink) -> Self {
        // A goal without a frame is in the frame of its group.
        let frame_id = config.contract.goal.as_ref().and_then(|goal| goal.frame_id.clone()).unwrap_or_default();
        Self { limit: planner.token_limit(), pending: PendingConfig::default(), sink, frame_id }
    }

    /// The configuration for the planning thread.
    pub(crate) fn pending(&self) -> PendingConfig {
        self.pending.clone()
    }

    /// Applies a change. The planner takes it before its next plan, the control loop before its
    /// next tick.
    ///
    /// # Errors
    /// The network does not allow it.
    pub(crate) fn apply(&self, change: &Change) -> Result<(), String> {
        if let Some(config) = &change.config {
            self.limit.check(&config.planner).map_err(|error| error.to_string())?;
            // The configuration has passed these rules already, so this does not fail.
            lock(&self.sink.control)
                .set_config(config.mode, &config.planner, &config.safety)
                .map_err(|error| error.to_string())?;
            *lock(&self.pending.0) = Some(config.clone());
        }
        if let Some(goal) = &change.goal {
            self.set_goal(goal);
        }
        Ok(())
    }

    /// Sets the goal in the units of its group; no values: no goal.
    pub(crate) fn set_goal(&self, goal: &[f64]) {
        self.sink.set_goal(SOURCE, goal, &self.frame_id);
    }
}

impl PendingConfig {
    /// Gives the newest configuration to the planner, if there is one.
    ///
    /// # Errors
    /// As [`Planner::set_config`]. [`ParameterUpdates::apply`] has checked the same rules before.
    pub(crate) fn apply_to(&self, planner: &mut Planner) -> Result<(), PlannerConfigError> {
        let Some(config) = lock(&self.0).take() else { return Ok(()) };
        planner.set_config(config.planner)?;
        planner.set_weights(&config.costs);
        Ok(())
    }
}
