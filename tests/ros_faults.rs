//! Faults of sensors, disk, planner and other processes, each with the fallback level and the reason that it leads to.
//! The robot is an rclpy process. `tests/ros_node.rs` tests signals, silence and invalid bytes alone.
#![cfg(feature = "ros")]

#[path = "ros/harness.rs"]
mod harness;
mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use harness::{Harness, Node, Robot, config_file, model};
use serde_json::Value;
use support::point_maze;

const PLACE: &str = "3.5 3.5";
const GOAL: &str = "5.5 3.5";
const PERIOD_S: f64 = 0.05;
/// The message of the injected panic.
const PANIC: &str = "a test made the planner panic";
/// The number of plans before the injected panic: 3 s, so that diagnostics report plans before it.
const PLANS_BEFORE_PANIC: u64 = 60;
const LIMIT_N: f64 = 4.0;
/// The longest wait for a report; reports arrive once a second.
const REPORTED_WITHIN: Duration = Duration::from_secs(10);

fn driving(harness: &Harness, node: &mut Node) -> Robot {
    let mut robot = harness.robot(&[]);
    robot.request(&format!("odom {PLACE}"));
    robot.request(&format!("goal {GOAL}"));
    await_level(&mut robot, node, "plan", "");
    robot
}

/// Waits for a report with this fallback level and a reason that contains `reason`.
fn await_level(robot: &mut Robot, node: &mut Node, level: &str, reason: &str) -> Value {
    let until = Instant::now() + REPORTED_WITHIN;
    loop {
        let report = robot.request("diagnostics");
        if report["fallback_level"] == level && report["reason"].as_str().is_some_and(|text| text.contains(reason)) {
            return report;
        }
        assert!(Instant::now() < until, "no `{level}` because of `{reason}`, but {report}; {}", node.stderr());
        assert!(node.is_running(), "{}", node.stderr());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The changed content of a file of a checkpoint, by the file's name; `None` removes it.
type Change<'a> = &'a dyn Fn(&str, Vec<u8>) -> Option<Vec<u8>>;

fn assert_sound(robot: &mut Robot) -> Vec<[f64; 2]> {
    let actions = robot.take_actions();
    assert!(actions.finite && actions.values.iter().flatten().all(|force| force.abs() <= LIMIT_N), "{actions:?}");
    actions.values
}

#[test]
fn silence_infinite_covariance_and_nan_lead_to_the_safe_action_and_the_node_recovers() {
    let harness = Harness::new();
    // A contract that reads the covariance.
    let variances = "['pose.covariance[0]', 'pose.covariance[7]']";
    let yaml = point_maze().with("observations.position.uncertainty.variances", variances);
    let mut node = harness.node(&["--config", &harness.file("c.yaml", yaml.text()), "--model", &model()]);
    let mut robot = driving(&harness, &mut node);
    let stale = "`position` is";
    for (fault, logged) in
        [("silent", None), ("covariance inf", Some("pose.covariance[0]")), ("nan 100", Some("pose.pose.position.x"))]
    {
        if fault.starts_with("nan") {
            robot.request("silent");
        }
        robot.request(fault);
        await_level(&mut robot, &mut node, "safe", stale);
        if let Some(logged) = logged {
            node.wait_for_log(logged);
        }
        robot.request("covariance 0");
        robot.request(&format!("odom {PLACE}"));
        await_level(&mut robot, &mut node, "plan", "");
        assert_sound(&mut robot);
    }
}

#[test]
fn the_node_keeps_its_rate_in_a_burst_of_five_thousand_messages_a_second() {
    let harness = Harness::new();
    let mut node = harness.node(&[]);
    let mut robot = driving(&harness, &mut node);
    robot.request("actions");
    let sent_hz = robot.request("burst 3").as_f64().unwrap();
    let report = robot.request("diagnostics");
    let actions = robot.take_actions();
    let rate = (actions.stamps.len() - 1) as f64 / (actions.stamps[actions.stamps.len() - 1] - actions.stamps[0]);
    println!("{sent_hz:.0} messages a second: {rate:.3} actions a second; {report}");
    assert!(sent_hz > 4750.0, "only {sent_hz:.0} messages a second were sent, not 5,000");
    assert!((rate * PERIOD_S - 1.0).abs() < 0.02, "{rate} Hz");
    assert_eq!((&report["fallback_level"], &report["reason"]), (&Value::from("plan"), &Value::from("")), "{report}");
    assert!(actions.finite);
}

#[test]
fn the_node_warns_of_stamps_that_jump_by_seconds_and_does_not_use_them() {
    let harness = Harness::new();
    let mut node = harness.node(&[]);
    let mut robot = driving(&harness, &mut node);
    robot.request("jump 2");
    let actions = assert_sound(&mut robot);
    assert!(actions.len() >= 20, "only {} actions in 2 s", actions.len());
    let unsafe_actions = actions.iter().rev().take(20).filter(|force| **force != [0.0, 0.0]).count();
    assert_eq!(unsafe_actions, 0, "the node drives on observations with invalid stamps");
    // Samples stamped 6 s ahead are refused and samples 6 s old are too old, so none is usable until the jumps end.
    node.wait_for_log("before its arrival; do the clocks agree?");
    node.wait_for_log("after its arrival; do the clocks agree?");
    await_level(&mut robot, &mut node, "plan", "");
    assert_sound(&mut robot);
}

#[test]
fn a_lost_robot_leads_to_the_safe_action_and_a_returning_robot_is_driven_again() {
    let harness = Harness::new();
    let mut node = harness.node(&[]);
    let robot = driving(&harness, &mut node);
    // A second subscriber observes the node meanwhile.
    let mut watcher = harness.robot(&[]);
    robot.kill();
    await_level(&mut watcher, &mut node, "safe", "`position` is");
    let mut robot = driving(&harness, &mut node);
    assert_sound(&mut robot);
}

/// Not a test: the next test starts this function as the process of its node.
#[test]
#[ignore = "the node's process in a_panic_of_the_planner_leads_through_error_processing_..."]
fn node_with_a_planner_that_panics() {
    let panic_after_some_plans = |plans| assert!(plans < PLANS_BEFORE_PANIC, "{PANIC}");
    let options = df_planner::ros::Options {
        config: Some(config_file().into()),
        model: Some(model().into()),
        before_plan: Some(panic_after_some_plans),
        ..Default::default()
    };
    df_planner::ros::run(options).unwrap();
}

#[test]
fn a_panic_of_the_planner_leads_through_error_processing_and_the_node_can_be_configured_again() {
    let harness = Harness::new();
    // This test binary runs the library's node with a hook that panics.
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "node_with_a_planner_that_panics", "--ignored", "--nocapture"]);
    let mut node = harness.node_from(&mut command);
    let mut robot = harness.robot(&[]);
    let mut operator = harness.peer("lifecycle.py", &[]);
    robot.request(&format!("odom {PLACE}"));
    robot.request(&format!("goal {GOAL}"));
    node.wait_for_log(&format!("the planning thread died: {PANIC}"));
    let until = Instant::now() + REPORTED_WITHIN;
    while operator.request("state") != "unconfigured" {
        assert!(Instant::now() < until, "{}", node.stderr());
        std::thread::sleep(Duration::from_millis(20));
    }
    let events = operator.request("events");
    let expected = ["active > errorprocessing", "errorprocessing > unconfigured"].map(Value::from);
    assert!(events.as_array().unwrap().ends_with(&expected), "{events}");
    std::thread::sleep(Duration::from_millis(200));
    let actions = assert_sound(&mut robot);
    assert!(actions.iter().any(|force| *force != [0.0, 0.0]), "it drove before");
    assert_eq!(actions.last(), Some(&[0.0, 0.0]), "the last command is the safe one");
    assert!(robot.record(0.3).values.is_empty());
    // Error processing has cleaned up: the node can be configured and activated again, and drives.
    for (id, state) in [(1, "inactive"), (3, "active")] {
        assert_eq!(operator.request(&format!("change {id} -")), true, "{}", node.stderr());
        assert_eq!(operator.request("state"), state);
    }
    robot.request(&format!("goal {GOAL}"));
    await_level(&mut robot, &mut node, "plan", "");
}

#[test]
fn a_missing_truncated_or_unsuitable_model_is_refused_by_name() {
    let harness = Harness::new();
    let folder = tempfile::tempdir().unwrap();
    let copy = |name: &str, change: Change| {
        let to = folder.path().join(name);
        std::fs::create_dir(&to).unwrap();
        for file in std::fs::read_dir(model()).unwrap().map(Result::unwrap) {
            let file_name = file.file_name().into_string().unwrap();
            if let Some(bytes) = change(&file_name, std::fs::read(file.path()).unwrap()) {
                std::fs::write(to.join(&file_name), bytes).unwrap();
            }
        }
        to.display().to_string()
    };
    let missing = copy("missing", &|name, bytes| (name != "weights.bpk").then_some(bytes));
    let truncated = copy("truncated", &|name, mut bytes| {
        if name == "weights.bpk" {
            bytes.truncate(bytes.len() / 2);
        }
        Some(bytes)
    });
    let other = harness.file("c.yaml", point_maze().with("frame_stack", 4).text());
    let (config, shipped) = (config_file(), model());
    for (config, model, named) in [
        (&config, &missing, &["missing", "weights.bpk"][..]),
        (&config, &truncated, &["truncated", "weights.bpk"]),
        (&config, &"/no/such/model".to_string(), &["/no/such/model"]),
        (&other, &shipped, &["frame_stack"]),
    ] {
        // At start the error is an exit code; later it is a failed transition.
        let mut node = harness.node(&["--config", config, "--model", model]);
        assert_eq!(node.exit_code(), Some(1), "{}", node.stderr());
        let mut node = harness.node(&["--config", config, "--model", model, "--ros-args", "-p", "autostart:=false"]);
        let mut operator = harness.peer("lifecycle.py", &[]);
        assert_eq!(operator.request("change 1 -"), false, "{model}");
        assert_eq!(operator.request("state"), "unconfigured");
        named.iter().for_each(|name| node.wait_for_log(name));
        assert!(node.is_running());
    }
}

#[test]
fn sigterm_during_a_long_plan_ends_the_node_with_the_safe_action() {
    let harness = Harness::new();
    // A plan uses its whole time budget.
    let yaml = point_maze().with("planner.mode", "full").with("planner.denoising_steps", 400);
    let mut node = harness.node(&["--config", &harness.file("c.yaml", yaml.text()), "--model", &model()]);
    let mut robot = driving(&harness, &mut node);
    let report = robot.request("diagnostics");
    let latency_ms: f64 = report["planning_latency_ms_p50"].as_str().unwrap().parse().unwrap();
    assert!(latency_ms > 0.6 * PERIOD_S * 1e3, "planning does not fill the period: {report}");
    robot.request("actions");
    node.signal("TERM");
    let stopped = Instant::now();
    assert_eq!(node.exit_code(), Some(0), "{}", node.stderr());
    assert!(stopped.elapsed() < Duration::from_secs(2), "{:?}", stopped.elapsed());
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(assert_sound(&mut robot).last(), Some(&[0.0, 0.0]));
}
