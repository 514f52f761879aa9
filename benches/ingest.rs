//! Times reading of recordings, beside the Python package `rosbags` on the same files, and measures the memory of a
//! large one.
//!
//! ```text
//! . .ros/env.sh && cargo bench --bench ingest      # ratios; needs DF_TEST_PYTHON
//! DF_INGEST_GB=10 cargo bench --bench ingest       # a bag of that size in each storage: memory, inspection
//! ```
//! `DF_INGEST_DIR`: the folder for the files, which are removed. Default: the folder for temporary files.

#[path = "../tests/recordings/mod.rs"]
mod recordings;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use df_data::inspect::inspect;
use df_data::{BagWriter, DataConfig, Input, open_bag, open_bound, read_frames};
use df_message::{AmentDefinitions, Definitions, Encoder};
use df_planner::config::Config;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use recordings::sqlite::SqliteWriter;
use recordings::{MS, POINT_MAZE, START};

/// Messages of the bags that are compared.
const MESSAGES: u64 = 200_000;
/// Readings of each file; the fastest counts.
const ROUNDS: usize = 3;
/// Odometry has 1 kHz; every fifth message is a command.
const COMMAND_EVERY: u64 = 5;
/// Maximum resident memory while ten gigabytes are read, bytes.
const MAX_MEMORY: u64 = 1 << 30;

fn main() {
    // `cargo test --benches` runs this, too, without the flag.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let folder = match std::env::var_os("DF_INGEST_DIR") {
        Some(folder) => tempfile::tempdir_in(folder),
        None => tempfile::tempdir(),
    };
    let folder = folder.expect("a folder for the bags");
    let gigabytes = std::env::var("DF_INGEST_GB").ok().map(|text| text.parse::<f64>().expect("a number"));
    let config = Config::parse(POINT_MAZE, Path::new("point_maze.yaml")).expect("the shipped configuration").data();
    for storage in ["mcap", "sqlite3"] {
        let path = folder.path().join(storage);
        let written = Instant::now();
        let size = write(&path, storage, gigabytes.map(|gigabytes| (gigabytes * 1e9) as u64));
        println!("{storage}: {} MB, written in {:.0} s", size / 1_000_000, written.elapsed().as_secs_f64());
        match gigabytes {
            Some(_) => large(&config, &path),
            None => compare(&config, &path),
        }
        std::fs::remove_dir_all(&path).expect("the bag is removed");
    }
}

/// Messages like those of real robots: odometry with all covariances (720 bytes), and wrenches.
struct Messages {
    odometry: Encoder,
    wrench: Encoder,
    rng: ChaCha8Rng,
}

impl Messages {
    const TOPICS: [(&'static str, &'static str); 2] =
        [("/odom", "nav_msgs/msg/Odometry"), ("/force", "geometry_msgs/msg/WrenchStamped")];

    fn new(installed: &AmentDefinitions) -> Self {
        let encoder = |message_type: &str, fields: Vec<String>| {
            Encoder::new(&installed.schema(message_type).expect("a sourced ROS: . .ros/env.sh"), &fields)
                .expect("fields")
        };
        let axes = |path: &str| ["x", "y", "z"].map(|axis| format!("{path}.{axis}")).to_vec();
        let covariance = |owner: &str| (0..36).map(|i| format!("{owner}.covariance[{i}]")).collect::<Vec<_>>();
        let odometry = [
            axes("pose.pose.position"),
            axes("twist.twist.linear"),
            axes("twist.twist.angular"),
            covariance("pose"),
            covariance("twist"),
        ];
        Self {
            odometry: encoder(Self::TOPICS[0].1, odometry.concat()),
            wrench: encoder(Self::TOPICS[1].1, axes("wrench.force")),
            rng: ChaCha8Rng::seed_from_u64(7),
        }
    }

    /// Topic, time and bytes of message `number`.
    fn message(&mut self, number: u64) -> (usize, i64, Vec<u8>) {
        let time = START + number as i64 * MS;
        let topic = usize::from(number.is_multiple_of(COMMAND_EVERY));
        let (encoder, width) = if topic == 0 { (&self.odometry, 81) } else { (&self.wrench, 3) };
        let values: Vec<f64> = (0..width).map(|_| self.rng.random_range(-1.0..1.0)).collect();
        (topic, time, encoder.encode(time, "map", &values).expect("finite values"))
    }
}

/// Writes a bag of [`MESSAGES`], or of `size` bytes; returns its size in bytes.
fn write(path: &Path, storage: &str, size: Option<u64>) -> u64 {
    let installed = AmentDefinitions::from_env();
    let mut messages = Messages::new(&installed);
    let text = |message_type: &str| installed.text(message_type).expect("definitions");
    let (mut number, mut bytes) = (0, 0);
    let mut each = |write: &mut dyn FnMut(usize, i64, &[u8])| {
        while size.map_or(number < MESSAGES, |size| bytes < size) {
            let (topic, time, message) = messages.message(number);
            write(topic, time, &message);
            number += 1;
            bytes += message.len() as u64;
        }
    };
    if storage == "mcap" {
        let mut writer = BagWriter::create(path).expect("a bag");
        for (topic, message_type) in Messages::TOPICS {
            writer.topic(topic, message_type, &text(message_type)).expect("a topic");
        }
        each(&mut |topic, time, message| writer.write(topic, time, message).expect("the message is written"));
        writer.finish().expect("the bag is finished");
    } else {
        std::fs::create_dir(path).expect("a folder");
        let topics = Messages::TOPICS.map(|(topic, message_type)| (topic, message_type, Some(text(message_type))));
        let mut writer = SqliteWriter::create(&path.join("bag_0.db3"), &topics);
        each(&mut |topic, time, message| writer.write(topic, time, message));
        writer.finish();
        // `rosbags` requires a metadata.yaml.
        std::fs::write(path.join("metadata.yaml"), metadata(number)).expect("the metadata is written");
    }
    let files =
        std::fs::read_dir(path).expect("the bag").map(|entry| entry.and_then(|e| e.metadata()).map_or(0, |m| m.len()));
    files.sum()
}

fn metadata(messages: u64) -> String {
    let commands = messages.div_ceil(COMMAND_EVERY);
    let topics = Messages::TOPICS.iter().zip([messages - commands, commands]).map(|((topic, message_type), count)| {
        format!(
            "    - topic_metadata:\n        name: {topic}\n        type: {message_type}\n        serialization_format: cdr\n        \
             offered_qos_profiles: []\n        type_description_hash: \"\"\n      message_count: {count}\n"
        )
    });
    format!(
        "rosbag2_bagfile_information:\n  version: 9\n  storage_identifier: sqlite3\n  duration:\n    nanoseconds: {}\n  \
         starting_time:\n    nanoseconds_since_epoch: {START}\n  message_count: {messages}\n  topics_with_message_count:\n{}  \
         compression_format: \"\"\n  compression_mode: \"\"\n  relative_file_paths:\n    - bag_0.db3\n  files:\n    \
         - path: bag_0.db3\n      starting_time:\n        nanoseconds_since_epoch: {START}\n      duration:\n        \
         nanoseconds: {}\n      message_count: {messages}\n  custom_data: ~\n  ros_distro: jazzy\n",
        messages as i64 * MS,
        topics.collect::<String>(),
        messages as i64 * MS
    )
}

/// Processor time of this process, s.
fn processor_of_all_s() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    // Fields 14 and 15, in ticks of 10 ms; the name before them may hold spaces.
    let after_name = text.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|text| text.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

/// Messages, seconds by the clock, and seconds of processor time of all threads, of reading a bag.
///
/// Processor time excludes other programs. Time by the clock shows that a second thread reads ahead.
type Taken = (u64, f64, f64);

/// Processor time of all threads, s.
fn processor_s() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").expect("Linux");
    let of_thread = |path: std::path::PathBuf| std::fs::read_to_string(path.join("schedstat")).unwrap_or_default();
    let texts = threads.map(|thread| of_thread(thread.expect("a thread").path()));
    texts.map(|text| text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).map_or(0.0, |ns| ns / 1e9)).sum()
}

/// The minimum of either time over the rounds.
fn fastest(mut read: impl FnMut() -> u64) -> Taken {
    let mut min = (0, f64::INFINITY, f64::INFINITY);
    for _ in 0..ROUNDS {
        let (clock, processor) = (Instant::now(), processor_s());
        min.0 = read();
        min.1 = min.1.min(clock.elapsed().as_secs_f64());
        min.2 = min.2.min(processor_s() - processor);
    }
    min
}

fn compare(config: &DataConfig, path: &Path) {
    let ours = [
        fastest(|| {
            let mut count = 0;
            open_bag(path).expect("a bag").read(&["/odom", "/force"], &mut |_| count += 1).expect("a whole bag");
            count
        }),
        fastest(|| {
            let mut frames = 0;
            let opened = open_bound(config, path).expect("the contract fits");
            let report = read_frames(&*opened.source, config, &opened.bound, &opened.layout, &mut |_| frames += 1)
                .expect("a whole bag");
            assert!(frames > 1000 && report.refused == 0, "{frames} frames");
            report.messages
        }),
    ];
    let python = std::env::var_os("DF_TEST_PYTHON").expect("DF_TEST_PYTHON: . .ros/env.sh");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/ingest.py");
    let output = Command::new(python).arg(script).arg(path).arg(ROUNDS.to_string()).output().expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs: Vec<Taken> = serde_json::from_slice(&output.stdout).expect("JSON");
    for (what, ours, theirs) in [
        ("messages as bytes", ours[0], theirs[0]),
        ("to frames, theirs to objects", ours[1], theirs[1]),
        ("to frames, theirs as bytes", ours[1], theirs[0]),
    ] {
        assert_eq!(ours.0, theirs.0);
        let compared = |name: &str, ours_s: f64, theirs_s: f64| {
            let (ours, theirs) = (ours.0 as f64 / ours_s, theirs.0 as f64 / theirs_s);
            println!("  {what}, {name}: {ours:.0}/s, rosbags {theirs:.0}/s, ratio {:.1}", ours / theirs);
        };
        compared("by the clock", ours.1, theirs.1);
        compared("by processor time", ours.2, theirs.2);
    }
}

fn large(config: &DataConfig, path: &Path) {
    let input = [Input { path: path.into(), weight: 1.0 }];
    for (what, config) in [("all topics", None), ("against the contract", Some(config))] {
        let (start, processor) = (Instant::now(), processor_of_all_s());
        let found = inspect(&input, config).expect("a whole bag");
        let (seconds, processor) = (start.elapsed().as_secs_f64(), processor_of_all_s() - processor);
        let charts = found.pictures.distributions.len();
        println!(
            "  inspected, {what}: {seconds:.1} s, {processor:.1} s of processor time in all threads, {charts} channels change"
        );
    }
    let start = Instant::now();
    let mut frames = 0u64;
    let opened = open_bound(config, path).expect("the contract fits");
    let report =
        read_frames(&*opened.source, config, &opened.bound, &opened.layout, &mut |_| frames += 1).expect("a bag");
    let seconds = start.elapsed().as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")).and_then(|line| line.trim().strip_suffix(" kB"));
    let peak = peak.and_then(|text| text.parse::<u64>().ok()).expect("VmHWM") << 10;
    println!(
        "  {} messages to {frames} frames in {seconds:.0} s ({:.0}/s); at most {} MB resident in this process, writing included",
        report.messages,
        report.messages as f64 / seconds,
        peak >> 20
    );
    assert!(peak < MAX_MEMORY, "{peak} bytes resident");
}
