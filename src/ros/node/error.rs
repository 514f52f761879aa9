//! Why the node does not start or does not end well.

use super::parameters::ParameterError;
use super::settings::SettingsError;
use crate::LoadPlannerError;
use crate::ros::node_handle::RosError;
use df_core::ConfigError;
use df_engine::CheckpointError;
use df_planning::PlanError;

/// An error of the node's start, of a transition, or of its end.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A setting of the start is missing or invalid.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The configuration is refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The checkpoint cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A parameter given at start is refused.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// The planner cannot be loaded from the checkpoint.
    #[error("{checkpoint}: {cause}")]
    LoadPlanner {
        /// The checkpoint's directory.
        checkpoint: String,
        /// Why not.
        cause: Box<LoadPlannerError>,
    },
    /// The planner cannot plan with the checkpoint.
    #[error("{checkpoint}: {cause}")]
    Planner {
        /// The checkpoint's directory.
        checkpoint: String,
        /// The error of the planner.
        cause: PlanError,
    },
    /// ROS refuses a topic, a service or the node itself.
    #[error(transparent)]
    Ros(#[from] RosError),
    /// The system gives no thread or no signal handler.
    #[error("the system refuses a thread or a signal handler: {0}")]
    System(#[from] std::io::Error),
    /// A transition of the life cycle failed.
    #[error("the transition `{0}` failed")]
    TransitionFailed(&'static str),
    /// The executor's thread has panicked. The node can no longer publish.
    #[error("the ROS thread panicked; its message is printed above")]
    RosThreadDied,
}
