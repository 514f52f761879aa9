//! Why no plan was made, and why no planner.

use df_core::ConfigError;
use df_core::settings::ValidationError;

use crate::inference::{SamplingError, TooLong};

/// Why a planner cannot take a configuration.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PlannerConfigError {
    /// A key breaks a rule.
    #[error(transparent)]
    Setting(#[from] ValidationError),
    /// History and horizon do not fit into the network's window.
    #[error(transparent)]
    TooLong(#[from] TooLong),
}

/// Why no planner was made.
#[derive(Debug, thiserror::Error)]
pub enum PlannerError {
    /// The configuration is refused.
    #[error(transparent)]
    Config(#[from] PlannerConfigError),
    /// A cost does not fit the layout. The message names file, line, key, value and rule.
    #[error(transparent)]
    Cost(#[from] ConfigError),
}

/// Why no plan was made.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PlanError {
    /// A changed configuration is refused.
    #[error(transparent)]
    Config(#[from] PlannerConfigError),
    /// Sampling failed.
    #[error(transparent)]
    Sampling(#[from] SamplingError),
    /// A cost takes its map from a topic, and no map has come.
    #[error("no map has come on the topic `{topic}` yet")]
    NoMap {
        /// The topic.
        topic: String,
    },
    /// The plan holds a value that is not finite.
    #[error("the plan holds a value that is not finite")]
    NotFinite,
    /// Planning panicked. The caller caught the panic.
    #[error("planning panicked: {0}")]
    Panicked(String),
}
