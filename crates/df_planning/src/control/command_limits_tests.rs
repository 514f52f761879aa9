//! The commands of the control loop keep the contract's limits under any events. The test computes the limits by their
//! definition and does not use the command limiter.

use std::path::Path;

use proptest::prelude::*;

use super::command::{Command, FallbackLevel};
use super::control_loop::ControlLoop;
use crate::config::{FallbackPolicy, Latency, OperatingMode, PlannerConfig, PlanningConfig, SafetyConfig};
use crate::inference::SamplingError;
use crate::planner::{Plan, PlanError, PlanRequest};
use df_core::{Layout, Normaliser};

const PERIOD_NS: i64 = 100_000_000;
const MIN: [f64; 2] = [-1.0, 0.0];
const MAX: [f64; 2] = [2.0, 5.0];
const SAFE: [f64; 2] = [0.5, 0.0];
/// Units per second, and per second squared, in the three limited variants.
const RATE: [f64; 2] = [3.0, 8.0];
const ACCELERATION: [f64; 2] = [6.0, 40.0];

#[derive(Clone, Debug)]
enum Event {
    Observe {
        group: usize,
        stamp_ns: i64,
        values: [f64; 2],
    },
    Goal([f64; 2]),
    Commanded {
        stamp_ns: i64,
        values: Vec<f64>,
    },
    /// Nanoseconds since the last tick.
    Tick(i64),
    Open(i64),
    Close,
    SafeCommand(i64),
    /// First tick, relative to the last one, and actions.
    Plan {
        first_ns: i64,
        actions: Vec<Vec<f64>>,
    },
    /// A plan for the newest request.
    RequestedPlan([f64; 2]),
    Fail(u8),
    Clear,
    Set {
        shadow: bool,
        immediate: bool,
        policy: FallbackPolicy,
        policy_s: f64,
        max_plan_age_s: f64,
        enter: f64,
        history: usize,
    },
}

/// Any number, and the special ones.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => -6.0f64..6.0,
        1 => any::<f64>(),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e300, f64::MIN_POSITIVE]),
    ]
}

fn pair() -> impl Strategy<Value = [f64; 2]> {
    [number(), number()]
}

/// Mostly a period; late, early, skipped, repeated, backward, absurd.
fn passed() -> impl Strategy<Value = i64> {
    prop_oneof![
        12 => Just(PERIOD_NS),
        3 => -3 * PERIOD_NS..10 * PERIOD_NS,
        2 => (PERIOD_NS - 50_000)..(PERIOD_NS + 50_000),
        1 => any::<i64>(),
    ]
}

fn stamp() -> impl Strategy<Value = i64> {
    prop_oneof![6 => -PERIOD_NS..PERIOD_NS, 2 => -20 * PERIOD_NS..20 * PERIOD_NS, 1 => any::<i64>()]
}

fn event() -> impl Strategy<Value = Event> {
    let action = prop_oneof![6 => prop::collection::vec(number(), 2), 1 => prop::collection::vec(number(), 0..4)];
    let actions = prop::collection::vec(action.clone(), 0..8);
    let policy = prop::sample::select(vec![FallbackPolicy::Hold, FallbackPolicy::Ramp, FallbackPolicy::Safe]);
    prop_oneof![
        12 => (0usize..2, stamp(), pair())
            .prop_map(|(group, stamp_ns, values)| Event::Observe { group, stamp_ns, values }),
        1 => pair().prop_map(Event::Goal),
        2 => (stamp(), action).prop_map(|(stamp_ns, values)| Event::Commanded { stamp_ns, values }),
        10 => passed().prop_map(Event::Tick),
        4 => passed().prop_map(Event::Open),
        4 => Just(Event::Close),
        2 => passed().prop_map(Event::SafeCommand),
        3 => (stamp(), actions).prop_map(|(first_ns, actions)| Event::Plan { first_ns, actions }),
        10 => pair().prop_map(Event::RequestedPlan),
        2 => (0u8..3).prop_map(Event::Fail),
        4 => Just(Event::Clear),
        1 => (any::<[bool; 2]>(), policy, [0.0f64..1.0, 0.0f64..1.0, 0.0f64..9.0], 0usize..4).prop_map(
            |([shadow, immediate], policy, [policy_s, max_plan_age_s, enter], history)|
                Event::Set { shadow, immediate, policy, policy_s, max_plan_age_s, enter, history }
        ),
    ]
}

fn control(limits: &str) -> ControlLoop {
    let text = format!(
        "
period_s: 0.1
frame_stack: 2
observations:
  pose: {{topic: p, type: p/msg/X, fields: [x, y], max_age_s: 0.25}}
  scan: {{topic: s, type: p/msg/X, fields: [x, y], max_age_s: 0.25, required: false, uncertainty: {{per_s: 0.5}}}}
action: {{topic: u, type: p/msg/X, fields: [x, y], min: {MIN:?}, max: {MAX:?}, safe: {SAFE:?}, max_age_s: 0.25{limits}}}
goal: {{topic: g, type: p/msg/X, fields: [x, y], group: pose, tolerance: 0.1}}
planner: {{history: 1}}
"
    );
    let config = PlanningConfig::parse(&text, Path::new("c.yaml")).unwrap_or_else(|error| panic!("{error}"));
    let group = |name: &str| (name.to_string(), vec!["x".to_string(), "y".to_string()]);
    let layout = Layout::new(2, ["action", "pose", "scan"].map(group));
    ControlLoop::new(&config, &layout, &Normaliser::new(vec![0.0; 6], vec![2.0; 6]))
}

/// The last command, as the robot sees it.
struct Robot {
    limits: usize,
    tick_ns: Option<i64>,
    values: Option<Vec<f64>>,
    /// `None`: another controller drove in between.
    rates: Option<Vec<f64>>,
}

impl Robot {
    fn receive(&mut self, command: &Command) -> Result<(), TestCaseError> {
        prop_assert_eq!(command.values.len(), 2);
        let passed_ns = self.tick_ns.map_or(PERIOD_NS, |last| command.tick_ns.saturating_sub(last));
        let h = passed_ns.clamp(0, PERIOD_NS) as f64 * 1e-9;
        let mut rates = Vec::new();
        for c in 0..2 {
            let value = command.values[c];
            prop_assert!(value.is_finite() && (MIN[c]..=MAX[c]).contains(&value), "{:?}", command);
            let change = self.values.as_ref().map_or(0.0, |values| value - values[c]);
            let before = self.rates.as_ref().map(|rates| rates[c]);
            if self.limits >= 1 {
                prop_assert!(change.abs() <= RATE[c] * h * (1.0 + 1e-9) + 1e-12, "{} in {} s", change, h);
            }
            let rate = if h > 0.0 { change / h } else { before.unwrap_or(0.0) };
            if let (true, Some(before)) = (self.limits >= 2, before) {
                // A channel has arrived within a billionth of its range. The division by `h` makes that large.
                let rounding = 1e-9 * (MAX[c] - MIN[c]) / h.max(1e-9) + 1e-9;
                let max = ACCELERATION[c] * h * (1.0 + 1e-9) + rounding;
                prop_assert!((rate - before).abs() <= max, "{} to {} in {} s", before, rate, h);
            }
            rates.push(rate);
        }
        if h > 0.0 {
            self.rates = self.values.is_some().then_some(rates);
        }
        (self.tick_ns, self.values) = (Some(command.tick_ns), Some(command.values.clone()));
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn every_command_keeps_the_limits_under_any_events(
        limits in 0usize..3,
        events in prop::collection::vec(event(), 1..150),
    ) {
        let rate = format!(", max_rate: {RATE:?}");
        let acceleration = format!("{rate}, max_acceleration: {ACCELERATION:?}");
        let mut control = control(["", &rate, &acceleration][limits]);
        let mut robot = Robot { limits, tick_ns: None, values: Some(SAFE.to_vec()), rates: Some(vec![0.0; 2]) };
        let mut now_ns = 0i64;
        let mut newest: Option<PlanRequest> = None;
        for event in events {
            let command = match event {
                Event::Observe { group, stamp_ns, values } => {
                    control.observe(group, now_ns.saturating_add(stamp_ns), &values);
                    None
                }
                Event::Goal(goal) => { control.set_goal(&goal); None }
                Event::Commanded { stamp_ns, values } => {
                    control.commanded(now_ns.saturating_add(stamp_ns), &values);
                    None
                }
                Event::Tick(passed_ns) => {
                    now_ns = now_ns.saturating_add(passed_ns);
                    let tick = control.tick(now_ns);
                    newest = tick.request.or(newest);
                    Some(tick.command)
                }
                Event::Open(passed_ns) => {
                    now_ns = now_ns.saturating_add(passed_ns);
                    newest = control.open(now_ns).or(newest);
                    None
                }
                Event::Close => Some(control.close()),
                Event::SafeCommand(passed_ns) => Some(control.safe_command(now_ns.saturating_add(passed_ns))),
                Event::Plan { first_ns, actions } => {
                    let first_tick_ns = now_ns.saturating_add(first_ns);
                    control.accept(Ok(Plan { first_tick_ns, actions, ..Plan::default() }));
                    None
                }
                Event::RequestedPlan(values) => {
                    if let Some(request) = &newest {
                        let behind_ns = if request.committed.is_some() { PERIOD_NS } else { 0 };
                        let first_tick_ns = request.tick_ns.saturating_add(behind_ns);
                        let actions = vec![values.to_vec(); 6];
                        control.accept(Ok(Plan { first_tick_ns, actions, ..Plan::default() }));
                    }
                    None
                }
                Event::Fail(kind) => {
                    let error = [SamplingError::OutOfTime.into(), PlanError::NotFinite, PlanError::Panicked("test".into())];
                    control.accept(Err(error[usize::from(kind)].clone()));
                    None
                }
                Event::Clear => { control.clear(); None }
                Event::Set { shadow, immediate, policy, policy_s, max_plan_age_s, enter, history } => {
                    let mode = if shadow { OperatingMode::Shadow } else { OperatingMode::Drive };
                    let latency = if immediate { Latency::Immediate } else { Latency::Compensated };
                    let mut safety = SafetyConfig { policy, policy_s, max_plan_age_s, ..SafetyConfig::default() };
                    safety.out_of_distribution.enter = enter;
                    let planner = PlannerConfig { latency, history, ..PlannerConfig::default() };
                    let before = (control.mode(), control.latency());
                    let set = control.set_config(mode, &planner, &safety);
                    prop_assert_eq!(set.is_ok(), enter >= 5.0);
                    if control.mode() == OperatingMode::Shadow {
                        // The command of the other controller at the take-over is unknown here.
                        (robot.values, robot.rates) = (None, None);
                    }
                    prop_assert!(set.is_ok() || before == (control.mode(), control.latency()));
                    None
                }
            };
            let Some(command) = command else { continue };
            prop_assert_eq!(command.reason.is_none(), command.level == FallbackLevel::Plan);
            match control.mode() {
                OperatingMode::Drive => robot.receive(&command)?,
                OperatingMode::Shadow => {
                    // Nothing is published.
                    prop_assert!((0..2).all(|c| (MIN[c]..=MAX[c]).contains(&command.values[c])), "{:?}", command);
                    robot.tick_ns = Some(command.tick_ns);
                }
            }
        }
        // After any events a stop comes to rest. The slowest way is 3 units at 3 / s, and sqrt(2 * 3 / 6) s twice.
        control.set_config(OperatingMode::Drive, &PlannerConfig::default(), &SafetyConfig::default()).unwrap();
        now_ns = now_ns.clamp(i64::MIN / 2, i64::MAX / 2);
        for _ in 0..50 {
            now_ns += PERIOD_NS;
            robot.receive(&control.safe_command(now_ns))?;
        }
        prop_assert!(control.is_at_rest(), "{:?}", robot.values);
        prop_assert_eq!(robot.values, Some(SAFE.to_vec()));
    }
}
