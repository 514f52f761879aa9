//! The ladder under the plan: fresh plan, rest of the last plan, safe action. And the last gate: limits, finite.

/// Where on the ladder a command stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    /// The plan made in the period before.
    Plan,
    /// An older plan's action for this tick: the planner missed the tick.
    RestOfPlan,
    /// The contract's safe action.
    Safe,
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
    #[error("no plan was ready at the tick")]
    DeadlineMissed,
    #[error("the planner failed: {0}")]
    PlannerFailed(String),
}

/// What to publish at a tick.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    pub tick_ns: i64,
    /// Finite and within the contract's limits, in units.
    pub values: Vec<f64>,
    pub rung: Rung,
    pub reason: Option<Reason>,
}
