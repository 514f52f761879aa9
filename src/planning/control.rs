//! The control loop: what happens at a tick. Drives the live node and in-process simulation alike.

use super::safety::{Command, Reason, Safety};
use super::{Plan, PlanError, PlanRequest};
use crate::config::{Config, ObservationGroup};
use crate::signal::{Aligner, History, Layout};

/// What a tick yields.
#[derive(Clone, Debug)]
pub struct Tick {
    /// To be published now.
    pub command: Command,
    /// To be planned until the next tick; `None` while there is no goal or a required group is missing.
    pub request: Option<PlanRequest>,
}

/// Aligns, remembers, decides. Cheap: planning happens in `Planner::plan`.
#[derive(Clone)]
pub struct ControlLoop {
    layout: Layout,
    history_tokens: usize,
    groups: Vec<ObservationGroup>,
    needs_goal: bool,
    aligner: Aligner,
    history: History,
    safety: Safety,
    goal: Option<Vec<f64>>,
    plan: Option<Plan>,
    last_tick_ns: Option<i64>,
}

impl ControlLoop {
    pub fn new(config: &Config, layout: &Layout) -> Self {
        Self {
            layout: layout.clone(),
            history_tokens: config.planner.history,
            groups: config.contract.observations.clone(),
            needs_goal: config.goal.is_some(),
            aligner: Aligner::new(&config.contract, layout),
            history: History::new(layout, config.planner.history),
            safety: Safety::new(config.contract.action.clone(), config.contract.period_ns()),
            goal: None,
            plan: None,
            last_tick_ns: None,
        }
    }

    /// A decoded sample of an observation group, in units.
    pub fn observe(&mut self, group: usize, stamp_ns: i64, values: &[f64]) {
        self.aligner.observe(group, stamp_ns, values);
    }

    /// Sets or moves the goal, in the units of the goal's group; nothing: there is none any more.
    pub fn set_goal(&mut self, goal: &[f64]) {
        self.goal = (!goal.is_empty()).then(|| goal.to_vec());
    }

    /// Takes changed settings over, between two ticks.
    pub fn set(&mut self, config: &Config) {
        if config.planner.history != self.history_tokens {
            self.history_tokens = config.planner.history;
            self.history = self.history.resized(&self.layout, self.history_tokens);
        }
    }

    /// The command of the tick and the request for the next one. Ticks are one period apart; one that comes late or
    /// jumps is taken as it is, a backward jump clears history and plan.
    pub fn tick(&mut self, tick_ns: i64) -> Tick {
        let command = self.decide(tick_ns);
        self.close(tick_ns, command)
    }

    /// Takes the planner's answer to the latest request. A failed one leaves the plan before in place.
    pub fn accept(&mut self, plan: Result<Plan, PlanError>) {
        self.safety.planned(plan.as_ref().map(|_| ()));
        if let Ok(plan) = plan {
            self.plan = Some(plan);
        }
    }

    /// The newest accepted plan, for display.
    pub fn plan(&self) -> Option<&Plan> {
        self.plan.as_ref()
    }

    /// Age of the newest sample of each observation group at `tick_ns`, seconds; `None` if none has come.
    pub fn ages_s(&self, tick_ns: i64) -> Vec<Option<f64>> {
        (0..self.groups.len()).map(|group| self.aligner.age_s(group, tick_ns)).collect()
    }

    /// The safe action as a command (shutdown).
    pub fn safe_command(&self, tick_ns: i64) -> Command {
        self.safety.safe(tick_ns, None)
    }

    fn decide(&mut self, tick_ns: i64) -> Command {
        if self.last_tick_ns.is_some_and(|last| tick_ns <= last) {
            self.aligner.clear();
            self.history = History::new(&self.layout, self.history_tokens);
            self.plan = None;
        }
        self.last_tick_ns = Some(tick_ns);
        let hindrance = self.hindrance(tick_ns);
        if hindrance.is_some() {
            // What was planned before a stop is no answer to what comes after it.
            self.plan = None;
        }
        self.safety.command(tick_ns, self.plan.as_ref(), hindrance)
    }

    fn close(&mut self, tick_ns: i64, in_effect: Command) -> Tick {
        let frame = self.aligner.frame_at(tick_ns);
        self.history.push(frame);
        self.aligner.command(tick_ns, &in_effect.values);
        let missing = self.missing(tick_ns).or_else(|| self.filling());
        let request = match &self.goal {
            _ if missing.is_some() => None,
            None if self.needs_goal => None,
            goal => Some(PlanRequest {
                tick_ns,
                history: self.history.clone(),
                committed: in_effect.values.clone(),
                goal: goal.clone().unwrap_or_default(),
            }),
        };
        Tick { command: in_effect, request }
    }

    /// Why no plan may be followed now.
    fn hindrance(&self, tick_ns: i64) -> Option<Reason> {
        let no_goal = (self.needs_goal && self.goal.is_none()).then_some(Reason::NoGoal);
        // No plan yet because the history was still filling is no missed deadline.
        self.missing(tick_ns).or(no_goal).or_else(|| if self.plan.is_none() { self.filling() } else { None })
    }

    fn missing(&self, tick_ns: i64) -> Option<Reason> {
        self.groups.iter().enumerate().filter(|(_, group)| group.required).find_map(|(i, group)| {
            match self.aligner.age_s(i, tick_ns) {
                None => Some(Reason::NeverObserved { group: group.name.clone() }),
                Some(age_s) if age_s > group.max_age_s => {
                    Some(Reason::Stale { group: group.name.clone(), age_s, max_age_s: group.max_age_s })
                }
                _ => None,
            }
        })
    }

    /// The newest token must be known in its required groups: it says where the robot is and how it moves.
    fn filling(&self) -> Option<Reason> {
        (!self.history.is_known(self.layout.frame_stack, &self.groups)).then_some(Reason::FillingHistory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planning::Rung;

    /// What a planner refuses or cannot do, the tick says by name, one rung down: the rest of the last plan, then the safe action.
    #[test]
    fn a_failed_plan_leads_down_the_ladder_and_says_why() {
        let text = "
period_s: 0.1
frame_stack: 1
observations: {x: {topic: x, type: p/msg/X, fields: [x], max_age_s: 60}}
action: {topic: u, type: p/msg/X, fields: [x], min: [-1], max: [1], safe: [0], max_age_s: 1}
planner: {history: 1, horizon: 8}
";
        let config = Config::parse(text, std::path::Path::new("c.yaml")).unwrap();
        let layout = Layout::new(1, [("action".into(), vec!["u".into()]), ("x".into(), vec!["x".into()])]);
        let mut control = ControlLoop::new(&config, &layout);
        control.observe(0, 0, &[0.0]);
        let tick = |control: &mut ControlLoop, k: i64| control.tick(k * 100_000_000);
        // The first tick fills the history; its request is answered.
        assert_eq!(tick(&mut control, 0).command.reason, Some(Reason::FillingHistory));
        control.accept(Ok(Plan { first_tick_ns: 100_000_000, actions: vec![vec![0.5]; 8], ..Plan::default() }));
        assert_eq!(tick(&mut control, 1).command.rung, Rung::Plan);
        for (error, why) in [
            (PlanError::Gradient(f32::NAN), "the gradient of the costs is NaN"),
            (PlanError::OutOfTime, "the time did not allow a single denoising step"),
        ] {
            let mut control = control.clone();
            let mut rungs = Vec::new();
            for k in 2..9 {
                control.accept(Err(error.clone()));
                let command = tick(&mut control, k).command;
                assert!(command.reason.clone().unwrap().to_string().contains(why), "{:?}", command.reason);
                rungs.push(command.rung);
            }
            // Ticks 2 to 6 have an action of the plan that began at tick 1, at most five ticks old; 7 and 8 do not.
            assert_eq!(rungs, [[Rung::RestOfPlan; 5].as_slice(), &[Rung::Safe; 2]].concat());
        }
    }
}
