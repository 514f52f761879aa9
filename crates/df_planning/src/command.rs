//! What leaves at a tick: the values, where on the ladder they stand, and why they do not come from a fresh plan.

use super::PlanError;

/// Where on the ladder a command stands, the best rung first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FallbackLevel {
    /// The plan that was asked for for this tick.
    Plan,
    /// An older plan's action for this tick.
    RestOfPlan,
    /// The last command, for a while.
    Hold,
    /// On the way from the last command to the safe action.
    Ramp,
    /// The contract's safe action, or as near to it as the limits on rate and acceleration allow by now.
    Safe,
}

impl FallbackLevel {
    /// As diagnostics say it.
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

/// Why a command does not come from a fresh plan.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Reason {
    #[error("no goal has been given")]
    NoGoal,
    #[error("observation group `{group}` has never been received")]
    NeverObserved { group: String },
    #[error("observation group `{group}` is {age_s:.3} s old, more than its max_age_s of {max_age_s}")]
    Stale { group: String, age_s: f64, max_age_s: f64 },
    /// `distance`: in standard deviations of the training data.
    #[error(
        "observation group `{group}` is unlike anything trained on: {channel} is {distance:.1} deviations from its mean, more than {limit}"
    )]
    OutOfDistribution { group: String, channel: String, distance: f64, limit: f64 },
    #[error("the newest token of the history is not complete yet")]
    FillingHistory,
    #[error("no plan was ready at the tick")]
    DeadlineMissed,
    #[error("the planner failed: {0}")]
    PlannerFailed(String),
    #[error("the planner panicked: {0}")]
    PlannerPanicked(String),
    #[error("the plan holds a value that is not finite")]
    NotFinite,
    #[error("the plan's action has {got} values, the contract's {expected}")]
    WrongLength { expected: usize, got: usize },
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
    pub tick_ns: i64,
    /// Finite and within the contract's limits, in units.
    pub values: Vec<f64>,
    pub rung: FallbackLevel,
    /// None on the rung [`FallbackLevel::Plan`] only.
    pub reason: Option<Reason>,
}
