//! Recordings for tests and benches: a short drive in every format, and the shipped contract with changes.
#![allow(dead_code, reason = "each test file uses its own part")]

#[cfg(feature = "formats")]
pub mod hdf5;
#[cfg(feature = "formats")]
pub mod lerobot;
#[cfg(feature = "formats")]
pub mod sqlite;

use std::path::{Path, PathBuf};

use df_core::{Bound, Layout, bind};
use df_data::{BagError, BagWriter, DataConfig, Episode, EpisodeReport, SampleSource, read_episodes};
use df_message::{Definitions, Encoder, SchemaDefinitions};

pub const MS: i64 = 1_000_000;
/// A time as recordings store it.
pub const START: i64 = 1_700_000_000_000 * MS;
pub const POINT_MAZE: &str = include_str!("../../config/point_maze.yaml");

pub const HEADER: &str = "===\nMSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\nstring frame_id\n===\n\
    MSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n===\nMSG: p/V\nfloat64 x\nfloat64 y\nfloat64 z\n";

/// The message types of the shipped configuration, reduced to the fields that it uses.
pub fn definitions() -> SchemaDefinitions {
    let odometry = "std_msgs/Header header\nstring child_frame_id\nPC pose\nTC twist\n===\nMSG: nav_msgs/PC\nPose pose\n===\n\
        MSG: nav_msgs/Pose\np/V position\n===\nMSG: nav_msgs/TC\nTwist twist\n===\nMSG: nav_msgs/Twist\np/V linear\n";
    let wrench = "std_msgs/Header header\nW wrench\n===\nMSG: geometry_msgs/W\np/V force\np/V torque\n";
    let pose = "std_msgs/Header header\nPose pose\n===\nMSG: geometry_msgs/Pose\np/V position\n";
    SchemaDefinitions::new([
        ("nav_msgs/msg/Odometry", format!("{odometry}{HEADER}")),
        ("geometry_msgs/msg/WrenchStamped", format!("{wrench}{HEADER}")),
        ("geometry_msgs/msg/PoseStamped", format!("{pose}{HEADER}")),
    ])
}

/// The shipped contract (period 50 ms, ages 100 ms, gap 500 ms) with changes, bound.
pub struct Contract {
    pub config: DataConfig,
    pub bound: Bound,
    pub layout: Layout,
}

impl Contract {
    pub fn new(changes: &[(&str, &str)]) -> Self {
        let mut text = POINT_MAZE.to_string();
        for (from, to) in changes {
            assert!(text.contains(from), "the shipped configuration no longer has `{from}`");
            text = text.replacen(from, to, 1);
        }
        let config = DataConfig::parse(&text, Path::new("c.yaml")).unwrap();
        assert_eq!((config.contract.period_s, config.max_gap_s), (0.05, 0.5));
        let bound = bind(&config.contract, &definitions()).unwrap();
        let layout = Layout::new(config.contract.frame_stack, bound.modalities(&config.contract));
        Self { config, bound, layout }
    }

    pub fn episodes<S: SampleSource + ?Sized>(&self, source: &S) -> Result<(Vec<Episode>, EpisodeReport), BagError> {
        read_episodes(source, &self.config, &self.bound, &self.layout)
    }
}

pub fn encoder(message_type: &str, fields: &[&str]) -> Encoder {
    let fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
    Encoder::new(&definitions().schema(message_type).unwrap(), &fields).unwrap()
}

pub fn odometry(stamp_ns: i64, x: f64) -> Vec<u8> {
    let fields = ["pose.pose.position.x", "pose.pose.position.y", "twist.twist.linear.x", "twist.twist.linear.y"];
    encoder("nav_msgs/msg/Odometry", &fields).encode(stamp_ns, "map", &[x, -x, 10.0 * x, 0.5]).unwrap()
}

pub fn wrench(stamp_ns: i64, x: f64) -> Vec<u8> {
    let fields = ["wrench.force.x", "wrench.force.y"];
    encoder("geometry_msgs/msg/WrenchStamped", &fields).encode(stamp_ns, "map", &[x, 1.0]).unwrap()
}

/// A message: topic, log time and bytes.
pub type Written = (&'static str, i64, Vec<u8>);

pub const ODOM: &str = "/odom";
pub const FORCE: &str = "/force";

pub fn write(directory: &Path, messages: &[Written]) {
    let mut writer = BagWriter::create(directory).unwrap();
    let mut numbers = Vec::new();
    for (name, message_type) in [(ODOM, "nav_msgs/msg/Odometry"), (FORCE, "geometry_msgs/msg/WrenchStamped")] {
        numbers.push((name, writer.topic(name, message_type, &definitions().text(message_type).unwrap()).unwrap()));
    }
    for (topic, log_ns, bytes) in messages {
        let (_, number) = numbers.iter().find(|(name, _)| name == topic).unwrap();
        writer.write(*number, *log_ns, bytes).unwrap();
    }
    writer.finish().unwrap();
}

/// `count` messages of each topic, every 20 ms and every 50 ms.
pub fn drive(count: i64) -> Vec<Written> {
    let odom = (0..count).map(|k| START + 20 * MS * k).map(|t| (ODOM, t, odometry(t, (t - START) as f64 / 1e9)));
    let force = (0..count).map(|k| START + 50 * MS * k).map(|t| (FORCE, t, wrench(t, (t - START) as f64 / 1e9)));
    let mut all: Vec<Written> = odom.chain(force).collect();
    all.sort_by_key(|(_, t, _)| *t);
    all
}

/// Rows of an episode: x, y and their rates; the action. Values that float32 holds exactly.
pub type Row = ([f32; 4], [f32; 2]);

pub const COLUMNS: (&str, &str) = (
    "training:\n",
    "columns:\n  lerobot: {position: ['observation.state[0]', 'observation.state[name=y]'], velocity: ['observation.state[2:4]'], action: [action]}\n  \
     hdf5: {position: ['observations[0:2]'], velocity: ['observations[2:4]'], action: [actions]}\ntraining:\n",
);

pub fn rows(count: usize, seed: f32) -> Vec<Row> {
    let row = |k: usize| {
        let t = k as f32 * 0.37 + seed;
        ([t.sin(), t.cos() * 3.3, t * 1e-3, -t], [t.tan(), seed])
    };
    (0..count).map(row).collect()
}

/// Compresses a file as rosbag2 does and removes the original.
pub fn pack(path: &Path) -> PathBuf {
    let packed = PathBuf::from(format!("{}.zstd", path.display()));
    std::fs::write(&packed, zstd::bulk::compress(&std::fs::read(path).unwrap(), 1).unwrap()).unwrap();
    std::fs::remove_file(path).unwrap();
    packed
}
