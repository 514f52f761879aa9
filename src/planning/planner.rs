//! The planner: history in, plan out.

use std::path::Path;

use super::{Plan, PlanRequest};
use crate::config::Config;
use crate::signal::Layout;

/// Plans with a trained checkpoint.
pub struct Planner {
    _private: (),
}

/// Why no plan was made, or no planner.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PlanError {
    /// The checkpoint cannot be read, or was trained under another contract; says what differs.
    #[error("{0}")]
    Checkpoint(String),
    #[error("the plan holds a value that is not finite")]
    NotFinite,
    /// Planning ended in a panic, which the caller caught.
    #[error("planning panicked: {0}")]
    Panicked(String),
}

impl Planner {
    /// Loads a checkpoint directory and checks it against the configuration and the layout of its bound contract.
    /// `device`: `flex`, `tch`, `cuda:0`.
    ///
    /// # Errors
    /// [`PlanError::Checkpoint`].
    pub fn load(checkpoint: &Path, config: &Config, layout: &Layout, device: &str) -> Result<Self, PlanError> {
        let _ = (checkpoint, config, layout, device);
        unimplemented!("lead")
    }

    /// Plans. The same request after the same requests gives the same plan.
    ///
    /// # Errors
    /// [`PlanError::NotFinite`].
    pub fn plan(&mut self, request: &PlanRequest) -> Result<Plan, PlanError> {
        let _ = request;
        unimplemented!("lead")
    }

    /// Forgets what lives across ticks and restarts the random generator (a backward jump of time, a new run).
    pub fn reset(&mut self) {
        unimplemented!("lead")
    }
}
