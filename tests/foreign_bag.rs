//! Exchange of bags with the PyPI package `rosbags`, in both directions. Needs no ROS, but a Python with that package:
//! `make setup-tests` installs it.

mod support;

use std::path::Path;
use std::process::Command;

use df_data::{Bag, BagMessage, BagWriter, open_bag};
use df_message::{Definitions, Encoder, Extractor};
use serde_json::Value;
use support::tools::{ROSBAGS, require_tool};

const ODOMETRY: &str = "nav_msgs/msg/Odometry";
const WRENCH: &str = "geometry_msgs/msg/WrenchStamped";
const SCAN: &str = "sensor_msgs/msg/LaserScan";
const JOINTS: &str = "sensor_msgs/msg/JointState";

/// Runs `foreign_bag.py` and parses what it prints.
fn run(python: &Path, verb: &str, bag: &Path, how: &[&str]) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign_bag.py");
    let output = Command::new(python).arg(script).arg(verb).arg(bag).args(how).output().expect("Python starts");
    assert!(output.status.success(), "{}: {}", python.display(), String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("the script prints JSON")
}

fn vector(path: &str) -> Vec<String> {
    ["x", "y", "z"].map(|axis| format!("{path}.{axis}")).into()
}

/// The fields that the script dumps, per topic, in its order.
fn fields(topic: &str) -> (&'static str, Vec<String>) {
    let one = |field: &str| vec![field.to_string()];
    match topic {
        "/odom" => {
            let orientation = [vector("pose.pose.orientation"), one("pose.pose.orientation.w")].concat();
            let pose = [vector("pose.pose.position"), orientation, one("pose.covariance")].concat();
            let twist = [vector("twist.twist.linear"), vector("twist.twist.angular"), one("twist.covariance")].concat();
            (ODOMETRY, [pose, twist].concat())
        }
        "/wrench" => (WRENCH, [vector("wrench.force"), vector("wrench.torque")].concat()),
        "/scan" => {
            let head =
                ["angle_min", "angle_max", "angle_increment", "time_increment", "scan_time", "range_min", "range_max"];
            let slices = ["ranges[0:360:10]", "ranges[90:180:7 of 360]", "ranges[7]", "intensities[0:360]"];
            (SCAN, head.iter().chain(&slices).map(ToString::to_string).collect())
        }
        "/joints" => {
            let names = ["shoulder_pan", "elbow", "wrist/left 1", "gripper.finger"];
            let mut fields = names.map(|name| format!("position[name={name}]")).to_vec();
            fields.extend(["velocity[name=elbow]".into(), "position[0]".into()]);
            (JOINTS, fields)
        }
        other => panic!("the script wrote the topic {other}"),
    }
}

/// The numbers of a dumped message, bit for bit.
fn numbers(dumped: &Value) -> Vec<f64> {
    let values = dumped["values"].as_array().expect("an array");
    values.iter().map(|v| v.as_str().and_then(|v| v.parse().ok()).expect("a number")).collect()
}

fn messages(bag: &dyn Bag) -> Vec<BagMessage> {
    let topics: Vec<&str> = bag.topics().iter().map(|t| t.name.as_str()).collect();
    let mut messages = Vec::new();
    bag.read(&topics, &mut |message| messages.push(message.clone())).expect("the bag is whole");
    messages
}

#[test]
fn every_number_of_an_mcap_bag_that_rosbags_wrote_is_read() {
    let Some(python) = require_tool(&ROSBAGS) else { return };
    for mode in ["none", "file", "message", "storage"] {
        every_number_is_read(&python, &["mcap", mode]);
    }
}

#[cfg(feature = "formats")]
#[test]
fn every_number_of_an_sqlite_bag_that_rosbags_wrote_is_read() {
    let Some(python) = require_tool(&ROSBAGS) else { return };
    for mode in ["none", "file", "message"] {
        every_number_is_read(&python, &["sqlite3", mode]);
    }
}

fn every_number_is_read(python: &Path, how: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("theirs");
    let dumped = run(python, "write", &path, how);
    let dumped = dumped.as_array().expect("an array");
    let bag = open_bag(&path).unwrap();
    let read = messages(&*bag);
    assert_eq!((read.len(), dumped.len()), (100, 100));
    let definitions = bag.definitions();
    for topic in ["/odom", "/wrench", "/scan", "/joints"] {
        let (message_type, fields) = fields(topic);
        let recorded = bag.topics().iter().find(|t| t.name == topic).expect("the topic is recorded");
        assert_eq!(recorded.message_type.as_str(), message_type);
        assert!(recorded.messages.is_none_or(|messages| messages == 25), "{how:?}");
        let extractor = Extractor::new(&definitions.schema(message_type).unwrap(), &fields).unwrap();
        let theirs = dumped.iter().filter(|d| d["topic"] == topic);
        let ours = read.iter().filter(|m| m.topic == topic);
        assert_eq!(ours.clone().count(), 25);
        for (ours, theirs) in ours.zip(theirs) {
            let sample = extractor.extract(&ours.bytes).unwrap();
            assert_eq!(ours.log_ns, theirs["log_ns"]);
            assert_eq!(sample.stamp_ns, theirs["stamp_ns"].as_i64());
            assert_eq!(sample.frame_id.as_deref(), theirs["frame_id"].as_str());
            let expected = numbers(theirs);
            assert_eq!((sample.values.len(), extractor.labels().len()), (expected.len(), expected.len()));
            for ((got, expected), label) in sample.values.iter().zip(&expected).zip(extractor.labels()) {
                assert_eq!(got.to_bits(), expected.to_bits(), "{topic} {label}: {got}, expected {expected}");
            }
        }
    }
}

#[test]
fn rosbags_reads_every_number_of_a_bag_that_was_written_here() {
    let Some(python) = require_tool(&ROSBAGS) else { return };
    let folder = tempfile::tempdir().unwrap();
    // The definitions come from a bag of `rosbags`, so that this test needs no ROS installation.
    run(&python, "write", &folder.path().join("theirs"), &[]);
    let definitions = open_bag(&folder.path().join("theirs")).unwrap().definitions();

    let covariance = |owner: &str| (0..36).map(|i| format!("{owner}.covariance[{i}]")).collect::<Vec<_>>();
    let expand = |fields: Vec<String>| -> Vec<String> {
        let whole = |f: &String| f.strip_suffix(".covariance").map_or(vec![f.clone()], covariance);
        fields.iter().flat_map(whole).collect()
    };
    // The encoder cannot write arrays of dynamic length: those of a scan are empty.
    let scan = fields("/scan").1[..7].to_vec();
    let written = [
        ("/odom", ODOMETRY, expand(fields("/odom").1)),
        ("/robot/wrench", WRENCH, fields("/wrench").1),
        ("/scan", SCAN, scan),
    ];
    let path = folder.path().join("ours");
    let mut writer = BagWriter::create(&path).unwrap();
    let mut expected = Vec::new();
    for (t, (topic, message_type, fields)) in written.iter().enumerate() {
        let encoder = Encoder::new(&definitions.schema(message_type).unwrap(), fields).unwrap();
        let number = writer.topic(topic, message_type, &definitions.text(message_type).unwrap()).unwrap();
        for k in 0..40i64 {
            let (log_ns, stamp_ns) =
                (1_700_000_000_000_000_007 + k * 33_333_333 + t as i64, 1_650_000_000_123_456_789 + k);
            let value =
                |i: usize| (i as f64 + 0.1) * 1.7f64.powi(k as i32 - 20) * if i.is_multiple_of(3) { -1.0 } else { 1.0 };
            let values: Vec<f64> = (0..fields.len()).map(value).collect();
            let frame_id = ["map", "", "frame/ö"][k as usize % 3];
            writer.write(number, log_ns, &encoder.encode(stamp_ns, frame_id, &values).unwrap()).unwrap();
            expected.push((log_ns, *topic, stamp_ns, frame_id, values));
        }
    }
    writer.finish().unwrap();
    expected.sort_by_key(|(log_ns, ..)| *log_ns);

    let dumped = run(&python, "read", &path, &[]);
    let facts = &dumped["facts"];
    assert_eq!((facts["messages"].as_u64(), facts["start_ns"].as_i64()), (Some(120), Some(expected[0].0)));
    // `rosbags` counts the end as one past the last message.
    assert_eq!(facts["end_ns"].as_i64(), Some(expected[119].0 + 1));
    assert_eq!(facts["topics"]["/robot/wrench"], serde_json::json!([WRENCH, 40]));
    let read = dumped["messages"].as_array().expect("an array");
    assert_eq!(read.len(), expected.len());
    for (theirs, (log_ns, topic, stamp_ns, frame_id, values)) in read.iter().zip(&expected) {
        assert_eq!(theirs["topic"], *topic);
        assert_eq!((theirs["log_ns"].as_i64(), theirs["stamp_ns"].as_i64()), (Some(*log_ns), Some(*stamp_ns)));
        assert_eq!(theirs["frame_id"], *frame_id);
        let narrow = |v: &f64| if *topic == "/scan" { f64::from(*v as f32) } else { *v };
        let values: Vec<u64> = values.iter().map(|v| narrow(v).to_bits()).collect();
        assert_eq!(numbers(theirs).iter().map(|v| v.to_bits()).collect::<Vec<_>>(), values, "{topic} at {log_ns}");
    }
}
