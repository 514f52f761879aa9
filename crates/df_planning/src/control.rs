//! The control loop: what happens at a tick. Drives the live node and in-process simulation alike.
//!
//! ```text
//! compensated   tick k: observation k joins the history | command k, planned before, leaves | request for k+1, command k known
//! immediate     open k: observation k joins the history | request for k -> accept -> close k: command k leaves
//! ```

use super::command::{Command, FallbackLevel, Reason};
use super::command_limiter::CommandLimiter;
use super::fallback::Fallback;
use super::ood_monitor::OodMonitor;
use super::shadow::ShadowScore;
use super::{Plan, PlanError, PlanRequest};
use crate::PlanningConfig;
use crate::{Latency, OperatingMode, PlannerConfig, SafetyConfig};
use df_core::ObservationGroup;
use df_core::settings::ValidationError;
use df_core::{ACTION_MODALITY, Aligner, History, Layout, Normaliser};

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
    groups: Vec<ObservationGroup>,
    needs_goal: bool,
    period_ns: i64,
    safe: Vec<f64>,
    mode: OperatingMode,
    latency: Latency,
    settings: SafetyConfig,
    aligner: Aligner,
    history_tokens: usize,
    history: History,
    ood_monitor: OodMonitor,
    fallback: Fallback,
    gate: CommandLimiter,
    score: ShadowScore,
    goal: Option<Vec<f64>>,
    plan: Option<Plan>,
    /// The first tick of the plan that was asked for last, or why none was.
    asked: Result<i64, Reason>,
    /// Why the plan that was asked for last did not come.
    failure: Option<Reason>,
    /// Why the newest observation is not planned from.
    strange: Option<Reason>,
    stopping: Option<Reason>,
    last_tick_ns: Option<i64>,
    /// The last command, while it may be compared.
    last: Option<Command>,
}

impl ControlLoop {
    /// `normaliser`: that of the checkpoint, as the planner has it.
    pub fn new(config: &PlanningConfig, layout: &Layout, normaliser: &Normaliser) -> Self {
        let (action, period_ns) = (&config.contract.action, config.contract.period_ns());
        Self {
            layout: layout.clone(),
            groups: config.contract.observations.clone(),
            needs_goal: config.contract.goal.is_some(),
            period_ns,
            safe: action.safe.clone(),
            mode: config.mode,
            latency: config.planner.latency,
            settings: config.safety.clone(),
            aligner: Aligner::new(&config.contract, layout),
            history_tokens: config.planner.history,
            history: History::new(layout, config.planner.history),
            ood_monitor: OodMonitor::new(normaliser.clone()),
            fallback: Fallback::new(action.safe.clone(), period_ns),
            gate: CommandLimiter::new(action.clone(), period_ns as f64 * 1e-9),
            score: ShadowScore::default(),
            goal: None,
            plan: None,
            asked: Err(Reason::FillingHistory),
            failure: None,
            strange: None,
            stopping: None,
            last_tick_ns: None,
            last: None,
        }
    }

    /// Whether [`ControlLoop::tick`] or [`ControlLoop::open`] and [`ControlLoop::close`] should be called.
    pub fn latency(&self) -> Latency {
        self.latency
    }

    /// In the shadow mode nothing of what a tick yields is to be published.
    pub fn mode(&self) -> OperatingMode {
        self.mode
    }

    /// Changes settings between two ticks; a refused change leaves them as they were. Of the planner's settings those that
    /// concern the control loop are taken: `latency` and `history`.
    ///
    /// # Errors
    /// Key, value and rule.
    pub fn set(
        &mut self,
        mode: OperatingMode,
        planner: &PlannerConfig,
        safety: &SafetyConfig,
    ) -> Result<(), ValidationError> {
        safety.check()?;
        planner.check()?;
        (self.mode, self.latency, self.settings) = (mode, planner.latency, safety.clone());
        if planner.history != self.history_tokens {
            self.history_tokens = planner.history;
            self.history = self.history.resized(&self.layout, planner.history);
        }
        Ok(())
    }

    /// A decoded sample of an observation group, in units. One with a value that the network could not be given (as f32 it is
    /// not finite) is none; a variance of that kind is unknown.
    pub fn observe(&mut self, group: usize, stamp_ns: i64, values: &[f64]) {
        let channels = self.layout.modalities[ACTION_MODALITY + 1 + group].channels.len();
        let finite = |value: &f64| (*value as f32).is_finite();
        if values.iter().all(finite) {
            self.aligner.observe(group, stamp_ns, values);
        } else if values[..channels].iter().all(finite) {
            let variances = values[channels..].iter().map(|v| if finite(v) { *v } else { -1.0 });
            let values: Vec<f64> = values[..channels].iter().copied().chain(variances).collect();
            self.aligner.observe(group, stamp_ns, &values);
        }
    }

    /// A command of the operator or of another controller, in units: in the shadow mode it is what is in effect.
    pub fn commanded(&mut self, stamp_ns: i64, values: &[f64]) {
        if self.mode == OperatingMode::Shadow && self.gate.refusal(values).is_none() {
            self.aligner.command(stamp_ns, values);
        }
    }

    /// Sets or moves the goal, in the units of the goal's group; nothing: there is none any more.
    pub fn set_goal(&mut self, goal: &[f64]) {
        self.goal = (!goal.is_empty()).then(|| goal.to_vec());
    }

    /// Begins anew: samples, history, plan and a stop are forgotten. The goal stays, and what was commanded last: the next
    /// command keeps the limits with respect to it.
    pub fn clear(&mut self) {
        self.forget();
        self.score = ShadowScore::default();
        self.stopping = None;
    }

    /// From now on no plan is followed, and commands go to the safe action within the limits. `reason`: what they say.
    pub fn stop(&mut self, reason: Reason) {
        self.stopping = Some(reason);
    }

    /// Whether the safe action is in effect, or nothing is sent.
    pub fn is_at_rest(&self) -> bool {
        self.mode == OperatingMode::Shadow || self.gate.last() == self.safe
    }

    /// Latency-compensated: the command of the tick and the request for the next one. Ticks are one period apart; ticks that
    /// were skipped leave their frames in the history, a backward jump clears history and plan.
    pub fn tick(&mut self, tick_ns: i64) -> Tick {
        self.look(tick_ns);
        let command = self.decide(tick_ns);
        let in_effect = match self.mode {
            OperatingMode::Drive => command.values.clone(),
            OperatingMode::Shadow => self.gate.last().to_vec(),
        };
        let request = self.request(tick_ns, Some(in_effect));
        Tick { command, request }
    }

    /// Immediate: takes the observation of the tick and yields the request for its command, which [`ControlLoop::close`] gives.
    pub fn open(&mut self, tick_ns: i64) -> Option<PlanRequest> {
        self.look(tick_ns);
        self.request(tick_ns, None)
    }

    /// Immediate: the command of the tick that was opened last.
    pub fn close(&mut self) -> Command {
        self.decide(self.last_tick_ns.unwrap_or_default())
    }

    /// Takes the planner's answer to the latest request. A failed one leaves the plan before in place, and so does one that
    /// holds no commands or answers no request.
    pub fn accept(&mut self, plan: Result<Plan, PlanError>) {
        let plan = plan.map_err(|error| Reason::from(&error)).and_then(|plan| {
            let refusal = plan.actions.iter().find_map(|action| self.gate.refusal(action));
            refusal.map_or(Ok(plan), Err)
        });
        match plan {
            Err(reason) => self.failure = Some(reason),
            Ok(plan) => {
                let until = self.asked.as_ref().map_or(i64::MIN, |first| first.saturating_add(self.period_ns / 2));
                let since = self.plan.as_ref().map_or(i64::MIN, |plan| plan.first_tick_ns);
                if (since..=until).contains(&plan.first_tick_ns) {
                    self.failure = None;
                    self.plan = Some(plan);
                }
            }
        }
    }

    /// The newest accepted plan, for display.
    pub fn plan(&self) -> Option<&Plan> {
        self.plan.as_ref()
    }

    /// How shadow mode went since the last [`ControlLoop::clear`].
    pub fn score(&self) -> &ShadowScore {
        &self.score
    }

    /// How unlike the training data the newest observation is, in its standard deviations.
    pub fn ood_monitor(&self) -> Option<f64> {
        self.ood_monitor.distance()
    }

    /// Age of the newest sample of each observation group at `tick_ns`, seconds; `None` if none has come.
    pub fn ages_s(&self, tick_ns: i64) -> Vec<Option<f64>> {
        (0..self.groups.len()).map(|group| self.aligner.age_s(group, tick_ns)).collect()
    }

    /// Whether nothing is worth waiting for: no sample of a required group is still on its way for this tick.
    pub fn ready(&self, tick_ns: i64) -> bool {
        self.groups.iter().enumerate().all(|(i, group)| !group.required || !self.aligner.awaits(i, tick_ns))
    }

    /// Stops, and gives the next command on the way to the safe action without looking at what was observed: for the end, a
    /// period apart, until [`ControlLoop::is_at_rest`].
    pub fn safe_command(&mut self, tick_ns: i64) -> Command {
        self.stopping.get_or_insert(Reason::Stopping);
        self.decide(tick_ns)
    }

    fn forget(&mut self) {
        self.aligner.clear();
        self.history = History::new(&self.layout, self.history_tokens);
        self.ood_monitor.clear();
        self.strange = None;
        self.plan = None;
        self.asked = Err(Reason::FillingHistory);
        self.failure = None;
        self.last_tick_ns = None;
        self.last = None;
    }

    /// Takes the frame of the tick into the history, and those of ticks that were skipped before it.
    fn look(&mut self, tick_ns: i64) {
        if self.last_tick_ns.is_some_and(|last| tick_ns <= last) {
            self.forget();
        }
        // To the nearest tick: a live tick may be some microseconds off the grid.
        let passed = self.last_tick_ns.map_or(1, |last| self.periods(tick_ns.saturating_sub(last)).max(1));
        self.last_tick_ns = Some(tick_ns);
        // Older frames than the history holds are of no use.
        let kept = i64::try_from(self.history.frames().len()).unwrap_or(i64::MAX);
        for behind in (1..passed.min(kept)).rev() {
            let frame = self.aligner.frame_at(tick_ns.saturating_sub(behind.saturating_mul(self.period_ns)));
            self.history.push(frame);
        }
        let frame = self.aligner.frame_at(tick_ns);
        self.strange = self.ood_monitor.judge(&frame, &self.layout, &self.settings.out_of_distribution);
        if self.mode == OperatingMode::Shadow {
            self.gate.assume(self.aligner.commanded_at(tick_ns).unwrap_or(&self.safe));
            let last = self.last.take().filter(|_| passed == 1 && frame.present[ACTION_MODALITY]);
            match last {
                Some(Command { rung: FallbackLevel::Plan, values, .. }) => {
                    self.score.compare(&values, &frame.values[self.layout.action()]);
                }
                Some(_) => self.score.unplanned(),
                None => (),
            }
        }
        self.history.push(frame);
    }

    /// The command of the tick: of the plan, or of the ladder below it.
    fn decide(&mut self, tick_ns: i64) -> Command {
        let blocking_reason = self.blocking_reason(tick_ns);
        if blocking_reason.is_some() {
            // What was planned before a stop is no answer to what comes after it.
            self.plan = None;
        }
        let stop = self.stopping.is_some();
        let planned = self.plan.as_ref().and_then(|plan| {
            let index = usize::try_from(self.periods(tick_ns.saturating_sub(plan.first_tick_ns))).ok()?;
            // A share of a period is no reason to leave a plan.
            let max_plan_age_s = self.settings.max_plan_age_s * (1.0 + 1e-9);
            let allowed = index as f64 * self.period_ns as f64 * 1e-9 <= max_plan_age_s;
            Some((index, plan.actions.get(index).filter(|_| allowed)?.clone()))
        });
        let missed = || {
            self.failure.clone().unwrap_or(match &self.asked {
                Ok(_) => Reason::DeadlineMissed,
                Err(reason) => reason.clone(),
            })
        };
        let (rung, wanted, reason) = match planned {
            Some((0, values)) => (FallbackLevel::Plan, values, None),
            Some((_, values)) => (FallbackLevel::RestOfPlan, values, Some(missed())),
            None => {
                let reason = blocking_reason.unwrap_or_else(missed);
                let (rung, values) = self.fallback.descend(tick_ns, self.gate.last(), &self.settings, stop);
                (rung, values, Some(reason))
            }
        };
        if rung <= FallbackLevel::RestOfPlan {
            self.fallback.recover();
        }
        let (values, refusal) = self.gate.pass(tick_ns, &wanted);
        let rung = if refusal.is_some() { FallbackLevel::Safe } else { rung };
        let command = Command { tick_ns, values, rung, reason: refusal.or(reason) };
        match self.mode {
            OperatingMode::Drive => self.aligner.command(tick_ns, &command.values),
            // What would have been sent is not in effect.
            OperatingMode::Shadow => self.gate.assume(self.aligner.commanded_at(tick_ns).unwrap_or(&self.safe)),
        }
        self.last = Some(command.clone());
        command
    }

    fn request(&mut self, tick_ns: i64, committed: Option<Vec<f64>>) -> Option<PlanRequest> {
        self.failure = None;
        let first_tick_ns = if committed.is_some() { tick_ns.saturating_add(self.period_ns) } else { tick_ns };
        self.asked = match self.blocking_reason(tick_ns).or_else(|| self.filling()) {
            Some(reason) => Err(reason),
            None => Ok(first_tick_ns),
        };
        self.asked.is_ok().then(|| PlanRequest {
            tick_ns,
            history: self.history.clone(),
            committed,
            goal: self.goal.clone().unwrap_or_default(),
        })
    }

    /// Why no plan may be followed now, whatever plan there is.
    fn blocking_reason(&self, tick_ns: i64) -> Option<Reason> {
        let no_goal = (self.needs_goal && self.goal.is_none()).then_some(Reason::NoGoal);
        let blocking_reason = self.stopping.clone().or_else(|| self.missing(tick_ns));
        blocking_reason.or_else(|| self.strange.clone()).or(no_goal)
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

    /// To the nearest number of periods.
    fn periods(&self, ns: i64) -> i64 {
        ns.saturating_add(self.period_ns / 2).div_euclid(self.period_ns)
    }
}
