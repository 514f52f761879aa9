//! The control loop tick by tick: fallback levels, requests, gaps, shadow mode, stops.

use std::path::Path;

use super::command::{Command, FallbackLevel, Reason};
use super::control_loop::ControlLoop;
use crate::config::{Latency, OperatingMode, PlannerConfig, PlanningConfig, SafetyConfig};
use crate::inference::SamplingError;
use crate::planner::{Plan, PlanError};
use df_core::{Frame, Layout, Normaliser};

const MS: i64 = 1_000_000;

/// One observed channel, one commanded one, ten ticks a second. `action`: more limits; `extra`: more sections.
fn control(action: &str, extra: &str) -> ControlLoop {
    let text = format!(
        "
period_s: 0.1
frame_stack: 1
observations: {{x: {{topic: x, type: p/msg/X, fields: [x], max_age_s: 0.25}}}}
action: {{topic: u, type: p/msg/X, fields: [x], min: [-1], max: [1], safe: [0], max_age_s: 0.25{action}}}
{extra}
"
    );
    let config = PlanningConfig::parse(&text, Path::new("c.yaml")).unwrap_or_else(|error| panic!("{error}"));
    let layout = Layout::new(1, [("action".into(), vec!["u".into()]), ("x".into(), vec!["x".into()])]);
    ControlLoop::new(&config, &layout, &Normaliser::new(vec![0.0; 2], vec![1.0; 2]))
}

fn plan(first_ms: i64, actions: &[f64]) -> Plan {
    Plan { first_tick_ns: first_ms * MS, actions: actions.iter().map(|a| vec![*a]).collect(), ..Plan::default() }
}

/// A tick with an observation at it.
fn driven(control: &mut ControlLoop, ms: i64) -> Command {
    control.observe(0, ms * MS, &[0.0]);
    control.tick(ms * MS).command
}

/// A loop that followed a plan of `value` at tick 1 and has requested the next one.
fn driving(action: &str, extra: &str, value: f64) -> ControlLoop {
    let mut control = control(action, extra);
    driven(&mut control, 0);
    control.accept(Ok(plan(100, &[value; 8])));
    let command = driven(&mut control, 100);
    assert_eq!((command.level, command.reason), (FallbackLevel::Plan, None));
    control
}

/// Without a new plan a command is the rest of the last plan, then on the way to the safe action, then the safe action. Each
/// says why.
#[test]
fn a_failed_plan_leads_down_the_fallback_levels_and_says_why() {
    let mut control = driving("", "safety: {max_plan_age_s: 0.3, policy: ramp, policy_s: 0.2}", 0.5);
    for (result, why) in [
        (
            Err(PlanError::Sampling(SamplingError::CostGradient { cost: "goal", value: f32::NAN })),
            "the planner failed: the gradient of cost `goal` is NaN; check its keys and the values of its channels",
        ),
        (
            Err(PlanError::Sampling(SamplingError::OutOfTime)),
            "the planner failed: the time did not allow a single denoising step",
        ),
        (Err(PlanError::Panicked("ouch".into())), "the planner panicked: ouch"),
        (Err(PlanError::NotFinite), "the plan holds a value that is not finite"),
        (Ok(vec![f64::NAN]), "the plan holds a value that is not finite"),
        (Ok(vec![0.5, 0.5]), "the plan's action has 2 values, the contract's 1"),
    ] {
        let mut control = control.clone();
        let commands: Vec<Command> = (2..8)
            .map(|k| {
                let result = result.clone();
                control.accept(result.map(|last| Plan { actions: vec![vec![0.5], last], ..plan(100 * k, &[]) }));
                driven(&mut control, 100 * k)
            })
            .collect();
        let levels: Vec<FallbackLevel> = commands.iter().map(|c| c.level).collect();
        // Ticks 2 to 4 are at most 0.3 s behind the plan for tick 1; half of the way back each tick.
        assert_eq!(
            levels,
            [
                [FallbackLevel::RestOfPlan; 3].as_slice(),
                &[FallbackLevel::Ramp, FallbackLevel::Safe, FallbackLevel::Safe]
            ]
            .concat()
        );
        assert_eq!(commands.iter().map(|c| c.values[0]).collect::<Vec<_>>(), [0.5, 0.5, 0.5, 0.25, 0.0, 0.0]);
        assert!(commands.iter().all(|c| c.reason.as_ref().unwrap().to_string() == why), "{commands:?}");
    }
    // No plan at all; then a late one, whose second action is for now; then one in time.
    assert_eq!(driven(&mut control, 200).reason, Some(Reason::DeadlineMissed));
    control.accept(Ok(plan(200, &[0.1, 0.2, 0.3])));
    let late = driven(&mut control, 300);
    assert_eq!(
        (late.level, late.values[0], late.reason),
        (FallbackLevel::RestOfPlan, 0.2, Some(Reason::DeadlineMissed))
    );
    control.accept(Ok(plan(400, &[0.7])));
    assert_eq!(driven(&mut control, 400).values, [0.7]);
}

/// The plan is left at once, and plans from before are not followed afterwards.
#[test]
fn a_stale_or_out_of_distribution_observation_leads_off_the_plan() {
    for policy in ["hold", "ramp", "safe"] {
        let extra = format!("safety: {{policy: {policy}, policy_s: 0.2}}");
        let mut control = driving("", &extra, 0.5);
        control.accept(Ok(plan(200, &[0.5; 8])));
        // 0.2 s old is not too old; then 0.3 s.
        assert_eq!(control.tick(200 * MS).command.level, FallbackLevel::Plan);
        control.accept(Ok(plan(300, &[0.5; 8])));
        assert_eq!(control.tick(300 * MS).command.level, FallbackLevel::Plan);
        control.accept(Ok(plan(400, &[0.5; 8])));
        let stale: Vec<Command> = (4..8).map(|k| control.tick(100 * k * MS).command).collect();
        let expected = match policy {
            "hold" => [
                (FallbackLevel::Hold, 0.5),
                (FallbackLevel::Hold, 0.5),
                (FallbackLevel::Safe, 0.0),
                (FallbackLevel::Safe, 0.0),
            ],
            "ramp" => [
                (FallbackLevel::Ramp, 0.25),
                (FallbackLevel::Safe, 0.0),
                (FallbackLevel::Safe, 0.0),
                (FallbackLevel::Safe, 0.0),
            ],
            _ => [(FallbackLevel::Safe, 0.0); 4],
        };
        assert_eq!(stale.iter().map(|c| (c.level, c.values[0])).collect::<Vec<_>>(), expected);
        assert!(matches!(&stale[0].reason, Some(Reason::Stale { group, age_s, .. }) if group == "x" && *age_s > 0.29));
        // Observed again: a plan is requested at once, and followed from the next tick on.
        control.observe(0, 800 * MS, &[0.0]);
        let seen = control.tick(800 * MS);
        assert!(seen.request.is_some() && seen.command.level == FallbackLevel::Safe);
        control.accept(Ok(plan(900, &[0.5; 8])));
        assert_eq!(driven(&mut control, 900).level, FallbackLevel::Plan);
    }
    let mut control = driving("", "safety: {policy: safe, out_of_distribution: {enter: 6, leave: 5}}", 0.5);
    let mut observed = |ms: i64, x: f64| {
        control.observe(0, ms * MS, &[x]);
        control.accept(Ok(plan(ms, &[0.5])));
        let tick = control.tick(ms * MS);
        (tick.command.level, tick.command.reason, tick.request.is_some())
    };
    assert_eq!(observed(200, 5.5), (FallbackLevel::Plan, None, true));
    let out = Reason::OutOfDistribution { group: "x".into(), channel: "x".into(), distance: 7.0, limit: 6.0 };
    assert_eq!(observed(300, -7.0), (FallbackLevel::Safe, Some(out), false));
    assert!(matches!(
        observed(400, 5.5),
        (FallbackLevel::Safe, Some(Reason::OutOfDistribution { limit: 5.0, .. }), false)
    ));
    // Requested again, so the next tick has a plan.
    assert!(matches!(observed(500, 5.0), (FallbackLevel::Safe, Some(_), true)));
    assert_eq!(observed(600, 5.5), (FallbackLevel::Plan, None, true));
}

#[test]
fn samples_that_are_not_finite_are_ignored_and_such_variances_are_unknown() {
    let mut control = control("", "");
    for value in [f64::NAN, f64::INFINITY, 1e300] {
        control.observe(0, 0, &[value]);
    }
    assert_eq!(control.tick(0).command.reason, Some(Reason::NeverObserved { group: "x".into() }));
    let text = include_str!("../../../../config/point_maze.yaml").replacen(
        "    max_age_s: 0.1",
        "    uncertainty: {variances: ['pose.covariance[0]', 'pose.covariance[7]']}\n    max_age_s: 0.1",
        1,
    );
    let config = PlanningConfig::parse(&text, Path::new("c.yaml")).unwrap();
    let pair = |name: &str| (name.to_string(), vec!["x".to_string(), "y".to_string()]);
    let layout = Layout::new(1, [pair("action"), pair("position"), pair("velocity")]);
    let normaliser = Normaliser::new(vec![0.0; 6], vec![1.0; 6]);
    let mut control = ControlLoop::new(&config, &layout, &normaliser);
    control.set_goal(&[0.0, 0.0]);
    control.observe(0, 0, &[1.0, 2.0, f64::INFINITY, 0.25]);
    control.observe(1, 0, &[0.0, 0.0]);
    let request = control.tick(0).request.unwrap();
    let newest: &Frame = request.history.frames().last().unwrap();
    assert_eq!((newest.values[2], newest.std[2], newest.std[3]), (1.0, f32::INFINITY, 0.5));
}

/// The first action of an immediate plan is for the tick that is open. Without a plan the fallback gives the command.
#[test]
fn immediate_latency_opens_and_closes_a_tick() {
    let mut control = control("", "planner: {latency: immediate, history: 2}\nsafety: {policy: safe}");
    assert_eq!(control.latency(), Latency::Immediate);
    assert!(control.open(0).is_none());
    let command = control.close();
    assert_eq!((command.tick_ns, command.reason), (0, Some(Reason::NeverObserved { group: "x".into() })));
    for k in 1..4 {
        control.observe(0, 100 * k * MS, &[k as f64]);
        let request = control.open(100 * k * MS).unwrap();
        let newest = request.history.frames().last().unwrap();
        assert_eq!((request.tick_ns, request.committed, newest.values[1]), (100 * k * MS, None, k as f32));
        // The action that led here is the one that was closed with, known from the second tick on.
        assert_eq!((newest.present[0], newest.values[0]), (true, if k == 1 { 0.0 } else { 0.1 * (k - 1) as f32 }));
        control.accept(Ok(plan(100 * k, &[0.1 * k as f64, 0.9])));
        let command = control.close();
        assert_eq!(
            (command.tick_ns, command.level, command.values[0]),
            (100 * k * MS, FallbackLevel::Plan, 0.1 * k as f64)
        );
    }
    // Not ready: the second action of the plan before.
    control.observe(0, 400 * MS, &[4.0]);
    assert!(control.open(400 * MS).is_some());
    let command = control.close();
    assert_eq!(
        (command.level, command.values[0], command.reason),
        (FallbackLevel::RestOfPlan, 0.9, Some(Reason::DeadlineMissed))
    );
}

#[test]
fn skipped_ticks_leave_their_frames_in_the_history() {
    let mut control = control("", "planner: {history: 4}");
    for ms in [0, 60, 190, 260, 390] {
        control.observe(0, ms * MS, &[ms as f64 * 1e-3]);
    }
    let ticks = |control: &mut ControlLoop, ms: i64| {
        let request = control.tick(ms * MS).request.unwrap();
        let frames = request.history.frames().map(|f| (f.present[1].then_some(f.values[1]), f.present[0]));
        frames.collect::<Vec<_>>()
    };
    assert_eq!(ticks(&mut control, 0)[2..], [(None, false), (Some(0.0), false)]);
    // 100, 200 and 300 were skipped. The command of tick 0 holds for 0.25 s: it is in effect before 100, 200 and 300.
    let seen = [(Some(0.06), true), (Some(0.19), true), (Some(0.26), true), (Some(0.39), false)];
    assert_eq!(ticks(&mut control, 400), seen);
    // So long a gap that nothing before it is left.
    control.observe(0, 9_900 * MS, &[3.0]);
    let seen = [(None, false), (None, false), (Some(3.0), false), (Some(3.0), false)];
    assert_eq!(ticks(&mut control, 10_000), seen);
}

#[test]
fn a_backward_jump_clears_the_history_the_plan_and_the_requested_plan() {
    let mut control = driving("", "safety: {policy: safe}", 0.5);
    let command = driven(&mut control, -300);
    assert_eq!(
        (command.level, command.reason),
        (FallbackLevel::Safe, Some(Reason::NeverObserved { group: "x".into() }))
    );
    assert_eq!(driven(&mut control, -200).level, FallbackLevel::Safe);
    // The plan that was requested before the jump is for tick 200, which comes again.
    control.accept(Ok(plan(200, &[0.5; 8])));
    for k in -1..4 {
        assert_eq!(driven(&mut control, 100 * k).reason, Some(Reason::DeadlineMissed));
        assert!(control.is_at_rest());
    }
}

#[test]
fn a_stop_leads_to_the_safe_action_within_the_limits() {
    for (limits, policy, way) in [
        ("", "safe", [0.0, 0.0, 0.0, 0.0]),
        // A stop holds nothing.
        ("", "hold", [0.0, 0.0, 0.0, 0.0]),
        ("", "ramp", [0.25, 0.0, 0.0, 0.0]),
        // 2 / s: 0.2 a tick.
        (", max_rate: [2]", "safe", [0.2, 0.0, 0.0, 0.0]),
        (", max_rate: [1]", "ramp", [0.3, 0.2, 0.1, 0.0]),
    ] {
        let extra = format!("safety: {{policy: {policy}, policy_s: 0.2}}");
        // As far as 2 / s and 1 / s go in the first tick, and in four.
        let mut control = driving(limits, &extra, 0.5);
        for k in 2..5 {
            control
                .accept(Ok(plan(100 * k, &[if limits.contains("[1]") || limits.contains("[2]") { 0.4 } else { 0.5 }])));
            driven(&mut control, 100 * k);
        }
        assert!(!control.is_at_rest());
        for (k, value) in (5..).zip(way) {
            control.accept(Ok(plan(100 * k, &[0.5])));
            let command = control.safe_command(100 * k * MS);
            assert!((command.values[0] - value).abs() < 1e-12, "{policy}{limits}: {command:?}");
            assert_eq!((command.reason, control.is_at_rest()), (Some(Reason::Stopping), command.values[0] == 0.0));
        }
        assert!(control.is_at_rest());
        // Ticks go on stopped until the loop is cleared.
        assert_eq!(driven(&mut control, 900).reason, Some(Reason::Stopping));
        control.clear();
        driven(&mut control, 1000);
        control.accept(Ok(plan(1100, &[0.1])));
        assert_eq!(driven(&mut control, 1100).level, FallbackLevel::Plan);
    }
    // Off the grid: half a period of 2 / s; the fallback wants a fifth of the way to the safe action.
    let mut control = driving(", max_rate: [2]", "", 0.5);
    let mut next = |ms: i64| {
        let command = control.safe_command(ms * MS);
        (command.level, (command.values[0] * 1e9).round() / 1e9, command.reason, control.is_at_rest())
    };
    assert_eq!(next(150), (FallbackLevel::Ramp, 0.16, Some(Reason::Stopping), false));
    let way = [
        (FallbackLevel::Ramp, 0.12),
        (FallbackLevel::Ramp, 0.08),
        (FallbackLevel::Ramp, 0.04),
        (FallbackLevel::Safe, 0.0),
    ];
    for (k, (level, value)) in (0..).zip(way) {
        assert_eq!(next(250 + 100 * k), (level, value, Some(Reason::Stopping), value == 0.0));
    }
}

/// Another controller drives: history and committed action are its own, and the score is planned minus commanded.
#[test]
fn the_shadow_mode_plans_and_scores_its_plans() {
    let mut control = control("", "mode: shadow\nsafety: {policy: safe}");
    assert_eq!((control.mode(), control.is_at_rest()), (OperatingMode::Shadow, true));
    for k in 0..10 {
        // Each holds until the next one.
        control.commanded(100 * k * MS, &[0.05 * k as f64]);
        control.observe(0, 100 * k * MS, &[0.0]);
        let tick = control.tick(100 * k * MS);
        assert_eq!(tick.command.level, if k == 0 { FallbackLevel::Safe } else { FallbackLevel::Plan });
        let request = tick.request.unwrap();
        assert_eq!(request.committed.unwrap(), [0.05 * k as f64]);
        let led = request.history.frames().last().map(|f| f.present[0].then_some(f.values[0])).unwrap();
        assert_eq!(led, (k > 0).then_some((0.05 * (k - 1) as f64) as f32));
        control.accept(Ok(plan(100 * (k + 1), &[0.05 * (k + 1) as f64 + 0.25])));
    }
    // Ticks 1 to 8 are over and were planned; tick 0 was not.
    let score = control.score();
    assert_eq!((score.compared, score.unplanned), (8, 1));
    assert!((score.rmse()[0] - 0.25).abs() < 1e-6, "{:?}", score.rmse());
    // The planner takes over from the command of the other controller.
    control.set_config(OperatingMode::Drive, &PlannerConfig::default(), &SafetyConfig::default()).unwrap();
    control.commanded(1000 * MS, &[-1.0]);
    assert_eq!(driven(&mut control, 1000).values, [0.75]);
    let tick = control.tick(1100 * MS);
    assert_eq!(tick.request.unwrap().committed.unwrap(), tick.command.values);
}

#[test]
fn a_refused_configuration_changes_nothing() {
    let mut control = driving("", "", 0.5);
    let mut safety = SafetyConfig { max_plan_age_s: -1.0, ..SafetyConfig::default() };
    let immediate = PlannerConfig { latency: Latency::Immediate, history: 3, ..PlannerConfig::default() };
    let refused = control.set_config(OperatingMode::Shadow, &immediate, &safety).unwrap_err().to_string();
    assert_eq!(refused, "safety.max_plan_age_s: -1: must be a finite number of at least 0");
    assert_eq!((control.mode(), control.latency()), (OperatingMode::Drive, Latency::Compensated));
    safety.max_plan_age_s = 0.0;
    control.set_config(OperatingMode::Drive, &immediate, &safety).unwrap();
    control.observe(0, 200 * MS, &[1.0]);
    let request = control.open(200 * MS).unwrap();
    // The two frames of the first ticks, and the one of now. The plan for tick 100 is too old.
    assert_eq!(request.history.frames().filter(|f| f.present[1]).count(), 3);
    assert_eq!(control.close().level, FallbackLevel::Ramp);
}

#[test]
fn a_tick_is_ready_once_no_required_sample_is_expected() {
    let mut control = control("", "");
    let mut ready = |ms: i64| {
        control.observe(0, ms * MS, &[0.0]);
        control.is_ready(200 * MS)
    };
    // One old sample; then one every 60 ms: the next is due at 220 ms.
    assert_eq!([40, 100, 160].map(&mut ready), [false, false, true]);
    // Every 40 ms: the one of 200 ms is awaited, and comes; a later one would do as well.
    assert_eq!([120, 200].map(&mut ready), [false, true]);
    assert!(!control.is_ready(240 * MS) && control.is_ready(239 * MS));
}
