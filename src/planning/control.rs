//! The control loop: what happens at a tick. Drives live node, replay and in-process simulation alike.

use super::{Command, Plan, PlanError, PlanRequest};
use crate::config::Config;
use crate::signal::Layout;

/// What a tick yields.
#[derive(Clone, Debug)]
pub struct Tick {
    /// To be published now.
    pub command: Command,
    /// To be planned until the next tick; `None` while there is no goal or a required group is missing.
    pub request: Option<PlanRequest>,
}

/// Aligns, remembers, decides. Cheap: planning happens in `Planner::plan`.
pub struct ControlLoop {
    _private: (),
}

impl ControlLoop {
    pub fn new(config: &Config, layout: &Layout) -> Self {
        let _ = (config, layout);
        unimplemented!("lead")
    }

    /// A decoded sample of an observation group.
    pub fn observe(&mut self, group: usize, stamp_ns: i64, values: &[f64]) {
        let _ = (group, stamp_ns, values);
        unimplemented!("lead")
    }

    /// Sets or moves the goal, in the units of the goal's group.
    pub fn set_goal(&mut self, goal: &[f64]) {
        let _ = goal;
        unimplemented!("lead")
    }

    /// The command of the tick and the request for the next one. Ticks are one period apart; one that comes late or
    /// jumps is taken as it is, a backward jump clears history and plan.
    pub fn tick(&mut self, tick_ns: i64) -> Tick {
        let _ = tick_ns;
        unimplemented!("lead")
    }

    /// Takes the planner's answer to the latest request.
    pub fn accept(&mut self, plan: Result<Plan, PlanError>) {
        let _ = plan;
        unimplemented!("lead")
    }

    /// The newest accepted plan, for display.
    pub fn plan(&self) -> Option<&Plan> {
        unimplemented!("lead")
    }

    /// The safe action as a command (shutdown).
    pub fn safe_command(&self, tick_ns: i64) -> Command {
        let _ = tick_ns;
        unimplemented!("lead")
    }
}
