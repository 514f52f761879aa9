//! The control loop: what happens at a tick. The node and simulations in one process drive it.
//!
//! ```text
//! compensated   tick k: observation k joins the history | command k, planned before, leaves | request for k+1, command k known
//! immediate     open k: observation k joins the history | request for k -> accept -> close k: command k leaves
//! ```

use df_core::settings::ValidationError;
use df_core::{ACTION_MODALITY, Aligner, History, Layout, Normaliser, ObservationGroup};

use super::command::{Command, FallbackLevel, Reason};
use super::command_limiter::CommandLimiter;
use super::fallback::Fallback;
use super::ood_monitor::OodMonitor;
use super::shadow::ShadowScore;
use super::state::ControlState;
use crate::config::{Latency, OperatingMode, PlannerConfig, PlanningConfig, SafetyConfig};
use crate::planner::{Plan, PlanError, PlanRequest};

/// What a tick yields.
#[derive(Clone, Debug)]
pub struct Tick {
    /// The command to publish now.
    pub command: Command,
    /// What to plan until the next tick. `None` while there is no goal or a required group is missing.
    pub request: Option<PlanRequest>,
}

/// Aligns observations to ticks, follows plans, and yields a command within the limits at every tick.
///
/// It is cheap: [`crate::Planner::plan`] does the planning.
#[derive(Clone)]
pub struct ControlLoop {
    layout: Layout,
    groups: Vec<ObservationGroup>,
    needs_goal: bool,
    period_ns: i64,
    safe: Vec<f64>,
    mode: OperatingMode,
    latency: Latency,
    safety: SafetyConfig,
    aligner: Aligner,
    history_tokens: usize,
    history: History,
    ood_monitor: OodMonitor,
    /// Why the newest observation is too unlike the training data to plan from.
    out_of_distribution: Option<Reason>,
    fallback: Fallback,
    limiter: CommandLimiter,
    score: ShadowScore,
    goal: Option<Vec<f64>>,
    state: ControlState,
    /// The newest accepted plan.
    plan: Option<Plan>,
    last_tick_ns: Option<i64>,
    /// The command of the last tick, in the shadow mode until it is compared.
    last_command: Option<Command>,
}

impl ControlLoop {
    /// A loop that has observed nothing. `normaliser`: that of the checkpoint, as the planner has it.
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
            safety: config.safety.clone(),
            aligner: Aligner::new(&config.contract, layout),
            history_tokens: config.planner.history,
            history: History::new(layout, config.planner.history),
            ood_monitor: OodMonitor::new(normaliser.clone()),
            out_of_distribution: None,
            fallback: Fallback::new(action.safe.clone(), period_ns),
            limiter: CommandLimiter::new(action.clone(), period_ns as f64 * 1e-9),
            score: ShadowScore::default(),
            goal: None,
            state: ControlState::initial(),
            plan: None,
            last_tick_ns: None,
            last_command: None,
        }
    }

    /// Whether the caller uses [`ControlLoop::tick`], or [`ControlLoop::open`] and [`ControlLoop::close`].
    pub fn latency(&self) -> Latency {
        self.latency
    }

    /// Who commands the robot. In the shadow mode the caller publishes no command.
    pub fn mode(&self) -> OperatingMode {
        self.mode
    }

    /// Changes the configuration between two ticks; a refused change leaves it as it was. Of the planner's keys it takes
    /// `latency` and `history`.
    ///
    /// # Errors
    /// Key, value and rule.
    pub fn set_config(
        &mut self,
        mode: OperatingMode,
        planner: &PlannerConfig,
        safety: &SafetyConfig,
    ) -> Result<(), ValidationError> {
        safety.check()?;
        planner.check()?;
        (self.mode, self.latency, self.safety) = (mode, planner.latency, safety.clone());
        if planner.history != self.history_tokens {
            self.history_tokens = planner.history;
            self.history = self.history.resized(&self.layout, planner.history);
        }
        Ok(())
    }

    /// Takes a decoded sample of an observation group, in units: its values, then its variances if it has them.
    ///
    /// It ignores a sample with a value that is not finite as f32. It takes such a variance as unknown.
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

    /// Takes a command of another controller, in units. In the shadow mode that command is in effect.
    pub fn commanded(&mut self, stamp_ns: i64, values: &[f64]) {
        if self.mode == OperatingMode::Shadow && self.limiter.invalid(values).is_none() {
            self.aligner.command(stamp_ns, values);
        }
    }

    /// Sets the goal, in the units of the goal's group. An empty slice removes it.
    pub fn set_goal(&mut self, goal: &[f64]) {
        self.goal = (!goal.is_empty()).then(|| goal.to_vec());
    }

    /// Forgets samples, history, plan, score and a stop. The goal stays. The last command stays too, so that the next command
    /// keeps the limits with respect to it.
    pub fn clear(&mut self) {
        self.forget();
        self.score = ShadowScore::default();
        self.state = ControlState::initial();
    }

    /// Whether the safe action is in effect, or the caller publishes nothing.
    pub fn is_at_rest(&self) -> bool {
        self.mode == OperatingMode::Shadow || self.limiter.last() == self.safe
    }

    /// Compensated latency: yields the command of the tick and the request for the next one.
    ///
    /// Ticks are one period apart. Skipped ticks leave their frames in the history. A backward jump clears history and plan.
    pub fn tick(&mut self, tick_ns: i64) -> Tick {
        self.observe_tick(tick_ns);
        let command = self.command(tick_ns);
        let in_effect = match self.mode {
            OperatingMode::Drive => command.values.clone(),
            OperatingMode::Shadow => self.limiter.last().to_vec(),
        };
        let request = self.request(tick_ns, Some(in_effect));
        Tick { command, request }
    }

    /// Immediate latency: takes the observation of the tick and yields the request for its command. [`ControlLoop::close`]
    /// gives the command.
    pub fn open(&mut self, tick_ns: i64) -> Option<PlanRequest> {
        self.observe_tick(tick_ns);
        self.request(tick_ns, None)
    }

    /// Immediate latency: the command of the tick that was opened last.
    pub fn close(&mut self) -> Command {
        self.command(self.last_tick_ns.unwrap_or_default())
    }

    /// Takes the planner's result for the newest request.
    ///
    /// The last plan stays if planning failed, if the new plan holds an invalid action, or if it is for no requested tick.
    pub fn accept(&mut self, plan: Result<Plan, PlanError>) {
        let plan = plan.map_err(|error| Reason::from(&error)).and_then(|plan| {
            let invalid = plan.actions.iter().find_map(|action| self.limiter.invalid(action));
            invalid.map_or(Ok(plan), Err)
        });
        match plan {
            Err(reason) => self.state.fail(reason),
            Ok(plan) => {
                let Some(requested_ns) = self.state.requested_tick_ns() else { return };
                let until = requested_ns.saturating_add(self.period_ns / 2);
                let since = self.plan.as_ref().map_or(i64::MIN, |plan| plan.first_tick_ns);
                if (since..=until).contains(&plan.first_tick_ns) {
                    self.state.succeed();
                    self.plan = Some(plan);
                }
            }
        }
    }

    /// The newest accepted plan, for display.
    pub fn plan(&self) -> Option<&Plan> {
        self.plan.as_ref()
    }

    /// The score of the shadow mode since the last [`ControlLoop::clear`].
    pub fn score(&self) -> &ShadowScore {
        &self.score
    }

    /// Distance of the newest observation from the training data, in its standard deviations. `None` before the first one.
    pub fn ood_score(&self) -> Option<f64> {
        self.ood_monitor.score()
    }

    /// Age of the newest sample of each observation group at `tick_ns`, seconds. `None` where none has come.
    pub fn ages_s(&self, tick_ns: i64) -> Vec<Option<f64>> {
        (0..self.groups.len()).map(|group| self.aligner.age_s(group, tick_ns)).collect()
    }

    /// True if no required observation is still expected for this tick.
    pub fn is_ready(&self, tick_ns: i64) -> bool {
        self.groups.iter().enumerate().all(|(i, group)| !group.required || !self.aligner.awaits(i, tick_ns))
    }

    /// Stops following plans, and yields the next command on the way to the safe action.
    ///
    /// Call it a period apart until [`ControlLoop::is_at_rest`]. [`ControlLoop::clear`] ends the stop.
    pub fn safe_command(&mut self, tick_ns: i64) -> Command {
        self.state = ControlState::Stopped;
        self.command(tick_ns)
    }

    /// Forgets what depends on the time.
    fn forget(&mut self) {
        self.aligner.clear();
        self.history = History::new(&self.layout, self.history_tokens);
        self.ood_monitor.clear();
        self.out_of_distribution = None;
        self.plan = None;
        self.state.request(Err(Reason::FillingHistory));
        self.last_tick_ns = None;
        self.last_command = None;
    }

    /// Takes the frame of the tick into the history, and the frames of ticks that were skipped before it.
    fn observe_tick(&mut self, tick_ns: i64) {
        if self.last_tick_ns.is_some_and(|last| tick_ns <= last) {
            self.forget();
        }
        let passed = self.last_tick_ns.map_or(1, |last| self.periods(tick_ns.saturating_sub(last)).max(1));
        self.last_tick_ns = Some(tick_ns);
        // The history cannot hold older frames.
        let kept = i64::try_from(self.history.frames().len()).unwrap_or(i64::MAX);
        for behind in (1..passed.min(kept)).rev() {
            let frame = self.aligner.frame_at(tick_ns.saturating_sub(behind.saturating_mul(self.period_ns)));
            self.history.push(frame);
        }
        let frame = self.aligner.frame_at(tick_ns);
        self.out_of_distribution = self.ood_monitor.judge(&frame, &self.layout, &self.safety.out_of_distribution);
        if self.mode == OperatingMode::Shadow {
            self.follow_other_controller(tick_ns);
            let last = self.last_command.take().filter(|_| passed == 1 && frame.present[ACTION_MODALITY]);
            match last {
                Some(Command { level: FallbackLevel::Plan, values, .. }) => {
                    self.score.compare(&values, &frame.values[self.layout.action()]);
                }
                Some(_) => self.score.unplanned(),
                None => (),
            }
        }
        self.history.push(frame);
    }

    /// The command of the tick: that of the plan, or that of the fallback.
    fn command(&mut self, tick_ns: i64) -> Command {
        let blocking_reason = self.blocking_reason(tick_ns);
        if blocking_reason.is_some() {
            // A plan from before the block does not hold after it.
            self.plan = None;
        }
        let (level, wanted, reason) = match self.planned_action(tick_ns) {
            Some((0, values)) => (FallbackLevel::Plan, values, None),
            Some((_, values)) => (FallbackLevel::RestOfPlan, values, Some(self.state.missing_plan_reason())),
            None => {
                let reason = blocking_reason.unwrap_or_else(|| self.state.missing_plan_reason());
                let stopped = self.state.is_stopped();
                let (level, values) = self.fallback.action(tick_ns, self.limiter.last(), &self.safety, stopped);
                (level, values, Some(reason))
            }
        };
        if level <= FallbackLevel::RestOfPlan {
            self.fallback.reset();
        }
        let (values, invalid) = self.limiter.limit(tick_ns, &wanted);
        let level = if invalid.is_some() { FallbackLevel::Safe } else { level };
        let command = Command { tick_ns, values, level, reason: invalid.or(reason) };
        match self.mode {
            OperatingMode::Drive => self.aligner.command(tick_ns, &command.values),
            // The command is not published, so it is not in effect.
            OperatingMode::Shadow => self.follow_other_controller(tick_ns),
        }
        self.last_command = Some(command.clone());
        command
    }

    /// The plan's action for the tick, and how many ticks it lies behind the plan's first one. `None` if the plan is too old.
    fn planned_action(&self, tick_ns: i64) -> Option<(usize, Vec<f64>)> {
        let plan = self.plan.as_ref()?;
        let index = usize::try_from(self.periods(tick_ns.saturating_sub(plan.first_tick_ns))).ok()?;
        // The margin keeps rounding from ending a plan early.
        let max_plan_age_s = self.safety.max_plan_age_s * (1.0 + 1e-9);
        let allowed = index as f64 * self.period_ns as f64 * 1e-9 <= max_plan_age_s;
        Some((index, plan.actions.get(index).filter(|_| allowed)?.clone()))
    }

    fn request(&mut self, tick_ns: i64, committed: Option<Vec<f64>>) -> Option<PlanRequest> {
        let first_tick_ns = if committed.is_some() { tick_ns.saturating_add(self.period_ns) } else { tick_ns };
        let blocked = self.blocking_reason(tick_ns).or_else(|| self.filling());
        self.state.request(blocked.map_or(Ok(first_tick_ns), Err));
        self.state.requested_tick_ns().map(|_| PlanRequest {
            tick_ns,
            history: self.history.clone(),
            committed,
            goal: self.goal.clone().unwrap_or_default(),
        })
    }

    /// In the shadow mode the command of the other controller is in effect.
    fn follow_other_controller(&mut self, tick_ns: i64) {
        self.limiter.follow(self.aligner.commanded_at(tick_ns).unwrap_or(&self.safe));
    }

    /// Why no plan may be followed now.
    fn blocking_reason(&self, tick_ns: i64) -> Option<Reason> {
        if self.state.is_stopped() {
            return Some(Reason::Stopping);
        }
        let no_goal = || (self.needs_goal && self.goal.is_none()).then_some(Reason::NoGoal);
        self.missing(tick_ns).or_else(|| self.out_of_distribution.clone()).or_else(no_goal)
    }

    /// The first required group that is missing or stale.
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

    /// The newest token must hold every required group: it says where the robot is and how it moves.
    fn filling(&self) -> Option<Reason> {
        (!self.history.is_known(self.layout.frame_stack, &self.groups)).then_some(Reason::FillingHistory)
    }

    /// The nearest number of periods. A live tick may be some microseconds off the grid.
    fn periods(&self, ns: i64) -> i64 {
        ns.saturating_add(self.period_ns / 2).div_euclid(self.period_ns)
    }
}
