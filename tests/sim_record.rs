//! `df_sim record` as a program. The PyPI package `rosbags` reads the same numbers from its rosbag2 recording.

mod support;

use std::path::Path;
use std::process::Command;

use df_data::open_bag;
use df_message::{Definitions, Extractor};
use support::tools::{ROSBAGS, require_tool};

/// Prints type, stamps and numbers per topic; numbers as `repr`, which names one float exactly.
const READ: &str = "
import json, pathlib, sys
from rosbags.highlevel import AnyReader
seen = {}
with AnyReader([pathlib.Path(sys.argv[1])]) as reader:
    for connection, stamp, raw in reader.messages():
        m = reader.deserialize(raw, connection.msgtype)
        if connection.topic == '/odom':
            assert (m.header.frame_id, m.child_frame_id) == ('map', 'base_link')
            assert m.pose.pose.orientation.w == 1.0 and not m.pose.covariance.any()
            numbers = [m.pose.pose.position.x, m.pose.pose.position.y, m.twist.twist.linear.x, m.twist.twist.linear.y]
        elif connection.topic == '/force':
            numbers = [m.wrench.force.x, m.wrench.force.y]
        else:
            numbers = [m.pose.position.x, m.pose.position.y]
        own = m.header.stamp.sec * 10**9 + m.header.stamp.nanosec
        assert own == stamp
        t = seen.setdefault(connection.topic, {'type': connection.msgtype, 'rows': []})
        t['rows'].append([own, *map(repr, numbers)])
print(json.dumps(seen))
";

fn record(out: &Path, seed: &str) -> std::process::Output {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/point_maze.yaml");
    Command::new(env!("CARGO_BIN_EXE_df_sim"))
        .args(["record", "--minutes", "0.2", "--episode-s", "5", "--seed", seed, "--out"])
        .arg(out)
        .arg("--config")
        .arg(config)
        .output()
        .unwrap()
}

#[test]
fn the_package_rosbags_reads_the_same_numbers_from_a_recording_of_df_sim() {
    let Some(python) = require_tool(&ROSBAGS) else { return };
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("bag");
    let output = record(&directory, "5");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let output = Command::new(python).args(["-c", READ]).arg(&directory).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();

    let bag = open_bag(&directory).unwrap();
    let definitions = bag.definitions();
    let cases: [(&str, &str, &[&str]); 3] = [
        (
            "/odom",
            "nav_msgs/msg/Odometry",
            &["pose.pose.position.x", "pose.pose.position.y", "twist.twist.linear.x", "twist.twist.linear.y"],
        ),
        ("/force", "geometry_msgs/msg/WrenchStamped", &["wrench.force.x", "wrench.force.y"]),
        ("/goal", "geometry_msgs/msg/PoseStamped", &["pose.position.x", "pose.position.y"]),
    ];
    for (topic, message_type, fields) in cases {
        assert_eq!(theirs[topic]["type"], message_type);
        let fields: Vec<String> = fields.iter().map(|field| (*field).into()).collect();
        let extractor = Extractor::new(&definitions.schema(message_type).unwrap(), &fields).unwrap();
        let mut ours = Vec::new();
        bag.read(&[topic], &mut |message| ours.push(extractor.extract(&message.bytes).unwrap())).unwrap();
        let rows = theirs[topic]["rows"].as_array().unwrap();
        assert_eq!(rows.len(), ours.len(), "{topic}");
        // 0.2 minutes at 100 Hz.
        assert!(topic == "/goal" || ours.len() == 1200, "{topic}: {}", ours.len());
        for (row, sample) in rows.iter().zip(&ours) {
            assert_eq!(row[0].as_i64(), sample.stamp_ns);
            for (text, value) in row.as_array().unwrap()[1..].iter().zip(&sample.values) {
                assert_eq!(text.as_str().unwrap().parse::<f64>().unwrap(), *value, "{topic}: {text}");
            }
        }
    }
}

#[test]
fn recording_into_an_existing_directory_is_refused_and_leaves_it_empty() {
    let folder = tempfile::tempdir().unwrap();
    let output = record(folder.path(), "5");
    assert!(!output.status.success());
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.contains(&folder.path().display().to_string()), "{message}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
