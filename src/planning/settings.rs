//! Settings that change between two plans: what the network allows, and how a planner takes them over.

use super::{PlanError, Planner};
use crate::config::{CostConfig, PlannerConfig, PlannerMode};

/// The longest window of the network: with it settings can be checked where the planner is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenLimit(pub(super) Option<usize>);

impl TokenLimit {
    /// Whether a planner of this limit takes the settings: [`Planner::set`] refuses for no other reason.
    ///
    /// # Errors
    /// [`PlanError::Setting`] naming key, value and rule; [`PlanError::TooLong`].
    pub fn check(self, settings: &PlannerConfig) -> Result<(), PlanError> {
        settings.check()?;
        let (history, horizon) = (settings.history, settings.horizon);
        let Some(most) = self.0.filter(|most| history + horizon > *most) else { return Ok(()) };
        // A streamed plan is one window; a full one slides it, and needs room for something new.
        if settings.mode == PlannerMode::Streaming || history.max(1) >= most {
            return Err(PlanError::TooLong { history, horizon, most });
        }
        Ok(())
    }
}

impl Planner {
    pub fn settings(&self) -> &PlannerConfig {
        &self.settings
    }

    pub fn limit(&self) -> TokenLimit {
        TokenLimit(self.generator.denoiser.most_tokens())
    }

    /// Changes settings between two plans; a refused change leaves them as they were. Where sizes change, a streamed plan starts
    /// anew; otherwise it goes on.
    ///
    /// # Errors
    /// As [`TokenLimit::check`].
    pub fn set(&mut self, settings: PlannerConfig) -> Result<(), PlanError> {
        self.limit().check(&settings)?;
        if settings.mode == PlannerMode::Full {
            self.buffer = None;
        }
        self.settings = settings;
        Ok(())
    }

    /// Gives the costs the weights of `costs`, which are those that the planner was made with.
    pub fn set_weights(&mut self, costs: &[CostConfig]) {
        self.generator.guidance.set_weights(costs.iter().map(|cost| cost.weight));
    }
}
