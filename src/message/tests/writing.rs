//! What is written, what is refused to be written, and the binding of the shipped contract.

use std::path::Path;

use super::*;
use crate::config::Config;

#[test]
fn encoding_sets_fields_and_header_and_leaves_the_rest_zero() {
    let text = "Header header\nuint8 id\nfloat64[3] v\nstring s\nwstring w\nint16[] many\nbool b\nint64 n\nfloat32 f\nP[2] p\n===\nMSG: p/P\nstring s\nfloat64 x\n";
    let fields = ["id", "v[1]", "b", "n", "f", "p[1].x"].map(String::from);
    let encoder = Encoder::new(&schema(text), &fields).unwrap();
    assert_eq!(encoder.labels(), fields);
    let bytes = encoder.encode(-1, "base", &[2.6, 3.5, 1.0, -4.0, 0.1, 6.0]).unwrap();
    // -1 ns is -1 s and 999 999 999 ns; 2.6 is nearest to 3.
    let expected = Writer { padding: 0, ..Writer::new(false) }
        .header(-1, 999_999_999, "base")
        .u8(3)
        .f64s(&[0.0, 3.5, 0.0])
        .string("")
        .u32(0)
        .u32(0);
    let expected = expected.u8(1).i64(-4).f32(0.1).string("").f64(0.0).string("").f64(6.0);
    assert_eq!(bytes, expected.bytes);
    let all = extractor(text, &["id", "v", "b", "n", "f", "p.x"]).extract(&bytes).unwrap();
    assert_eq!(all.values, [3.0, 0.0, 3.5, 0.0, 1.0, -4.0, f64::from(0.1f32), 0.0, 6.0]);
    assert_eq!((all.stamp_ns, all.frame_id.as_deref()), (Some(-1), Some("base")));
}

#[test]
fn arrays_of_varying_length_get_what_the_fields_need() {
    let text = "string[] names\nfloat64[] data\nP[] points\nint8[] rest\n===\nMSG: p/P\nfloat64[] positions\nint8 x\n";
    let fields = ["data[0]", "data[2]", "points[1].positions[1 of 3]"].map(String::from);
    let encoder = Encoder::new(&schema(text), &fields).unwrap();
    let bytes = encoder.encode(0, "", &[1.0, 2.0, 3.0]).unwrap();
    // Three numbers, the second of them not named; two points: the first of no positions, the second of three as stated.
    let expected = Writer { padding: 0, ..Writer::new(false) }.u32(0).u32(3).f64s(&[1.0, 0.0, 2.0]).u32(2);
    let expected = expected.u32(0).u8(0).u32(3).f64s(&[0.0, 3.0, 0.0]).u8(0).u32(0);
    assert_eq!(bytes, expected.bytes);
    let read = extractor(text, &["data[0:3]", "points[1].positions[0:3]"]).extract(&bytes).unwrap();
    assert_eq!(read.values, [1.0, 0.0, 2.0, 0.0, 3.0, 0.0]);
}

#[test]
fn what_cannot_be_encoded_is_refused() {
    let text =
        "Header header\nuint8 id\nint64 n\nuint64 u\nfloat32 f\nfloat64[] many\nfloat64[3] v\nstring[] name\nbool b\n";
    for (field, rule) in [
        ("sin_cos(f)", "a transform cannot be written"),
        ("v[0:3]", "this names 3"),
        ("v", "this names 3"),
        ("many[name=a]", "named by its number"),
        ("many[4000000000]", "too large"),
        ("x", "has no field"),
    ] {
        let error = Encoder::new(&schema(text), &[field.to_string()]).unwrap_err().to_string();
        assert!(error.contains(rule), "{field}: {error}");
    }
    let twice = Encoder::new(&schema(text), &["v[1]".into(), "v[1 of 3]".into()]).unwrap_err().to_string();
    assert!(twice.contains("written twice"), "{twice}");
    let value =
        |field: &str, value: f64| Encoder::new(&schema(text), &[field.to_string()]).unwrap().encode(0, "", &[value]);
    for (field, good, bad) in [
        ("id", 255.4, 255.5),
        ("id", -0.4, -0.6),
        ("n", -9223372036854775808.0, 9223372036854775808.0),
        ("u", 18446744073709549568.0, 18446744073709551616.0),
        ("f", 3.4e38, 3.5e38),
        ("b", 0.9, 2.0),
        ("v[0]", 1e300, f64::NAN),
    ] {
        assert!(value(field, good).is_ok(), "{field} = {good}");
        assert!(matches!(value(field, bad), Err(MessageError::Value { .. })), "{field} = {bad}");
    }
    let encoder = Encoder::new(&schema(text), &["id".into()]).unwrap();
    assert!(matches!(encoder.encode(0, "", &[]), Err(MessageError::ValueCount { expected: 1, got: 0, .. })));
    assert!(matches!(encoder.encode(0, "a\0b", &[0.0]), Err(MessageError::Header { .. })));
    assert!(matches!(encoder.encode(i64::MAX, "", &[0.0]), Err(MessageError::Header { .. })));
    let huge = Encoder::new(&schema("S[4294967295] v\n===\nMSG: p/S\nstring s\n"), &[]).unwrap_err().to_string();
    assert!(huge.contains("too large"), "{huge}");
}

const POINT_MAZE: &str = include_str!("../../../config/point_maze.yaml");

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
    let config = Config::parse(&POINT_MAZE.replacen(from, to, 1), Path::new("c.yaml")).unwrap();
    bind(&config, &maze_definitions()).err().unwrap().to_string()
}

#[test]
fn the_shipped_contract_binds() {
    let config = Config::parse(POINT_MAZE, Path::new("c.yaml")).unwrap();
    let bound = bind(&config, &maze_definitions()).unwrap();
    let modalities = bound.modalities(&config);
    let names: Vec<&str> = modalities.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["action", "position", "velocity"]);
    assert_eq!(modalities[0].1, ["wrench.force.x", "wrench.force.y"]);
    assert_eq!(modalities[1].1, ["pose.pose.position.x", "pose.pose.position.y"]);
    let bytes = bound.action_encoder.encode(5, "base_link", &[1.5, -2.5]).unwrap();
    assert_eq!(bound.action.extract(&bytes).unwrap().values, [1.5, -2.5]);
}

#[test]
fn refusals_of_the_contract_name_key_line_value_and_rule() {
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
