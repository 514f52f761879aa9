//! The command of a tick: its values, its fallback level, and why it does not come from a new plan.

use crate::planner::PlanError;

/// Where a command comes from, the best level first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FallbackLevel {
    /// The plan that was requested for this tick.
    Plan,
    /// An older plan's action for this tick.
    RestOfPlan,
    /// The last command, for `safety.policy_s`.
    Hold,
    /// The line from the last command to the safe action.
    Ramp,
    /// The contract's safe action, as far as the limits on rate and acceleration allow.
    Safe,
}

impl FallbackLevel {
    /// The name in diagnostics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::RestOfPlan => "rest_of_plan",
            Self::Hold => "hold",
            Self::Ramp => "ramp",
            Self::Safe => "safe",
        }
    }
}

/// Why a command does not come from a new plan.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Reason {
    /// The contract has a goal and none is set.
    #[error("no goal has been given")]
    NoGoal,
    /// A required group has never been received.
    #[error("observation group `{group}` has never been received")]
    NeverObserved {
        /// The group.
        group: String,
    },
    /// The newest sample of a required group is too old.
    #[error("observation group `{group}` is {age_s:.3} s old, more than its max_age_s of {max_age_s}")]
    Stale {
        /// The group.
        group: String,
        /// Age of its newest sample, seconds.
        age_s: f64,
        /// The limit, seconds.
        max_age_s: f64,
    },
    /// The newest observation is unlike the training data.
    #[error(
        "observation group `{group}` is unlike anything trained on: {channel} is {distance:.1} deviations from its mean, more than {limit}"
    )]
    OutOfDistribution {
        /// The group.
        group: String,
        /// The channel that is farthest from its mean.
        channel: String,
        /// Its distance from the mean, in standard deviations of the training data.
        distance: f64,
        /// The limit that holds, in the same unit.
        limit: f64,
    },
    /// The newest token of the history lacks a required group.
    #[error("the newest token of the history is not complete yet")]
    FillingHistory,
    /// The requested plan was not ready at the tick.
    #[error("no plan was ready at the tick")]
    DeadlineMissed,
    /// The planner returned an error.
    #[error("the planner failed: {0}")]
    PlannerFailed(String),
    /// The planner panicked.
    #[error("the planner panicked: {0}")]
    PlannerPanicked(String),
    /// The plan holds a value that is not finite.
    #[error("the plan holds a value that is not finite")]
    NotFinite,
    /// An action has another number of values than the contract.
    #[error("the plan's action has {got} values, the contract's {expected}")]
    WrongLength {
        /// Values of the contract's action.
        expected: usize,
        /// Values of the plan's action.
        got: usize,
    },
    /// The caller stops: [`super::ControlLoop::safe_command`].
    #[error("stopping")]
    Stopping,
}

impl From<&PlanError> for Reason {
    fn from(error: &PlanError) -> Self {
        match error {
            PlanError::Panicked(text) => Self::PlannerPanicked(text.clone()),
            PlanError::NotFinite => Self::NotFinite,
            other => Self::PlannerFailed(other.to_string()),
        }
    }
}

/// What to publish at a tick.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// The tick, nanoseconds.
    pub tick_ns: i64,
    /// One value per action channel, in units. Finite and within the contract's limits.
    pub values: Vec<f64>,
    /// Where the command comes from.
    pub level: FallbackLevel,
    /// Why it does not come from a new plan; `None` at [`FallbackLevel::Plan`] only.
    pub reason: Option<Reason>,
}
