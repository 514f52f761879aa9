//! The displays of the node, received by rclpy while it drives: plan, rollouts, guidance and diagnostics. The topics,
//! fields and diagnostics that the shipped views (config/planner.rviz, config/foxglove_layout.json) show exist.
#![cfg(feature = "ros")]

#[path = "ros/harness.rs"]
mod harness;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use harness::{Harness, Node, Robot};

/// A free place of the demo maze, and a goal in the same corridor. Metres.
const PLACE: [f64; 2] = [3.5, 3.5];
const GOAL: [f64; 2] = [5.5, 3.5];
const PERIOD_S: f64 = 0.05;
/// As in the shipped configuration.
const CANDIDATES: usize = 4;
const ROLLOUTS: usize = 8;
/// The number of messages of each kind that are checked, and how often the test waits for more.
const ENOUGH: usize = 20;
const LOOKS: usize = 10;
/// visualization_msgs/Marker.
const LINE_STRIP: i64 = 4;
const ADD: i64 = 0;
const DELETEALL: i64 = 3;

#[derive(Debug, Deserialize)]
struct Received {
    plan: Vec<Plan>,
    rollouts: Vec<Vec<Marker>>,
    guidance: Vec<Vec<Status>>,
    diagnostics: Vec<Vec<Status>>,
}

#[derive(Debug, Deserialize)]
struct Plan {
    frame: String,
    stamp: f64,
    stamps: Vec<f64>,
    points: Vec<[f64; 2]>,
}

#[derive(Debug, Deserialize)]
struct Marker {
    action: i64,
    r#type: i64,
    id: i64,
    frame: String,
    lifetime: f64,
    color: [f64; 3],
    width: f64,
    points: Vec<[f64; 2]>,
}

#[derive(Debug, Deserialize)]
struct Status {
    name: String,
    level: u8,
    message: String,
    hardware_id: String,
    values: BTreeMap<String, String>,
}

impl Status {
    fn text(&self, key: &str) -> &str {
        self.values.get(key).unwrap_or_else(|| panic!("no {key} in {self:?}"))
    }

    fn number(&self, key: &str) -> f64 {
        self.text(key).parse().unwrap_or_else(|_| panic!("{key} is no number in {self:?}"))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// A node that drives a robot which does not move, and a viewer.
fn driving(harness: &Harness) -> (Node, Robot, Robot) {
    let node = harness.node(&[]);
    let mut robot = harness.robot(&[]);
    let mut viewer = harness.peer("viewer.py", &[]);
    viewer.request("watch");
    robot.request(&format!("odom {} {}", PLACE[0], PLACE[1]));
    robot.request(&format!("goal {} {}", GOAL[0], GOAL[1]));
    // The node drives, and node and viewer have discovered each other.
    let until = Instant::now() + Duration::from_secs(20);
    while receive(&mut viewer, 0.2).guidance.is_empty() {
        assert!(Instant::now() < until, "the node does not drive: {}", node.stderr());
    }
    (node, robot, viewer)
}

fn receive(viewer: &mut Robot, seconds: f64) -> Received {
    serde_json::from_value(viewer.request(&format!("look {seconds}"))).unwrap()
}

#[test]
fn plan_rollouts_guidance_and_diagnostics_show_what_the_node_does() {
    let harness = Harness::new();
    let (_node, _robot, mut viewer) = driving(&harness);
    // 3.5 s at 20 Hz are 70 plans. A busy machine misses some and takes longer.
    let mut received = receive(&mut viewer, 3.5);
    for _ in 0..LOOKS {
        if [received.plan.len(), received.rollouts.len(), received.guidance.len()].into_iter().min() >= Some(ENOUGH) {
            break;
        }
        let more = receive(&mut viewer, 3.5);
        received.plan.extend(more.plan);
        received.rollouts.extend(more.rollouts);
        received.guidance.extend(more.guidance);
        received.diagnostics.extend(more.diagnostics);
    }

    assert!(received.plan.len() >= ENOUGH, "{} plans", received.plan.len());
    for plan in &received.plan {
        assert_eq!((plan.frame.as_str(), plan.stamp), ("odom", plan.stamps[0]));
        let step = |pair: &[f64]| (pair[1] - pair[0] - PERIOD_S).abs();
        // f64 seconds since 1970 resolve 0.2 us.
        assert!(plan.stamps.windows(2).all(|pair| step(pair) < 1e-5), "one pose per tick: {:?}", plan.stamps);
        assert!(distance(plan.points[0], PLACE) < 0.5, "the plan starts at {:?}", plan.points[0]);
    }
    // The median starts much nearer.
    let mut distances: Vec<f64> = received.plan.iter().map(|plan| distance(plan.points[0], PLACE)).collect();
    distances.sort_by(f64::total_cmp);
    assert!(distances[distances.len() / 2] < 0.3, "plans begin so far from the robot: {distances:?}");
    // A plan with a goal is shown up to the end of its hold time there.
    let at_goal = received.plan.iter().filter(|plan| distance(*plan.points.last().unwrap(), GOAL) < 0.05).count();
    assert!(at_goal * 2 > received.plan.len(), "{at_goal} of {} plans end at the goal", received.plan.len());

    assert!(received.rollouts.len() >= ENOUGH, "{} drawings", received.rollouts.len());
    for markers in &received.rollouts {
        let (clear, lines) = markers.split_first().unwrap();
        assert_eq!((clear.action, lines.len()), (DELETEALL, ROLLOUTS));
        let candidate = |line: &Marker| line.id as usize / (ROLLOUTS / CANDIDATES);
        let green = lines.iter().max_by(|a, b| a.color[1].total_cmp(&b.color[1])).unwrap();
        let red = lines.iter().max_by(|a, b| a.color[0].total_cmp(&b.color[0])).unwrap();
        assert!(green.color[1] == 1.0 && red.color[0] == 1.0, "colours span green to red: {lines:?}");
        for line in lines {
            assert_eq!((line.r#type, line.action, line.frame.as_str()), (LINE_STRIP, ADD, "odom"));
            assert_eq!(line.lifetime, 0.5);
            assert!((2..=48).contains(&line.points.len()), "{} points", line.points.len());
            // The chosen candidate has the lowest cost.
            assert_eq!(line.width > green.width - 1e-9, candidate(line) == candidate(green), "{line:?}");
        }
    }

    assert!(received.guidance.len() >= ENOUGH, "{} statistics", received.guidance.len());
    for statuses in &received.guidance {
        let names: Vec<&str> = statuses.iter().map(|status| status.name.as_str()).collect();
        assert_eq!(names, ["cost goal", "cost consistency", "guidance"].map(|part| format!("/df_planner: {part}")));
        let (costs, whole) = (&statuses[..2], &statuses[2]);
        // Fractions are printed with four digits.
        assert!((costs.iter().map(|cost| cost.number("share")).sum::<f64>() - 1.0).abs() < 2e-4, "{costs:?}");
        let total = costs.iter().map(|cost| cost.number("mean")).sum::<f64>();
        assert!((total - whole.number("chosen_cost")).abs() < 1e-4, "{statuses:?}");
        assert!(costs.iter().all(|cost| cost.number("std") >= 0.0 && cost.hardware_id == "df_planner"));
        assert_eq!(whole.number("candidates"), CANDIDATES as f64);
        let skipped: f64 =
            ["denoising_steps", "guided_steps", "tokens"].map(|k| whole.number(&format!("skipped.{k}"))).iter().sum();
        assert_eq!(whole.level, u8::from(skipped > 0.0), "{whole:?}");
    }
    let guided = |status: &Status| status.number("guided_steps") > 0.0 && status.number("gradient_norm") > 0.0;
    assert!(received.guidance.iter().any(|statuses| guided(&statuses[2])), "no plan was guided");

    // 1 Hz, or a little more or less on a busy machine.
    assert!((2..=5).contains(&received.diagnostics.len()), "{} reports in 3.5 s", received.diagnostics.len());
    let status = &received.diagnostics.last().unwrap()[0];
    println!("{status:#?}");
    assert_eq!((status.name.as_str(), status.hardware_id.as_str()), ("/df_planner: planner", "df_planner"));
    assert!(status.message.starts_with(status.text("state")), "{status:?}");
    assert_eq!((status.text("lifecycle"), status.text("device")), ("active", "cpu"));
    assert_eq!(status.number("configured_rate_hz"), 20.0);
    // Ticks from the first to the last one; a busy machine may skip some.
    let (ticks, skipped) = (status.number("ticks"), status.number("skipped_ticks"));
    let expected_hz = 20.0 * (ticks - 1.0) / (ticks - 1.0 + skipped);
    assert!((status.number("achieved_rate_hz") - expected_hz).abs() < 0.2, "{expected_hz} Hz: {status:?}");
    for name in ["tick_jitter_ms", "planning_latency_ms"] {
        let [p50, p99, max] = ["p50", "p99", "max"].map(|part| status.number(&format!("{name}_{part}")));
        assert!(0.0 < p50 && p50 <= p99 && p99 <= max, "{name}: {p50} {p99} {max}");
    }
    for group in ["position", "velocity"] {
        assert!((0.0..1.0).contains(&status.number(&format!("age_s.{group}"))), "{status:?}");
    }
    assert!(["plan", "rest_of_plan", "hold", "ramp", "safe"].contains(&status.text("fallback_level")), "{status:?}");
    // The documented command that gives the same digest.
    let model = root().join("models/point_maze");
    let script = "cat checkpoint.json contract.yaml weights.bpk | sha256sum";
    let output = Command::new("sh").args(["-c", script]).current_dir(model).output().unwrap();
    let expected = String::from_utf8(output.stdout).unwrap();
    assert_eq!(status.text("checkpoint_hash"), &expected[..12]);
}

#[test]
fn the_node_uses_no_topic_or_service_outside_its_namespace() {
    let harness = Harness::new();
    let _node = harness.node_with_parameters("/robot_1");
    let mut viewer = harness.peer("viewer.py", &["--ros-args", "-r", "__ns:=/robot_1"]);
    // The topics of every ROS 2 system; docs/src/how-to/deploy.md lists them.
    let conventions =
        ["/diagnostics", "/rosout", "/parameter_events", "/tf", "/tf_static", "/clock"].map(ToString::to_string);
    // The node advertises its entities one after the other.
    let until = Instant::now() + Duration::from_secs(20);
    let topics = loop {
        let topics: BTreeMap<String, String> = serde_json::from_value(viewer.request("topics")).unwrap();
        if ["/robot_1/odom", "/robot_1/force", "/robot_1/goal", "/robot_1/df_planner/plan"]
            .iter()
            .all(|t| topics.contains_key(*t))
        {
            break topics;
        }
        assert!(Instant::now() < until, "{topics:?}");
        std::thread::sleep(Duration::from_millis(200));
    };
    let outside = |name: &&String| !name.starts_with("/robot_1/") && !conventions.contains(name);
    assert_eq!(topics.keys().find(outside), None);
    let services: Vec<String> = serde_json::from_value(viewer.request("services")).unwrap();
    assert!(services.contains(&"/robot_1/df_planner/get_state".to_string()), "{services:?}");
    assert_eq!(services.iter().find(|name| !name.starts_with("/robot_1/df_planner/")), None);
}

/// An item of a view: a topic and what it must hold.
struct Shown {
    topic: String,
    what: What,
}

enum What {
    Type(&'static str),
    /// A path into a message, as Foxglove writes it: fields, or a value of diagnostics.
    Path(String),
    Topic,
}

#[test]
fn the_shipped_rviz_and_foxglove_views_name_topics_and_fields_that_exist() {
    let harness = Harness::new();
    let (_node, _robot, mut viewer) = driving(&harness);
    let received = receive(&mut viewer, 1.5);
    let statuses: BTreeMap<&str, &Status> = received
        .guidance
        .iter()
        .chain(&received.diagnostics)
        .flatten()
        .map(|status| (status.name.as_str(), status))
        .collect();
    let topics: BTreeMap<String, String> = serde_json::from_value(viewer.request("topics")).unwrap();

    let shown: Vec<Shown> = rviz().into_iter().chain(foxglove()).collect();
    assert!(shown.len() >= 15, "{} things are shown", shown.len());
    for Shown { topic, what } in shown {
        let kind = topics.get(&topic).unwrap_or_else(|| panic!("{topic} is not among {topics:?}"));
        match what {
            What::Type(expected) => assert_eq!(kind, expected, "{topic}"),
            What::Topic => {}
            What::Path(path) => match diagnostics_value(&path) {
                Some((name, key)) => {
                    assert_eq!(kind, "diagnostic_msgs/msg/DiagnosticArray", "{topic}");
                    let status =
                        statuses.get(name).unwrap_or_else(|| panic!("no status {name}: {:?}", statuses.keys()));
                    status.number(key);
                }
                None => {
                    assert_eq!(viewer.request(&format!("field {kind} {path}")), Value::Bool(true), "{topic}: {path}")
                }
            },
        }
    }
}

/// The topics of RViz's displays and tools, which are relative to its namespace.
fn rviz() -> Vec<Shown> {
    let text = std::fs::read_to_string(root().join("config/planner.rviz")).unwrap();
    let view: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
    let manager = &view["Visualization Manager"];
    let listed = |key: &str| manager[key].as_sequence().unwrap_or_else(|| panic!("no {key}")).clone();
    let known = [
        ("rviz_default_plugins/Path", "nav_msgs/msg/Path"),
        ("rviz_default_plugins/MarkerArray", "visualization_msgs/msg/MarkerArray"),
        ("rviz_default_plugins/Odometry", "nav_msgs/msg/Odometry"),
        ("rviz_default_plugins/SetGoal", "geometry_msgs/msg/PoseStamped"),
    ];
    let shown = listed("Displays").into_iter().chain(listed("Tools")).filter(|part| part.get("Topic").is_some());
    let shown = shown.map(|part| {
        let class = part["Class"].as_str().unwrap();
        let (_, kind) = known.iter().find(|(known, _)| *known == class).unwrap_or_else(|| panic!("{class}"));
        let topic = part["Topic"]["Value"].as_str().unwrap();
        assert!(!topic.starts_with('/'), "{class}: {topic} is not relative");
        Shown { topic: format!("/{topic}"), what: What::Type(kind) }
    });
    let shown: Vec<Shown> = shown.collect();
    assert_eq!(shown.len(), known.len());
    shown
}

/// The topics and message paths of Foxglove's panels. Checks that the layout holds every panel.
fn foxglove() -> Vec<Shown> {
    let text = std::fs::read_to_string(root().join("config/foxglove_layout.json")).unwrap();
    let layout: Value = serde_json::from_str(&text).unwrap();
    let panels = layout["configById"].as_object().unwrap();
    let mut placed = Vec::new();
    leaves(&layout["layout"], &mut placed);
    placed.sort();
    assert_eq!(placed, panels.keys().cloned().collect::<Vec<_>>());
    let mut shown = Vec::new();
    for panel in panels.values() {
        let paths = panel["paths"].as_array().into_iter().flatten().map(|path| path["value"].as_str().unwrap());
        shown.extend(paths.map(|path| {
            let (topic, rest) = path.split_once('.').unwrap();
            Shown { topic: topic.into(), what: What::Path(rest.into()) }
        }));
        let drawn = panel["topics"].as_object().into_iter().flatten().map(|(topic, _)| topic.as_str());
        let named = [&panel["topicToRender"], &panel["publish"]["poseTopic"]].into_iter().filter_map(Value::as_str);
        shown.extend(drawn.chain(named).map(|topic| Shown { topic: topic.into(), what: What::Topic }));
    }
    shown
}

/// The panels at the leaves of a layout's tree.
fn leaves(tree: &Value, into: &mut Vec<String>) {
    match tree {
        Value::String(panel) => into.push(panel.clone()),
        branch => ["first", "second"].iter().for_each(|side| leaves(&branch[side], into)),
    }
}

/// Name and key in `status[:]{name=="NAME"}.values[:]{key=="KEY"}.value`.
fn diagnostics_value(path: &str) -> Option<(&str, &str)> {
    let (name, rest) = path.strip_prefix("status[:]{name==\"")?.split_once("\"}.values[:]{key==\"")?;
    Some((name, rest.strip_suffix("\"}.value")?))
}
