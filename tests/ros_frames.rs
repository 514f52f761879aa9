//! The node against a robot whose messages are in other coordinate frames than the contract's (`tests/ros/frames.py`),
//! over DDS on the loopback. Goals and maps are transformed or refused with a reason; a QoS mismatch is reported. `make
//! test` provides DF_TEST_PYTHON.
#![cfg(feature = "ros")]

#[path = "ros/harness.rs"]
mod harness;
mod support;

use std::time::{Duration, Instant};

use harness::{Harness, Node, Robot};
use support::point_maze;

/// A free place of the demo maze, and two goals in the same corridor, to the left and to the right of it. In `odom`,
/// metres.
const PLACE: &str = "3.5 3.5";
const LEFT: (f64, f64) = (1.5, 3.5);
const RIGHT: (f64, f64) = (5.5, 3.5);
/// map_from_odom: a quarter turn, then (-10, 5). So (x, y) of `odom` is (-10 - y, 5 + x) of `map`.
const MAP_FROM_ODOM: &str = "map odom -10 5 1.5707963267948966";

fn in_map((x, y): (f64, f64)) -> String {
    format!("{} {}", -10.0 - y, 5.0 + x)
}

fn node(harness: &Harness, config: &str, more: &[&str]) -> Node {
    let model = harness::model();
    let mut arguments = vec!["--config", config, "--model", &model];
    arguments.extend(more);
    harness.bare_node(&arguments)
}

/// The mean of the smallest distances between plans and a place, m. A single plan is a sample.
fn nearest(robot: &mut Robot, (x, y): (f64, f64)) -> f64 {
    std::thread::sleep(Duration::from_millis(700));
    let mut sum = 0.0;
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(60));
        let plan = robot.request("plan");
        let points = plan.as_array().expect("a plan").iter();
        let distances = points.map(|p| (p[0].as_f64().unwrap() - x).hypot(p[1].as_f64().unwrap() - y));
        sum += distances.fold(f64::INFINITY, f64::min) / 20.0;
    }
    sum
}

/// The share of actions that differ from the safe action.
fn driven(robot: &mut Robot, seconds: f64) -> f64 {
    let actions = robot.request(&format!("record {seconds}"));
    let actions: Vec<[f64; 2]> = serde_json::from_value(actions).unwrap();
    assert!(!actions.is_empty(), "no actions");
    actions.iter().filter(|force| **force != [0.0, 0.0]).count() as f64 / actions.len() as f64
}

fn await_driving(robot: &mut Robot) {
    let until = Instant::now() + Duration::from_secs(20);
    while driven(robot, 0.5) < 0.5 {
        assert!(Instant::now() < until, "the node does not drive within 20 s: {}", robot.request("diagnostics"));
    }
}

#[test]
fn a_goal_in_another_frame_waits_for_its_transform_and_is_used() {
    let harness = Harness::new();
    let config = harness.file("c.yaml", point_maze().with("goal.frame_id", "odom").text());
    let node = node(&harness, &config, &[]);
    let mut robot = harness.peer("frames.py", &[]);
    robot.request(&format!("odom odom {PLACE}"));
    robot.request(&format!("goal map {}", in_map(LEFT)));
    node.wait_for_log(
        "goal: the goal in `map` has waited 0.5 s of at most 10 s for its transform: odom_from_map: no transform",
    );
    assert_eq!(driven(&mut robot, 0.3), 0.0, "there is no goal yet");
    robot.request(&format!("tf_static {MAP_FROM_ODOM}"));
    await_driving(&mut robot);
    let left = nearest(&mut robot, LEFT);

    // A stamped goal with a moving transform is used as soon as the transform reaches the goal's stamp.
    robot.request("tf odom camera 0 0 0");
    std::thread::sleep(Duration::from_millis(200));
    let (x, y) = RIGHT;
    robot.request(&format!("goal_now camera {x} {y}"));
    let right = nearest(&mut robot, RIGHT);
    println!("plans pass {LEFT:?} at {left:.2} m and {RIGHT:?} at {right:.2} m");
    assert!(left < 0.6 && right < 0.6, "plans pass their goal: {left} m, {right} m");

    // The robot keeps the previous goal while another goal waits, and after that one is refused.
    robot.request("goal moon 1 1");
    // The subscription keeps the newest of two simultaneous goals.
    node.wait_for_log("the goal in `moon` has waited");
    robot.request(&format!("goal - {} {}", LEFT.0, LEFT.1));
    node.wait_for_log("goal: goal refused: its frame id is empty, the contract's is `odom`");
    node.wait_for_log(
        "goal: goal refused after 10.0 s: it is in `moon`, and odom_from_moon: no transform names the frame `moon`",
    );
    let right = nearest(&mut robot, RIGHT);
    assert!(right < 0.6, "the goal before it is forgotten: plans pass it at {right} m");
}

#[test]
fn an_observation_in_another_frame_is_refused_with_both_names() {
    let harness = Harness::new();
    let config = harness.file("c.yaml", point_maze().with("observations.position.frame_id", "odom").text());
    let node = node(&harness, &config, &[]);
    let mut robot = harness.peer("frames.py", &[]);
    robot.request(&format!("odom odom {PLACE}"));
    robot.request(&format!("goal map {} {}", RIGHT.0, RIGHT.1));
    await_driving(&mut robot);
    for (frame, got) in [("map", "map"), ("-", "")] {
        robot.request(&format!("odom {frame} {PLACE}"));
        node.wait_for_log(&format!("header.frame_id: expected `odom`, got `{got}`"));
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(driven(&mut robot, 0.5), 0.0, "driven by observations in `{got}`");
    }
    robot.request(&format!("odom odom {PLACE}"));
    await_driving(&mut robot);
}

#[test]
fn a_map_published_before_the_node_started_is_transformed_and_used() {
    let harness = Harness::new();
    let cost = "{kind: obstacles, weight: 300, of: position, unknown: free, margin: 0.2, \
                map: {topic: map, frame_id: odom}}";
    // Only costs lead to the goal: a goal given as an observation is reached whatever the map costs. Few sequences
    // leave time for guidance on a busy machine.
    let yaml = point_maze().with_first("costs", cost).with_all(&[
        ("planner.goal_as_observation", "false"),
        ("planner.candidates", "1"),
        ("planner.rollouts", "1"),
        ("planner.guidance.scale", "1.0"),
        ("planner.guidance.max_norm", "10.0"),
    ]);
    let config = harness.file("c.yaml", yaml.text());
    let mut robot = harness.peer("frames.py", &[]);
    // Columns of 0.25 m along x of `map`, which is minus y of `odom`: 8 m by 8 m from (-18, 5) of `map` on, all free.
    robot.request("map map -18 5 32 32 0.25 32");
    let node = node(&harness, &config, &[]);
    robot.request(&format!("odom odom {PLACE}"));
    robot.request(&format!("goal odom {} {}", RIGHT.0, RIGHT.1));
    node.wait_for_log("map: a map of 1024 cells in `map`, made ready in");
    node.wait_for_log("old, is not used yet: odom_from_map: no transform names the frame `odom`");
    assert_eq!(driven(&mut robot, 0.5), 0.0, "driven without the map");
    node.wait_for_log("no map has come on the topic `map` yet");
    robot.request(&format!("tf_static {MAP_FROM_ODOM}"));
    await_driving(&mut robot);
    let free = nearest(&mut robot, RIGHT);
    // Another map, in `odom` this time: a wall between the robot and its goal, from x = 4.25 on.
    robot.request("map odom 0 0 32 32 0.25 17");
    node.wait_for_log("map: a map of 1024 cells in `odom`");
    let walled = nearest(&mut robot, RIGHT);
    println!("plans pass {RIGHT:?} at {free:.2} m, and at {walled:.2} m with a wall before it");
    assert!(free < 0.6 && walled > free + 0.3, "the wall is no concern: {free} m without, {walled} m with");
}

#[test]
fn a_qos_mismatch_is_named_with_both_sides_also_on_remapped_topics() {
    let harness = Harness::new();
    let yaml = point_maze()
        .with("observations.position.qos", "{reliability: reliable, transient_local: true}")
        .with("goal.qos", "{transient_local: true}")
        .with_first("costs", "{kind: obstacles, weight: 1, of: position, map: {topic: map}}");
    let config = harness.file("c.yaml", yaml.text());
    let node = node(&harness, &config, &["--ros-args", "-r", "odom:=/wheel/odom"]);
    let mut robot = harness.peer("frames.py", &[]);
    robot.request("offer /wheel/odom Odometry best_effort");
    robot.request("offer goal PoseStamped");
    robot.request("offer map OccupancyGrid best_effort latched");
    for said in [
        "/wheel/odom: /robot offers best_effort, volatile, but the contract requests reliable, transient_local",
        "/goal: /robot offers reliable, volatile, but the contract requests reliable, transient_local",
        "/map: /robot offers best_effort, transient_local, but the contract requests reliable, transient_local",
    ] {
        node.wait_for_log(said);
    }
}
