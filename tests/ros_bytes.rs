//! Tests the decoder and the encoder against ROS: rclpy serializes messages for one and deserializes those of the
//! other. Needs a sourced ROS 2 (`make test` provisions one): its `.msg` files, and a `python3` that has rclpy.
#![cfg(feature = "ros")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use df_message::{AmentDefinitions, Definitions, Encoder, Extractor};
use serde_json::{Value, json};

/// Runs `ros_bytes.py` and parses what it prints.
fn python(verb: &str, input: &Value) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ros_bytes.py");
    let python = std::env::var_os("DF_TEST_PYTHON").expect("DF_TEST_PYTHON is set: run `make test`");
    let mut child = Command::new(python)
        .arg(script)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("DF_TEST_PYTHON starts");
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let hint = "is a ROS 2 with rclpy sourced? `make test` sets one up";
    assert!(output.status.success(), "{hint}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("the script prints JSON")
}

fn numbers(values: &Value) -> Vec<f64> {
    let values = values.as_array().expect("an array");
    values.iter().map(|v| v.as_str().and_then(|v| v.parse().ok()).expect("a number")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

#[test]
fn numbers_are_extracted_from_messages_that_rclpy_serialized() {
    let definitions = AmentDefinitions::from_env();
    let dumped = python("serialize", &Value::Null);
    let dumped = dumped.as_array().unwrap();
    assert_eq!(dumped.len(), 300);
    for message in dumped {
        let message_type = message["type"].as_str().unwrap();
        let fields: Vec<String> = serde_json::from_value(message["fields"].clone()).unwrap();
        let extractor = Extractor::new(&definitions.schema(message_type).unwrap(), &fields).unwrap();
        let sample = extractor.extract(&bytes(message["hex"].as_str().unwrap())).unwrap();
        assert_eq!(sample.values, numbers(&message["values"]), "{message_type}");
    }
}

#[test]
fn rclpy_deserializes_messages_that_were_encoded_here() {
    let definitions = AmentDefinitions::from_env();
    let cases: [(&str, &[&str], &[f64]); 4] = [
        (
            "geometry_msgs/msg/WrenchStamped",
            &["wrench.force.x", "wrench.force.y", "wrench.torque.z"],
            &[1.5, -0.1, 1e-300],
        ),
        ("geometry_msgs/msg/TwistStamped", &["twist.linear.x", "twist.angular.z"], &[0.3, -0.7]),
        ("nav_msgs/msg/Odometry", &["pose.covariance[35]", "twist.twist.linear.y"], &[5.0, 6.0]),
        // Only zeros and empty arrays and strings.
        ("sensor_msgs/msg/BatteryState", &["voltage", "power_supply_health", "present"], &[1.25, 2.0, 1.0]),
    ];
    let (stamp_ns, frame_ids) = (1_700_000_000_123_456_789, ["", "map", "frame/ö"]);
    let mut input = Vec::new();
    let mut expected = Vec::new();
    for (message_type, fields, values) in cases {
        let schema = definitions.schema(message_type).unwrap();
        let fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
        for frame_id in frame_ids {
            let bytes = Encoder::new(&schema, &fields).unwrap().encode(stamp_ns, frame_id, values).unwrap();
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            input.push(json!([message_type, hex]));
            let mut set: Vec<f64> = values.to_vec();
            set.sort_by(f64::total_cmp);
            expected.push((frame_id, set));
        }
    }
    let dumped = python("deserialize", &Value::Array(input));
    for (theirs, (frame_id, set)) in dumped.as_array().unwrap().iter().zip(expected) {
        assert_eq!((theirs["stamp_ns"].as_i64(), theirs["frame_id"].as_str()), (Some(stamp_ns), Some(frame_id)));
        let mut seen: Vec<f64> = numbers(&theirs["values"]).into_iter().filter(|&v| v != 0.0).collect();
        seen.sort_by(f64::total_cmp);
        assert_eq!(seen, set);
    }
}
