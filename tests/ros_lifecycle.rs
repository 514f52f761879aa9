//! The life cycle against the types and clients of rclpy: every legal and illegal transition by service calls, and the
//! behaviour of the node in each state.
#![cfg(feature = "ros")]

#[path = "ros/harness.rs"]
mod harness;
mod support;

use std::time::Duration;

use harness::{Harness, Robot};
use serde_json::{Value, json};
use support::point_maze;

const PLACE: &str = "3.5 3.5";
const GOAL: &str = "5.5 3.5";

/// Requests of `lifecycle_msgs/msg/Transition` by id, with the states in which the managed-node design allows them and
/// where they lead.
const REQUESTS: [(u8, &str, &str, &str); 7] = [
    (1, "configure", "unconfigured", "inactive"),
    (2, "cleanup", "inactive", "unconfigured"),
    (3, "activate", "inactive", "active"),
    (4, "deactivate", "active", "inactive"),
    (5, "shutdown", "unconfigured", "finalized"),
    (6, "shutdown", "inactive", "finalized"),
    (7, "shutdown", "active", "finalized"),
];

fn change(operator: &mut Robot, id: u8, label: &str) -> bool {
    operator.request(&format!("change {id} {label}")).as_bool().unwrap()
}

fn assert_state(operator: &mut Robot, expected: &str) {
    assert_eq!(operator.request("state"), expected);
}

/// Requests every transition that `state` does not allow, including those of transition states and unknown ones.
fn refuse_all_others(operator: &mut Robot, state: &str) {
    for id in (0..=12).chain([20, 30, 41, 50, 60, 99, 255]) {
        if !REQUESTS.iter().any(|r| r.0 == id && r.2 == state) {
            assert!(!change(operator, id, "-"), "{id} in {state}");
        }
    }
    for (_, label, ..) in REQUESTS {
        if !REQUESTS.iter().any(|r| r.1 == label && r.2 == state) {
            assert!(!change(operator, 0, label), "{label} in {state}");
        }
    }
    assert!(!change(operator, 0, "transition_success"));
    assert_state(operator, state);
}

/// Commands that arrive within some periods.
fn commands(robot: &mut Robot) -> Vec<[f64; 2]> {
    robot.record(0.4).values
}

#[test]
fn each_state_allows_its_own_transitions_and_refuses_all_others() {
    let harness = Harness::new();
    let mut node = harness.node_given(&["autostart:=false"]);
    let mut operator = harness.peer("lifecycle.py", &[]);
    let mut robot = harness.robot(&[]);
    robot.request(&format!("odom {PLACE}"));

    let states = operator.request("states");
    let expected = [
        (0, "unknown"),
        (1, "unconfigured"),
        (2, "inactive"),
        (3, "active"),
        (4, "finalized"),
        (10, "configuring"),
        (11, "cleaningup"),
        (12, "shuttingdown"),
        (13, "activating"),
        (14, "deactivating"),
        (15, "errorprocessing"),
    ];
    assert_eq!(states, json!(expected.map(|(id, label)| json!([id, label]))));
    assert_eq!(operator.request("graph").as_array().unwrap().len(), 25);

    assert_state(&mut operator, "unconfigured");
    assert_eq!(
        operator.request("transitions"),
        json!([[1, "configure", "unconfigured", "configuring"], [5, "shutdown", "unconfigured", "shuttingdown"]])
    );
    refuse_all_others(&mut operator, "unconfigured");
    operator.request("events");

    assert!(change(&mut operator, 1, "-"), "configure: {}", node.stderr());
    assert_state(&mut operator, "inactive");
    refuse_all_others(&mut operator, "inactive");
    // No command leaves before `activate`, with a goal or without one.
    robot.request(&format!("goal {GOAL}"));
    assert!(commands(&mut robot).is_empty());

    // Two rounds: the node drives again after the second activation.
    for round in 0..2 {
        assert!(change(&mut operator, 0, "activate"));
        assert_state(&mut operator, "active");
        if round == 0 {
            refuse_all_others(&mut operator, "active");
        }
        // The history of one token takes 0.4 s; plans follow.
        let driven = (0..50).any(|_| commands(&mut robot).iter().filter(|force| **force != [0.0, 0.0]).count() >= 3);
        assert!(driven, "round {round}: {}", node.stderr());
        assert!(change(&mut operator, 4, "deactivate"));
        std::thread::sleep(Duration::from_millis(100));
        let last = robot.take_actions().values.last().copied();
        assert_eq!(last, Some([0.0, 0.0]), "the last command is there, and is the safe one");
        assert!(commands(&mut robot).is_empty(), "none after deactivate");
        assert_state(&mut operator, "inactive");
    }

    assert!(change(&mut operator, 2, "-"));
    assert_state(&mut operator, "unconfigured");
    // Once more, up to a shutdown from the active state.
    assert!(change(&mut operator, 1, "-") && change(&mut operator, 3, "-"));
    assert!(change(&mut operator, 0, "shutdown"));
    assert_state(&mut operator, "finalized");
    assert!(commands(&mut robot).is_empty());
    refuse_all_others(&mut operator, "finalized");
    assert_eq!(operator.request("transitions"), json!([]));

    let through = |from: &str, by: &str, to: &str| [format!("{from} > {by}"), format!("{by} > {to}")];
    let around = [through("inactive", "activating", "active"), through("active", "deactivating", "inactive")];
    let expected: Vec<String> = [
        vec![through("unconfigured", "configuring", "inactive")],
        around.to_vec(),
        around.to_vec(),
        vec![
            through("inactive", "cleaningup", "unconfigured"),
            through("unconfigured", "configuring", "inactive"),
            through("inactive", "activating", "active"),
            through("active", "shuttingdown", "finalized"),
        ],
    ]
    .concat()
    .concat();
    assert_eq!(operator.request("events"), json!(expected));
    node.wait_for_log("is refused: finalized allows");
    node.signal("TERM");
    assert_eq!(node.exit_code(), Some(0), "{}", node.stderr());
}

#[test]
fn a_node_whose_configuration_is_invalid_stays_unconfigured_and_logs_the_reason() {
    let harness = Harness::new();
    let node = harness.bare_node(&[
        "--config",
        &harness.file("c.yaml", point_maze().with("period_s", 0).text()),
        "--model",
        &harness::model(),
        "--ros-args",
        "-p",
        "autostart:=false",
    ]);
    let mut operator = harness.peer("lifecycle.py", &[]);
    assert!(!change(&mut operator, 1, "-"));
    assert_state(&mut operator, "unconfigured");
    let expected: Value = json!(["unconfigured > configuring", "configuring > unconfigured"]);
    assert_eq!(operator.request("events"), expected);
    node.wait_for_log("period_s: 0: must be a finite number above 0");
    assert!(change(&mut operator, 5, "-"));
    assert_state(&mut operator, "finalized");
}

/// rcl refuses a topic after others were created: `configure` removes those.
#[test]
fn a_configure_that_fails_half_way_leaves_no_publishers_behind() {
    let harness = Harness::new();
    let file = harness.file("c.yaml", point_maze().with("goal.topic", "9goal").text());
    let node =
        harness.bare_node(&["--config", &file, "--model", &harness::model(), "--ros-args", "-p", "autostart:=false"]);
    let mut operator = harness.peer("lifecycle.py", &[]);
    let published = |operator: &mut Robot| {
        ["force", "df_planner/plan", "df_planner/rollouts"]
            .map(|topic| operator.request(&format!("publishers {topic}")))
    };
    assert!(!change(&mut operator, 1, "-"));
    assert_state(&mut operator, "unconfigured");
    node.wait_for_log("9goal");
    // The graph is updated a moment later.
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(published(&mut operator), [0, 0, 0].map(Value::from));
    // With a valid topic the publishers exist, so the count above can see them.
    std::fs::write(&file, harness::shipped_config()).unwrap();
    assert!(change(&mut operator, 1, "-"), "{}", node.stderr());
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(published(&mut operator), [1, 1, 1].map(Value::from));
}
