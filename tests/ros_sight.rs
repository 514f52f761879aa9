//! What an operator sees, received by rclpy while the node drives: plan, rollouts, guidance and diagnostics; and that the shipped
//! views (config/planner.rviz, config/foxglove_layout.json) show topics, fields and diagnostics that there are.
#![cfg(feature = "ros")]

#[path = "ros/stage.rs"]
mod stage;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use stage::{Node, Robot, Stage};

/// A free place of the demo maze, and a goal in the same corridor. Metres.
const PLACE: [f64; 2] = [3.5, 3.5];
const GOAL: [f64; 2] = [5.5, 3.5];
const PERIOD_S: f64 = 0.05;
/// Of the shipped configuration.
const CANDIDATES: usize = 4;
const ROLLOUTS: usize = 8;
/// Messages of each kind that are looked at, and how often more are waited for.
const ENOUGH: usize = 20;
const LOOKS: usize = 10;
/// visualization_msgs/Marker.
const LINE_STRIP: i64 = 4;
const ADD: i64 = 0;
const DELETEALL: i64 = 3;

#[derive(Debug, Deserialize)]
struct Seen {
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

/// A node that drives a robot which stands still, and somebody who looks.
fn driving(stage: &Stage) -> (Node, Robot, Robot) {
    let node = stage.node(&[]);
    let mut robot = stage.robot(&[]);
    let mut viewer = stage.peer("viewer.py", &[]);
    viewer.ask("watch");
    robot.ask(&format!("odom {} {}", PLACE[0], PLACE[1]));
    robot.ask(&format!("goal {} {}", GOAL[0], GOAL[1]));
    // It drives, and the two have found each other.
    let until = Instant::now() + Duration::from_secs(20);
    while look(&mut viewer, 0.2).guidance.is_empty() {
        assert!(Instant::now() < until, "the node does not drive: {}", node.stderr());
    }
    (node, robot, viewer)
}

fn look(viewer: &mut Robot, seconds: f64) -> Seen {
    serde_json::from_value(viewer.ask(&format!("look {seconds}"))).unwrap()
}

#[test]
fn plan_rollouts_guidance_and_diagnostics_show_what_the_node_does() {
    let stage = Stage::new();
    let (_node, _robot, mut viewer) = driving(&stage);
    // 3.5 s of 20 Hz are 70 plans. A busy machine misses some: then it takes longer.
    let mut seen = look(&mut viewer, 3.5);
    for _ in 0..LOOKS {
        if [seen.plan.len(), seen.rollouts.len(), seen.guidance.len()].into_iter().min() >= Some(ENOUGH) {
            break;
        }
        let more = look(&mut viewer, 3.5);
        seen.plan.extend(more.plan);
        seen.rollouts.extend(more.rollouts);
        seen.guidance.extend(more.guidance);
        seen.diagnostics.extend(more.diagnostics);
    }

    assert!(seen.plan.len() >= ENOUGH, "{} plans", seen.plan.len());
    for plan in &seen.plan {
        assert_eq!((plan.frame.as_str(), plan.stamp), ("odom", plan.stamps[0]));
        let step = |pair: &[f64]| (pair[1] - pair[0] - PERIOD_S).abs();
        // f64 seconds since 1970 resolve 0.2 us.
        assert!(plan.stamps.windows(2).all(|pair| step(pair) < 1e-5), "one pose per tick: {:?}", plan.stamps);
        assert!(distance(plan.points[0], PLACE) < 0.5, "it begins at {:?}", plan.points[0]);
    }
    // As a rule they begin nearer by far.
    let mut begins: Vec<f64> = seen.plan.iter().map(|plan| distance(plan.points[0], PLACE)).collect();
    begins.sort_by(f64::total_cmp);
    assert!(begins[begins.len() / 2] < 0.3, "plans begin so far from the robot: {begins:?}");
    // A plan that knows its goal ends with the stay there, not with what may come after it.
    let at_goal = seen.plan.iter().filter(|plan| distance(*plan.points.last().unwrap(), GOAL) < 0.05).count();
    assert!(at_goal * 2 > seen.plan.len(), "{at_goal} of {} plans end at the goal", seen.plan.len());

    assert!(seen.rollouts.len() >= ENOUGH, "{} drawings", seen.rollouts.len());
    for markers in &seen.rollouts {
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
            // The cheapest candidate is the one that is driven.
            assert_eq!(line.width > green.width - 1e-9, candidate(line) == candidate(green), "{line:?}");
        }
    }

    assert!(seen.guidance.len() >= ENOUGH, "{} statistics", seen.guidance.len());
    for statuses in &seen.guidance {
        let names: Vec<&str> = statuses.iter().map(|status| status.name.as_str()).collect();
        assert_eq!(names, ["cost goal", "cost consistency", "guidance"].map(|part| format!("/df_planner: {part}")));
        let (costs, whole) = (&statuses[..2], &statuses[2]);
        // Shares have four digits.
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
    assert!(seen.guidance.iter().any(|statuses| guided(&statuses[2])), "no plan was guided");

    // 1 Hz, or a little more or less on a busy machine.
    assert!((2..=5).contains(&seen.diagnostics.len()), "{} reports in 3.5 s", seen.diagnostics.len());
    let status = &seen.diagnostics.last().unwrap()[0];
    println!("{status:#?}");
    assert_eq!((status.name.as_str(), status.hardware_id.as_str()), ("/df_planner: planner", "df_planner"));
    assert!(status.message.starts_with(status.text("state")), "{status:?}");
    assert_eq!((status.text("lifecycle"), status.text("device")), ("active", "cpu"));
    assert_eq!(status.number("configured_rate_hz"), 20.0);
    // From the first tick to the last one, a busy machine may have skipped some.
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
    // What the documentation says a user can compare it with.
    let model = root().join("models/point_maze");
    let script = "cat checkpoint.json contract.yaml weights.bpk | sha256sum";
    let output = Command::new("sh").args(["-c", script]).current_dir(model).output().unwrap();
    let expected = String::from_utf8(output.stdout).unwrap();
    assert_eq!(status.text("checkpoint_hash"), &expected[..12]);
}

#[test]
fn the_node_uses_no_topic_or_service_outside_its_namespace() {
    let stage = Stage::new();
    let _node = stage.node_with_parameters("/robot_1");
    let mut viewer = stage.peer("viewer.py", &["--ros-args", "-r", "__ns:=/robot_1"]);
    // What every ROS 2 system has one of; docs/src/how-to/deploy.md lists them.
    let conventions =
        ["/diagnostics", "/rosout", "/parameter_events", "/tf", "/tf_static", "/clock"].map(ToString::to_string);
    // Its entities are advertised one after the other.
    let until = Instant::now() + Duration::from_secs(20);
    let topics = loop {
        let topics: BTreeMap<String, String> = serde_json::from_value(viewer.ask("topics")).unwrap();
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
    let services: Vec<String> = serde_json::from_value(viewer.ask("services")).unwrap();
    assert!(services.contains(&"/robot_1/df_planner/get_state".to_string()), "{services:?}");
    assert_eq!(services.iter().find(|name| !name.starts_with("/robot_1/df_planner/")), None);
}

/// What a view shows: topic, and what it must be.
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
    let stage = Stage::new();
    let (_node, _robot, mut viewer) = driving(&stage);
    let seen = look(&mut viewer, 1.5);
    let statuses: BTreeMap<&str, &Status> =
        seen.guidance.iter().chain(&seen.diagnostics).flatten().map(|status| (status.name.as_str(), status)).collect();
    let topics: BTreeMap<String, String> = serde_json::from_value(viewer.ask("topics")).unwrap();

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
                None => assert_eq!(viewer.ask(&format!("field {kind} {path}")), Value::Bool(true), "{topic}: {path}"),
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

/// The topics and message paths of Foxglove's panels; every panel has its place.
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
