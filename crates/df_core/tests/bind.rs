//! Tests of binding a contract to message definitions: the shipped contract binds, and errors name the key.

use std::path::Path;

use df_core::{Contract, bind};
use df_message::SchemaDefinitions;

const POINT_MAZE: &str = include_str!("../../../config/point_maze.yaml");
const HEADER: &str = "===\nMSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\nstring frame_id\n===\nMSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n";
const POINT: &str = "std_msgs/Header header\nfloat64 x\n";

#[test]
fn frame_id_is_refused_for_a_type_without_header() {
    let text = "
period_s: 0.1
frame_stack: 1
observations: {a: {topic: a, type: p/msg/A, fields: [x], max_age_s: 1, frame_id: odom}}
action: {topic: u, type: p/msg/A, fields: [x], min: [-1], max: [1], safe: [0], max_age_s: 1}
";
    let refusal = |definition: &str| {
        let definitions = SchemaDefinitions::new([("p/msg/A", format!("{definition}\n{HEADER}"))]);
        let contract = Contract::parse(text, Path::new("c.yaml")).unwrap();
        bind(&contract, &definitions).map(|_| ()).map_err(|e| e.to_string())
    };
    assert_eq!(
        refusal("float64 x"),
        Err("c.yaml:4: observations.a.frame_id: odom: must be left out: p/msg/A has no header".into())
    );
    assert_eq!(refusal(POINT), Ok(()));
}

/// The types of the shipped configuration, cut to what it needs.
fn maze_definitions() -> SchemaDefinitions {
    let vector = "===\nMSG: p/V\nfloat64 x\nfloat64 y\nfloat64 z\n";
    let odometry = format!(
        "std_msgs/Header header\nPC pose\nTC twist\n{HEADER}===\nMSG: nav_msgs/PC\nPose pose\n===\nMSG: nav_msgs/Pose\np/V position\n\
         ===\nMSG: nav_msgs/TC\nTwist twist\n===\nMSG: nav_msgs/Twist\np/V linear\n{vector}"
    );
    let wrench =
        format!("std_msgs/Header header\nW wrench\n{HEADER}===\nMSG: geometry_msgs/W\np/V force\np/V torque\n{vector}");
    let pose =
        format!("std_msgs/Header header\nPose pose\n{HEADER}===\nMSG: geometry_msgs/Pose\np/V position\n{vector}");
    SchemaDefinitions::new([
        ("nav_msgs/msg/Odometry", odometry),
        ("geometry_msgs/msg/WrenchStamped", wrench),
        ("geometry_msgs/msg/PoseStamped", pose),
    ])
}

fn refusal(from: &str, to: &str) -> String {
    assert!(POINT_MAZE.contains(from), "the shipped configuration no longer has `{from}`");
    let contract = Contract::parse(&POINT_MAZE.replacen(from, to, 1), Path::new("c.yaml")).unwrap();
    bind(&contract, &maze_definitions()).err().unwrap().to_string()
}

#[test]
fn the_shipped_contract_binds() {
    let contract = Contract::parse(POINT_MAZE, Path::new("c.yaml")).unwrap();
    let bound = bind(&contract, &maze_definitions()).unwrap();
    let modalities = bound.modalities(&contract);
    let names: Vec<&str> = modalities.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["action", "position", "velocity"]);
    assert_eq!(modalities[0].1, ["wrench.force.x", "wrench.force.y"]);
    assert_eq!(modalities[1].1, ["pose.pose.position.x", "pose.pose.position.y"]);
    let bytes = bound.action_encoder.encode(5, "base_link", &[1.5, -2.5]).unwrap();
    assert_eq!(bound.action.extract(&bytes).unwrap().values, [1.5, -2.5]);
}

#[test]
fn an_error_names_key_line_value_and_rule() {
    let line = 1 + POINT_MAZE.lines().position(|l| l.contains("fields: [twist")).unwrap();
    let lacking = refusal("twist.twist.linear.y]", "twist.twist.linear.yy]");
    assert!(
        lacking.starts_with(&format!("c.yaml:{line}: observations.velocity.fields[1]: twist.twist.linear.yy: ")),
        "{lacking}"
    );
    assert!(lacking.contains("no field `yy`; it has x, y, z"), "{lacking}");
    let line = 1 + POINT_MAZE.lines().position(|l| l.contains("type: nav_msgs/msg/Odometry")).unwrap();
    let unknown = refusal("type: nav_msgs/msg/Odometry", "type: nav_msgs/msg/Odo");
    assert!(
        unknown.starts_with(&format!("c.yaml:{line}: observations.position.type: nav_msgs/msg/Odo: ")),
        "{unknown}"
    );
    let action = refusal("[wrench.force.x, wrench.force.y]", "[wrench.force.x, sin_cos(wrench.force.y)]");
    assert!(action.contains("action.fields[1]") && action.contains("transform cannot be written"), "{action}");
    let goal = refusal("[pose.position.x, pose.position.y]", "[pose.position.x]");
    assert!(goal.contains("goal.fields") && goal.contains("must give 2 channels") && goal.contains("got 1"), "{goal}");
}
