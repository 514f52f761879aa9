//! The ladder under the plan: fresh plan, rest of the last plan, safe action. And the last gate: finite and within limits.

use super::{Plan, PlanError};
use crate::config::Action;

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
    #[error("the newest token of the history is not complete yet")]
    FillingHistory,
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

/// How many ticks an old plan may be continued before the safe action takes over.
const LONGEST_REST: usize = 5;

/// Chooses the command of a tick.
#[derive(Clone, Debug)]
pub struct Safety {
    action: Action,
    period_ns: i64,
    failure: Option<String>,
}

impl Safety {
    pub fn new(action: Action, period_ns: i64) -> Self {
        Self { action, period_ns, failure: None }
    }

    /// Notes how the newest planning ended.
    pub fn planned(&mut self, result: Result<(), &PlanError>) {
        self.failure = result.err().map(ToString::to_string);
    }

    /// The command of `tick_ns`. `hindrance`: why no plan may be followed at all.
    pub fn command(&self, tick_ns: i64, plan: Option<&Plan>, hindrance: Option<Reason>) -> Command {
        let missed = || self.failure.clone().map_or(Reason::DeadlineMissed, Reason::PlannerFailed);
        let planned = plan.and_then(|plan| {
            // To the nearest tick: a live tick may be some microseconds off the grid.
            let index = (tick_ns - plan.first_tick_ns + self.period_ns / 2).div_euclid(self.period_ns);
            let index = usize::try_from(index).ok().filter(|i| *i <= LONGEST_REST)?;
            plan.actions.get(index).map(|values| (index, values))
        });
        match (hindrance, planned) {
            (Some(reason), _) => self.safe(tick_ns, Some(reason)),
            (None, Some((0, values))) => self.gate(tick_ns, values, Rung::Plan, None),
            (None, Some((_, values))) => self.gate(tick_ns, values, Rung::RestOfPlan, Some(missed())),
            (None, None) => self.safe(tick_ns, Some(missed())),
        }
    }

    /// The safe action.
    pub fn safe(&self, tick_ns: i64, reason: Option<Reason>) -> Command {
        Command { tick_ns, values: self.action.safe.clone(), rung: Rung::Safe, reason }
    }

    /// Nothing leaves that is not finite, of another length or beyond the limits.
    fn gate(&self, tick_ns: i64, values: &[f64], rung: Rung, reason: Option<Reason>) -> Command {
        if values.len() != self.action.safe.len() || values.iter().any(|v| !v.is_finite()) {
            return self.safe(tick_ns, Some(Reason::PlannerFailed("the action is not finite".into())));
        }
        Command { tick_ns, values: self.action.limited(values), rung, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn safety() -> Safety {
        let config = crate::config::Config::parse(
            include_str!("../../config/point_maze.yaml"),
            std::path::Path::new("point_maze.yaml"),
        )
        .unwrap();
        Safety::new(config.contract.action, 50)
    }

    fn plan(actions: Vec<Vec<f64>>) -> Plan {
        Plan { first_tick_ns: 1000, actions, ..Plan::default() }
    }

    #[test]
    fn the_ladder() {
        let plan = plan((0..20).map(|i| vec![f64::from(i) * 0.1, 9.0]).collect());
        let at = |tick| safety().command(tick, Some(&plan), None);
        // 9 is beyond the limit of 4.
        assert_eq!((at(1000).rung, at(1000).values), (Rung::Plan, vec![0.0, 4.0]));
        assert_eq!((at(1100).rung, at(1100).values), (Rung::RestOfPlan, vec![0.2, 4.0]));
        assert_eq!(at(1100).reason, Some(Reason::DeadlineMissed));
        // Six ticks late, or before the plan begins: the safe action.
        assert_eq!((at(1300).rung, at(1300).values), (Rung::Safe, vec![0.0, 0.0]));
        assert_eq!(at(900).rung, Rung::Safe);
        assert_eq!(safety().command(1000, Some(&plan), Some(Reason::NoGoal)).reason, Some(Reason::NoGoal));
    }

    proptest! {
        /// Whatever a plan says, what leaves is finite and within the limits.
        #[test]
        fn the_gate_holds(values in proptest::collection::vec(any::<f64>(), 0..4), tick in 900i64..1400) {
            let command = safety().command(tick, Some(&plan(vec![values; 8])), None);
            prop_assert_eq!(command.values.len(), 2);
            prop_assert!(command.values.iter().all(|v| v.is_finite() && v.abs() <= 4.0));
        }
    }
}
