//! The node's parameters against rclpy's parameter client (`tests/ros/parameters.py`). The client lists, describes and
//! sets each one; values are given at start, changed while the robot drives, and set in two namespaces. Run by `make
//! test`.
#![cfg(feature = "ros")]

#[path = "ros/harness.rs"]
mod harness;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use df_core::settings::{Range, Setting};
use df_planner::config::Config;
use df_planning::description;
use harness::{Harness, Robot};
use serde_json::{Value, json};

const NODE: &str = "/df_planner";
const PERIOD_S: f64 = 0.05;
/// `PARAMETER_DOUBLE` of rcl_interfaces/msg/ParameterType.
const DOUBLE: i64 = 3;
/// A value for settings whose range has no upper end: far beyond practical values.
const LARGE: f64 = 1e9;
/// `planner.goal_hold_s` has no upper end either, but the planning time grows with it: a plan takes half a minute at
/// 1e9 and does not end from 1e13 on. An hour is handled.
const LARGE_HOLD_S: f64 = 3600.0;
/// A light planner, so that a busy machine does not fail the tests.
const LIGHT: &str = "
/**:
  ros__parameters:
    planner: {candidates: 2, rollouts: 1, guidance: {gradient: cheap}, streaming: {steps_per_tick: 1}}
";

fn settings() -> Vec<(String, Setting)> {
    Config::parse(&harness::shipped_config(), Path::new("c.yaml")).unwrap().settings()
}

fn client(harness: &Harness, node: &str) -> Robot {
    let mut client = harness.peer("parameters.py", &[]);
    assert_eq!(request(&mut client, "at", json!(node)), true, "{node} serves no parameters");
    client
}

fn request(client: &mut Robot, command: &str, value: Value) -> Value {
    client.request(&format!("{command} {value}"))
}

fn get(client: &mut Robot, name: &str) -> Value {
    request(client, "get", json!([name]))[0][1].clone()
}

fn set(client: &mut Robot, values: Value) {
    let results = request(client, "set", values.clone());
    for result in results.as_array().unwrap() {
        assert_eq!(result[0], true, "{values} was refused: {result}");
    }
}

/// The reason with which a single value is refused.
fn refusal(client: &mut Robot, name: &str, value: Value) -> String {
    let result = request(client, "set", json!({name: value}))[0].clone();
    assert_eq!(result[0], false, "{name} was set to {value}");
    result[1].as_str().unwrap().into()
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|v| v.as_str().unwrap().into()).collect()
}

#[test]
fn every_parameter_is_listed_and_described_and_both_ends_of_its_range_are_kept() {
    let harness = Harness::new();
    let _node = harness.node(&[]);
    let mut client = client(&harness, NODE);
    let names = strings(&request(&mut client, "list", json!([[], 0]))["names"]);
    let settings = settings();
    let expected: BTreeSet<&str> = settings
        .iter()
        .map(|(name, _)| name.as_str())
        .chain(["config", "model", "device", "mode", "autostart", "use_sim_time", "goal"])
        .collect();
    let missing: Vec<_> = expected.iter().filter(|name| !names.contains(&name.to_string())).collect();
    assert!(missing.is_empty(), "not listed: {missing:?}");

    let descriptors = request(&mut client, "describe", json!(names));
    let types = request(&mut client, "types", json!(names));
    let values = request(&mut client, "get", json!(names));
    let (mut set_to_itself, mut out_of_range, mut without_upper_end) = (0, 0, 0);
    let (mut switches, mut read_only, mut read_by_configure) = (0, 0, 0);
    for (i, name) in names.iter().enumerate() {
        let (about, value) = (&descriptors[i], &values[i][1]);
        assert_eq!(about["name"], name.as_str());
        assert!(about["description"].as_str().unwrap().len() > 5, "{about}");
        assert_eq!((&about["type"], &values[i][0]), (&types[i], &types[i]), "{about}");
        assert_eq!(about["dynamic_typing"], false);
        if about["read_only"] == true {
            assert!(refusal(&mut client, name, value.clone()).contains("read-only"));
            read_only += 1;
            continue;
        }
        if ["config", "model", "device", "mode"].contains(&name.as_str()) {
            assert!(refusal(&mut client, name, value.clone()).contains("while the node is unconfigured, not active"));
            read_by_configure += 1;
            continue;
        }
        let wrong = if value.is_string() { json!(true) } else { json!("nonsense") };
        let refused = refusal(&mut client, name, wrong);
        assert!(refused.starts_with(&format!("{name}: ")) && refused.contains("must be of type"), "{refused}");
        assert!(refusal(&mut client, name, Value::Null).contains("statically typed"));
        for text in [".inf", "-.inf", ".nan"].iter().filter(|_| values[i][0] == DOUBLE) {
            let refused = refusal(&mut client, name, json!({"yaml": text}));
            assert!(refused.starts_with(&format!("{name}: ")) && refused.contains("must"), "{text}: {refused}");
        }
        let Some((_, setting)) = settings.iter().find(|(key, _)| key == name) else { continue };
        let range = description(name).unwrap().range;
        let beyond = match (range, setting) {
            // A seed may be the largest integer, which no integer exceeds.
            (Range::Integers(from, i64::MAX), _) => vec![json!(from - 1)],
            (Range::Integers(from, to), _) => vec![json!(from - 1), json!(to + 1), json!(i64::MAX)],
            (Range::Numbers(from, f64::INFINITY), Setting::Number(_)) => vec![json!(from - 1.0)],
            (Range::Numbers(from, to), Setting::Number(_)) => {
                vec![json!(from - 1.0), json!(to * 1.001), json!(f64::MAX)]
            }
            (Range::OneOf(_), _) => vec![json!("nonsense")],
            (Range::Pairs, _) => vec![json!([0.5])],
            _ => vec![],
        };
        switches += usize::from(value.is_boolean());
        for beyond in &beyond {
            let refused = refusal(&mut client, name, beyond.clone());
            assert!(refused.starts_with(&format!("{name}: ")) && refused.contains("must"), "{beyond}: {refused}");
        }
        out_of_range += usize::from(!beyond.is_empty());
        // A range without an upper end accepts a large value.
        if let (Range::Numbers(_, f64::INFINITY), Setting::Number(_)) = (range, setting) {
            let large = if name == "planner.goal_hold_s" { LARGE_HOLD_S } else { LARGE };
            if name == "safety.out_of_distribution.leave" {
                let refused = refusal(&mut client, name, json!(large));
                assert!(refused.contains("must be at most safety.out_of_distribution.enter"), "{refused}");
            } else {
                set(&mut client, json!({name: large}));
                assert_eq!(get(&mut client, name), large, "{name}");
                without_upper_end += 1;
            }
        }
        if let Range::Integers(_, i64::MAX) = range {
            set(&mut client, json!({name: i64::MAX}));
            assert_eq!(get(&mut client, name), i64::MAX, "{name}");
        }
        let stated = matches!(range, Range::Integers(..) | Range::Numbers(..));
        assert_eq!(about["ranges"].as_array().unwrap().len(), usize::from(stated), "{about}");
        set(&mut client, json!({name: value}));
        set_to_itself += 1;
    }
    println!(
        "{} parameters: {set_to_itself} set, {out_of_range} refused out of range, {read_only} read-only, {read_by_configure} read by \
         `configure`",
        names.len()
    );
    // The refused values changed nothing.
    assert_eq!(request(&mut client, "get", json!(names)), values);
    assert_eq!(read_by_configure, 4);
    assert!(without_upper_end >= 10, "{without_upper_end} settings without an upper end");
    assert!(set_to_itself + read_only >= settings.len());
    // Only booleans have no range.
    assert_eq!(out_of_range + switches, set_to_itself);

    // Edge cases, as in rclcpp.
    for command in ["get", "describe", "types"] {
        assert_eq!(request(&mut client, command, json!(["planner.eta", "planner.etta"])), json!([]), "{command}");
    }
    assert!(refusal(&mut client, "planner.etta", json!(0.5)).contains("not declared"));
    let listed = request(&mut client, "list", json!([["planner.streaming"], 1]));
    assert_eq!(
        listed["names"],
        json!(["planner.streaming.num_fresh", "planner.streaming.renoise_level", "planner.streaming.steps_per_tick"])
    );
    assert_eq!(listed["prefixes"], json!(["planner.streaming"]));
    // What `ros2 param set NODE planner.guidance.scale 1` sends.
    assert_eq!(
        refusal(&mut client, "planner.guidance.scale", json!(1)),
        "planner.guidance.scale: 1: must be of type double (such as 1.0), got integer"
    );
}

#[test]
fn parameters_set_atomically_change_all_together_or_are_all_refused_with_the_rule() {
    let harness = Harness::new();
    let _node = harness.node(&[]);
    let mut client = client(&harness, NODE);
    request(&mut client, "events", Value::Null);
    let atomically = |client: &mut Robot, values: Value| {
        let result = request(client, "set_atomically", values);
        (result[0].as_bool().unwrap(), result[1].as_str().unwrap().to_string())
    };
    for (values, why) in [
        (json!({"planner.temperature": 0.5, "planner.eta": 2.0}), "planner.eta: 2: must lie in [0, 1]"),
        // Only the planner knows this bound: the checkpoint was trained on 16 tokens.
        (json!({"planner.temperature": 0.5, "planner.horizon": 16}), "do not fit into the 16 tokens"),
        // Each value alone is valid.
        (
            json!({"planner.temperature": 0.5, "planner.solver": "dpm_solver", "planner.eta": 0.5}),
            "must be 0 with dpm_solver",
        ),
        (json!({"planner.temperature": 0.5, "goal": [1.0]}), "must have 2 values, one for each channel of position"),
        (
            json!({"planner.temperature": 0.5, "planner.nothing": 1}),
            "'planner.nothing' cannot be set because it was not declared",
        ),
        (json!({"planner.temperature": 0.5, "planner.max_horizon": 99}), "read-only"),
        (json!({}), "empty"),
    ] {
        let (successful, reason) = atomically(&mut client, values.clone());
        assert!(!successful && reason.contains(why), "{values}: {reason}");
    }
    assert_eq!(get(&mut client, "planner.temperature"), 1.0);
    assert_eq!(request(&mut client, "events", Value::Null), json!([]));

    let values = json!({"planner.temperature": 0.5, "costs.goal.weight": 2.0, "planner.guidance.schedule": [0.0, 1.0, 0.5, 0.2]});
    assert_eq!(atomically(&mut client, values.clone()), (true, String::new()));
    for (name, value) in values.as_object().unwrap() {
        assert_eq!(get(&mut client, name), *value);
    }
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(request(&mut client, "events", Value::Null), json!([[NODE, {}, values]]));
    // `ros2 param set NODE planner.guidance.schedule []` sends an array of no booleans.
    set(&mut client, json!({"planner.guidance.schedule": []}));
    assert_eq!(get(&mut client, "planner.guidance.schedule"), json!([]));
}

#[test]
fn parameters_given_at_start_override_the_configuration_file() {
    let harness = Harness::new();
    let (config, model) = (harness::config_file(), harness::model());
    let own = ["--config", &config, "--model", &model, "--ros-args", "-r", "__ns:=/robot_1"];
    let file = harness.file(
        "robot_1.yaml",
        "
/**:
  ros__parameters:
    planner: {horizon: 9, horison: 8, guidance: {scale: 0.05}}
    goal: [5.5, 3.5]
/robot_1/df_planner:
  ros__parameters: {planner.mode: full}
/robot_2/df_planner:
  ros__parameters: {planner.eta: 0.9}
",
    );
    {
        let more = ["--params-file", &file, "-p", "planner.temperature:=0.75", "-p", "costs.goal.weight:=3.0"];
        let node = harness.node(&[&own[..], &more[..]].concat());
        let mut client = client(&harness, "/robot_1/df_planner");
        for (name, value) in [
            ("planner.horizon", json!(9)),
            ("planner.guidance.scale", json!(0.05)),
            ("planner.mode", json!("full")),
            ("planner.temperature", json!(0.75)),
            ("costs.goal.weight", json!(3.0)),
            ("goal", json!([5.5, 3.5])),
            // A parameter of another node.
            ("planner.eta", json!(0.0)),
        ] {
            assert_eq!(get(&mut client, name), value, "{name}");
        }
        node.wait_for_log("parameter `planner.horison` was given, but the node has no such parameter; did you mean `planner.horizon`?");
    }
    for (given, named) in [
        ("planner.horizon:=9.0", "parameter planner.horizon: 9: must be of type integer, got double"),
        ("planner.horizon:=65", "parameter planner.horizon: 65: must be at most planner.max_horizon, which is 64"),
        ("planner.horizon:=16", "do not fit into the 16 tokens"),
        ("planner.mode:=best", "parameter planner.mode: best: must be one of full, streaming"),
        ("goal:=[1.0]", "parameter goal: [1.0]: must have 2 values, one for each channel of position, or none"),
    ] {
        let mut node = harness.node(&[&own[..], &["-p", given][..]].concat());
        assert_eq!(node.exit_code(), Some(1), "{given}: {}", node.stderr());
        assert!(node.stderr().contains(named), "{given}: {}", node.stderr());
    }
}

/// A driving node with the settings of a parameter file, its robot, and a parameter client.
fn driving(harness: &Harness, given: &str) -> (harness::Node, Robot, Robot) {
    let (config, model, given) = (harness::config_file(), harness::model(), harness.file("given.yaml", given));
    let node = harness.node(&["--config", &config, "--model", &model, "--ros-args", "--params-file", &given]);
    let mut robot = harness.robot(&[]);
    let mut client = client(harness, NODE);
    robot.request("odom 3.5 3.5");
    set(&mut client, json!({"goal": [5.5, 3.5]}));
    for _ in 0..60 {
        if robot.record(0.3).values.iter().filter(|force| **force != [0.0, 0.0]).count() >= 5 {
            return (node, robot, client);
        }
    }
    panic!("the node does not drive: {}", robot.request("diagnostics"));
}

#[test]
fn parameters_change_while_the_robot_drives_without_a_zero_command() {
    let harness = Harness::new();
    let (_node, mut robot, mut client) = driving(&harness, LIGHT);
    robot.request("actions");
    let changes = [
        json!({"planner.horizon": 8}),
        json!({"planner.candidates": 3}),
        json!({"planner.guidance.scale": 0.3, "planner.guidance.gradient": "none"}),
        // The longest hold that is known to be handled; see LARGE_HOLD_S.
        json!({"planner.goal_hold_s": LARGE_HOLD_S}),
        json!({"planner.history": 2, "planner.goal_hold_s": 0.8}),
        json!({"planner.uncertainty_scale": 0.5}),
        json!({"planner.uncertainty_scale": 0.1, "planner.denoising_steps": 3}),
        json!({"costs.goal.weight": 5.0, "costs.consistency.weight": 0.0}),
        json!({"planner.history": 1, "planner.horizon": 12, "planner.candidates": 2}),
        json!({"planner.mode": "full"}),
        json!({"planner.mode": "streaming", "planner.eta": 0.5}),
    ];
    for change in &changes {
        let result = request(&mut client, "set_atomically", change.clone());
        assert_eq!(result[0], true, "{change}: {result}");
        std::thread::sleep(Duration::from_millis(300));
    }
    let actions = robot.take_actions();
    let report = robot.request("diagnostics");
    let (first, last) = (actions.stamps[0], actions.stamps[actions.stamps.len() - 1]);
    let rate = (actions.stamps.len() - 1) as f64 / (last - first);
    let zeroed = actions.values.iter().filter(|force| **force == [0.0, 0.0]).count();
    println!(
        "{} actions through {} changes: {rate:.3} Hz, {zeroed} zeroed; {report}",
        actions.stamps.len(),
        changes.len()
    );
    assert!(actions.stamps.len() > 50);
    assert!((rate * PERIOD_S - 1.0).abs() < 0.02, "{rate} Hz; {report}");
    assert_eq!(zeroed, 0, "{report}");
    // The planner uses the new settings: a horizon of one token is 8 frames. A plan is shown to the end of its hold
    // time.
    let frames = |robot: &mut Robot| robot.request("plan").as_array().unwrap().len();
    let before = frames(&mut robot);
    set(&mut client, json!({"planner.horizon": 1}));
    std::thread::sleep(Duration::from_millis(500));
    let after = frames(&mut robot);
    assert!(before > 8 && after <= 8, "{before} frames, then {after}");
}

#[test]
fn a_goal_set_as_a_parameter_moves_the_plan_and_an_empty_one_stops_the_robot() {
    let harness = Harness::new();
    // Uses all candidates: with few, the distance between plan and goal varies.
    let (node, mut robot, mut client) = driving(&harness, "/**: {ros__parameters: {use_sim_time: false}}");
    // The mean of the smallest distances between plans and a place; a single plan is a sample.
    let nearest = |robot: &mut Robot, x: f64| {
        let mut sum = 0.0;
        for _ in 0..15 {
            std::thread::sleep(Duration::from_millis(60));
            let plan = robot.request("plan");
            let points = plan.as_array().expect("a plan").iter();
            let apart = points.map(|p| (p[0].as_f64().unwrap() - x).hypot(p[1].as_f64().unwrap() - 3.5));
            sum += apart.fold(f64::INFINITY, f64::min);
        }
        sum / 15.0
    };
    std::thread::sleep(Duration::from_millis(500));
    let right = [nearest(&mut robot, 1.5), nearest(&mut robot, 5.5)];
    set(&mut client, json!({"goal": [1.5, 3.5]}));
    std::thread::sleep(Duration::from_secs(1));
    let left = [nearest(&mut robot, 1.5), nearest(&mut robot, 5.5)];
    println!("nearest to left and right: {right:.2?} m with the goal right, {left:.2?} m with it left");
    assert!(left[0] < right[0] - 0.3 && right[1] < left[1] - 0.3, "{right:?}, {left:?}");

    set(&mut client, json!({"goal": []}));
    std::thread::sleep(Duration::from_millis(500));
    let actions = robot.record(0.5);
    assert!(actions.values.iter().all(|force| *force == [0.0, 0.0]), "{actions:?}");
    node.wait_for_log("no goal");
}

#[test]
fn two_nodes_in_two_namespaces_have_separate_parameters_and_robots() {
    let harness = Harness::new();
    let nodes = ["/robot_1", "/robot_2"].map(|namespace| harness.node_with_parameters(namespace));
    let mut client = client(&harness, "/robot_1/df_planner");
    set(&mut client, json!({"planner.eta": 0.25, "goal": [5.5, 3.5]}));
    assert_eq!(get(&mut client, "planner.seed"), 7);
    assert_eq!(request(&mut client, "at", json!("/robot_2/df_planner")), true);
    assert_eq!((get(&mut client, "planner.eta"), get(&mut client, "goal")), (json!(0.0), json!([])));
    for namespace in ["/robot_1", "/robot_2"] {
        let mut robot = harness.robot(&["--ros-args", "-r", &format!("__ns:={namespace}")]);
        // Waits until they have discovered each other.
        let found = (0..20).any(|_| !robot.record(0.5).stamps.is_empty());
        assert!(found, "{namespace}: no action");
        // Measures by the stamps of the actions: a busy machine delivers them unevenly.
        let stamps = robot.record(2.0).stamps;
        assert!(stamps.len() > 5, "{namespace}: {stamps:?}");
        let rate = (stamps.len() - 1) as f64 / (stamps[stamps.len() - 1] - stamps[0]);
        assert!((15.0..=25.0).contains(&rate), "{namespace}: {rate} actions a second: {stamps:?}");
    }
    drop(nodes);
}

#[test]
fn parameters_survive_a_cleanup_and_configure_reads_those_set_before_it() {
    let harness = Harness::new();
    let node = harness.node_given(&["autostart:=false"]);
    let mut client = client(&harness, NODE);
    let mut operator = harness.peer("lifecycle.py", &[]);
    let mut change = |label: &str| operator.request(&format!("change 0 {label}")) == true;
    set(&mut client, json!({"model": "/no/such/model"}));
    assert!(!change("configure"), "there is no such model");
    node.wait_for_log("/no/such/model");
    set(&mut client, json!({"model": harness::model()}));
    assert!(change("configure"), "{}", node.stderr());
    assert!(refusal(&mut client, "model", json!("other")).contains("while the node is unconfigured, not inactive"));
    set(&mut client, json!({"planner.horizon": 9, "goal": [5.5, 3.5]}));
    assert!(change("cleanup"));
    set(&mut client, json!({"planner.eta": 0.5}));
    assert!(change("configure"), "{}", node.stderr());
    for (name, value) in [("planner.horizon", json!(9)), ("planner.eta", json!(0.5)), ("goal", json!([5.5, 3.5]))] {
        assert_eq!(get(&mut client, name), value, "{name}");
    }
}
