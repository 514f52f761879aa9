//! The control loop as a whole, tick by tick.

use std::path::Path;

use super::*;
use crate::config::Config;
use crate::signal::{Layout, Normaliser};

const MS: i64 = 1_000_000;

/// One observed channel, one commanded one, ten ticks a second; settings in front of `extra`, limits in `action`.
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
    let config = Config::parse(&text, Path::new("c.yaml")).unwrap_or_else(|error| panic!("{error}"));
    let layout = Layout::new(1, [("action".into(), vec!["u".into()]), ("x".into(), vec!["x".into()])]);
    ControlLoop::new(&config, &layout, &Normaliser { mean: vec![0.0; 2], deviation: vec![1.0; 2] })
}

fn plan(first_ms: i64, actions: &[f64]) -> Plan {
    Plan { first_tick_ns: first_ms * MS, actions: actions.iter().map(|a| vec![*a]).collect(), ..Plan::default() }
}

/// A tick with an observation at it: rung, value, and the request's answer if there is one.
fn driven(control: &mut ControlLoop, ms: i64) -> Command {
    control.observe(0, ms * MS, &[0.0]);
    control.tick(ms * MS).command
}

/// What a planner refuses or cannot do, the tick says by name, down the ladder: the rest of the last plan, the way to the safe action,
/// the safe action.
#[test]
fn a_failed_plan_leads_down_the_ladder_and_says_why() {
    let mut control = control("", "safety: {rest_s: 0.3, policy: ramp, policy_s: 0.2}");
    // The first tick fills the history; its request is answered.
    assert_eq!(driven(&mut control, 0).reason, Some(Reason::FillingHistory));
    control.accept(Ok(plan(100, &[0.5; 8])));
    assert_eq!(driven(&mut control, 100).rung, Rung::Plan);
    for (answer, why) in [
        (Err(PlanError::Gradient(f32::NAN)), "the planner failed: the gradient of the costs is NaN"),
        (Err(PlanError::OutOfTime), "the planner failed: the time did not allow a single denoising step"),
        (Err(PlanError::Panicked("ouch".into())), "the planner panicked: ouch"),
        (Err(PlanError::NotFinite), "the plan holds a value that is not finite"),
        (Ok(f64::NAN), "the plan holds a value that is not finite"),
    ] {
        let mut control = control.clone();
        let commands: Vec<Command> = (2..8)
            .map(|k| {
                control.accept(answer.clone().map(|value| plan(100 * k, &[0.5, value])));
                driven(&mut control, 100 * k)
            })
            .collect();
        let rungs: Vec<Rung> = commands.iter().map(|c| c.rung).collect();
        // Ticks 2 to 4 are at most 0.3 s behind the plan for tick 1; half of the way back each tick.
        assert_eq!(rungs, [[Rung::RestOfPlan; 3].as_slice(), &[Rung::Ramp, Rung::Safe, Rung::Safe]].concat());
        assert_eq!(commands.iter().map(|c| c.values[0]).collect::<Vec<_>>(), [0.5, 0.5, 0.5, 0.25, 0.0, 0.0]);
        assert!(commands.iter().all(|c| c.reason.as_ref().unwrap().to_string() == why), "{commands:?}");
    }
    // No answer at all.
    assert_eq!(driven(&mut control, 200).reason, Some(Reason::DeadlineMissed));
}
