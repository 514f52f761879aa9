//! The length of the network's window, and whether a configuration fits into it.

use super::error::PlannerConfigError;
use crate::config::{PlannerConfig, PlannerMode};
use crate::inference::TooLong;

/// The length of the network's window, tokens; `None`: any. With it a configuration can be checked away from the planner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenLimit(pub(super) Option<usize>);

impl TokenLimit {
    /// Checks a configuration. [`super::Planner::set_config`] refuses for no other reason.
    ///
    /// # Errors
    /// [`PlannerConfigError::Setting`] names key, value and rule; [`PlannerConfigError::TooLong`].
    pub fn check(self, config: &PlannerConfig) -> Result<(), PlannerConfigError> {
        config.check()?;
        let (history, horizon) = (config.history, config.horizon);
        let Some(max) = self.0.filter(|max| history + horizon > *max) else { return Ok(()) };
        // A streamed plan is one window. A full plan slides the window, which needs room beside the history.
        if config.mode == PlannerMode::Streaming || history.max(1) >= max {
            return Err(TooLong { history, horizon, max }.into());
        }
        Ok(())
    }
}
