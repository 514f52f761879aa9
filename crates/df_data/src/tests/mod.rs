//! Writer, reader and episodes together, on bags written here: whole ones, cut ones, damaged ones.

mod damage;
mod datasets;
mod episode_definition;
mod frame_cache;
#[allow(unreachable_pub)] // Shared with the tests of other crates.
#[path = "../../../../tests/recordings/mod.rs"]
mod recordings;
#[cfg(feature = "formats")]
mod sqlite;

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::DataConfig;
use df_core::Layout;
use df_message::Definitions;
use recordings::*;

fn bag_of(messages: &[Written]) -> (TempDir, Box<dyn Bag>) {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("bag"), messages);
    let bag = open_bag(&folder.path().join("bag")).unwrap();
    (folder, bag)
}

fn read(bag: &dyn Bag) -> (Vec<BagMessage>, Result<(), BagError>) {
    let mut messages = Vec::new();
    let outcome = bag.read(&[ODOM, FORCE], &mut |message| messages.push(message.clone()));
    (messages, outcome)
}

fn same(got: &[BagMessage], expected: &[Written]) {
    assert_eq!(got.len(), expected.len());
    for (got, (topic, log_ns, bytes)) in got.iter().zip(expected) {
        assert_eq!((got.topic.as_str(), got.log_ns, &got.bytes), (*topic, *log_ns, bytes));
    }
}

#[test]
fn a_written_bag_is_read_as_directory_as_file_and_as_several_files() {
    let messages = drive(500);
    let (folder, bag) = bag_of(&messages);
    let (got, outcome) = read(&*bag);
    outcome.unwrap();
    same(&got, &messages);
    let seen: Vec<(&str, &str, Option<u64>)> =
        bag.topics().iter().map(|t| (t.name.as_str(), t.message_type.as_str(), t.messages)).collect();
    assert_eq!(
        seen,
        [(FORCE, "geometry_msgs/msg/WrenchStamped", Some(500)), (ODOM, "nav_msgs/msg/Odometry", Some(500))]
    );
    let own = bag.definitions().schema("nav_msgs/msg/Odometry").unwrap();
    assert_eq!(own, definitions().schema("nav_msgs/msg/Odometry").unwrap());
    // Only what is asked for is given.
    let mut count = 0;
    bag.read(&[FORCE], &mut |message| count += usize::from(message.topic == FORCE)).unwrap();
    bag.read(&["/none"], &mut |_| count += 1000).unwrap();
    assert_eq!(count, 500);

    let file = folder.path().join("bag/bag_0.mcap");
    same(&read(&*open_bag(&file).unwrap()).0, &messages);
    // Two files without metadata.yaml are one recording.
    let several = folder.path().join("several");
    std::fs::create_dir(&*several).unwrap();
    for name in ["x_2.mcap", "x_10.mcap"] {
        std::fs::copy(&file, several.join(name)).unwrap();
    }
    let several = open_bag(&several).unwrap();
    assert_eq!(several.topics()[0].messages, Some(1000));
    same(&read(&*several).0, &[messages.clone(), messages].concat());
}

#[test]
fn an_unfinished_bag_has_a_partial_name_and_no_bag_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("deep/bag");
    let writer = BagWriter::create(&place).unwrap();
    assert!(!place.exists());
    writer.finish().unwrap();
    let mut names: Vec<_> = std::fs::read_dir(&place).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["bag_0.mcap", "metadata.yaml"]);
    assert_eq!(std::fs::read_dir(folder.path().join("deep")).unwrap().count(), 1);
    assert!(open_bag(&place).unwrap().topics().is_empty());
    assert!(matches!(BagWriter::create(&place), Err(BagError::Exists { .. })));

    let mut writer = BagWriter::create(&folder.path().join("other")).unwrap();
    let topic = writer.topic("/a", "p/msg/A", "int8 x\n").unwrap();
    assert!(matches!(writer.topic("/a", "p/msg/A", "int8 x\n"), Err(BagError::Unwritable { .. })));
    assert!(matches!(writer.write(topic, -1, &[]), Err(BagError::Unwritable { .. })));
    assert!(matches!(writer.write(topic + 1, 0, &[]), Err(BagError::Unwritable { .. })));
}

/// The same messages in a bare file with other options.
fn bare(folder: &Path, options: mcap::WriteOptions, messages: &[Written]) -> PathBuf {
    let path = folder.join("bare.mcap");
    let mut writer = options.create(std::fs::File::create(&path).unwrap()).unwrap();
    let schema = |writer: &mut mcap::Writer<std::fs::File>, name: &str| {
        writer.add_schema(name, "ros2msg", definitions().text(name).unwrap().as_bytes()).unwrap()
    };
    let (odom, force) =
        (schema(&mut writer, "nav_msgs/msg/Odometry"), schema(&mut writer, "geometry_msgs/msg/WrenchStamped"));
    let odom = writer.add_channel(odom, ODOM, "cdr", &Default::default()).unwrap();
    let force = writer.add_channel(force, FORCE, "cdr", &Default::default()).unwrap();
    writer.add_channel(0, "/json", "json", &Default::default()).unwrap();
    for (topic, time, bytes) in messages {
        let (channel_id, time) = (if *topic == ODOM { odom } else { force }, *time as u64);
        let header = mcap::records::MessageHeader { channel_id, sequence: 0, log_time: time, publish_time: time };
        writer.write_to_known_channel(&header, bytes).unwrap();
    }
    writer.finish().unwrap();
    path
}

#[test]
fn every_layout_of_a_file_is_read() {
    use mcap::{Compression, WriteOptions};
    let messages = drive(300);
    let small = || WriteOptions::new().chunk_size(Some(4096));
    for (name, options) in [
        ("zstd", small().compression(Some(Compression::Zstd))),
        ("lz4", small().compression(Some(Compression::Lz4))),
        ("plain chunks", small().compression(None)),
        ("no chunks", WriteOptions::new().use_chunks(false)),
        ("no summary", small().emit_summary_records(false).emit_summary_offsets(false)),
        ("no statistics", small().emit_statistics(false)),
        ("no checksums", small().calculate_chunk_crcs(false)),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let bag = open_bag(&bare(folder.path(), options, &messages)).unwrap();
        let topics: Vec<(&str, Option<u64>)> = bag.topics().iter().map(|t| (t.name.as_str(), t.messages)).collect();
        assert_eq!(topics, [(FORCE, Some(300)), (ODOM, Some(300))], "{name}");
        let (got, outcome) = read(&*bag);
        assert!(outcome.is_ok(), "{name}");
        same(&got, &messages);
    }
}

#[test]
fn a_recording_that_was_cut_off_gives_everything_up_to_the_cut() {
    use mcap::{Compression, WriteOptions};
    let messages = drive(300);
    for compression in [None, Some(Compression::Zstd)] {
        let folder = tempfile::tempdir().unwrap();
        let path =
            bare(folder.path(), WriteOptions::new().chunk_size(Some(1 << 14)).compression(compression), &messages);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let bag = open_bag(&path).unwrap();
        assert_eq!(bag.topics().len(), 2);
        let (got, outcome) = read(&*bag);
        assert!(
            matches!(&outcome, Err(BagError::Unfinished { path: p, at: Location::Byte(offset) }) if *p == path && *offset > 8),
            "{outcome:?}"
        );
        assert!(got.len() > 100 && got.len() < 500, "{}", got.len());
        same(&got, &messages[..got.len()]);
        let (episodes, report) = Contract::new(&[]).episodes(&*bag).unwrap();
        assert!(report.notices[0].contains("was cut off here"), "{:?}", report.notices);
        assert!(episodes[0].frames.len() > 10);
    }
}

#[test]
fn damage_is_an_error_with_file_and_offset() {
    let folder = tempfile::tempdir().unwrap();
    for compression in [None, Some(mcap::Compression::Zstd)] {
        let path = bare(folder.path(), mcap::WriteOptions::new().compression(compression), &drive(300));
        let mut bytes = std::fs::read(&path).unwrap();
        let place = bytes.len() / 3;
        bytes[place] ^= 0x10;
        std::fs::write(&path, bytes).unwrap();
        let (got, outcome) = read(&*open_bag(&path).unwrap());
        // The chunk's checksum is checked before its first message is given.
        assert!(got.is_empty());
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("bare.mcap, byte ") && error.contains("damaged"), "{error}");
    }
}

#[test]
fn episodes_have_the_frames_that_the_arithmetic_says() {
    let (_folder, bag) = bag_of(&drive(100));
    let (episodes, report) = Contract::new(&[]).episodes(&*bag).unwrap();
    let [episode] = episodes.as_slice() else { panic!("{} episodes", episodes.len()) };
    assert_eq!((report.messages, report.refused, report.splits_at_gaps, report.splits_at_jumps), (200, 0, 0, 0));
    assert_eq!(episode.start_ns, START);
    // Odometry ends at 99 * 20 = 1980 ms and stays fresh until 2080 ms: ticks 0, 50, ..., 2050 ms are 42.
    assert_eq!(episode.frames.len(), 42);
    // No command before the first tick.
    assert_eq!(episode.frames[0].present, [false, true, true]);
    for (k, frame) in episode.frames.iter().enumerate().skip(1) {
        let tick = 0.05 * k as f64;
        // The newest odometry is at most 20 ms old: floor(50 k / 20) * 20 ms, at most 1980 ms.
        let seen = (50 * k / 20 * 20).min(1980) as f64 / 1e3;
        // The command of (tick - 50 ms, tick] was sent at tick - 50 ms, with that time as its value.
        let expected = [tick - 0.05, 1.0, seen, -seen, 10.0 * seen, 0.5].map(|v| v as f32);
        for (c, (got, expected)) in frame.values.iter().zip(expected).enumerate() {
            assert!((got - expected).abs() < 1e-6, "frame {k}, channel {c}: {got}, expected {expected}");
        }
        assert_eq!(frame.present, [true; 3]);
    }
}

#[test]
fn episodes_split_at_gaps_of_required_groups_and_at_jumps() {
    let at = |ms: i64| START + ms * MS;
    let odom = |ms: i64| (ODOM, at(ms), odometry(at(ms), ms as f64));
    let force = (FORCE, at(0), wrench(at(0), 1.0));
    // 0..=400, silence of 600 ms, 1000..=1200.
    let gap: Vec<Written> = (0..=20).map(|k| odom(20 * k)).chain((50..=60).map(|k| odom(20 * k))).collect();
    let (_folder, bag) = bag_of(&[vec![force.clone()], gap].concat());
    let (episodes, report) = Contract::new(&[]).episodes(&*bag).unwrap();
    assert_eq!((report.splits_at_gaps, report.splits_at_jumps), (1, 0));
    // Fresh for 100 ms after the last sample: ticks 0..=500 are 11, ticks 1000..=1300 are 7.
    let seen: Vec<(i64, usize)> = episodes.iter().map(|e| ((e.start_ns - START) / MS, e.frames.len())).collect();
    assert_eq!(seen, [(0, 11), (1000, 7)]);

    // A silence of 480 ms is no gap: the frames in it are missing, 550..=850 of 0..=980.
    let short: Vec<Written> = (0..=22).map(|k| odom(20 * k)).chain((46..=49).map(|k| odom(20 * k))).collect();
    let (_folder, bag) = bag_of(&[vec![force.clone()], short].concat());
    let (episodes, _) = Contract::new(&[]).episodes(&*bag).unwrap();
    let missing: Vec<usize> = (0..episodes[0].frames.len()).filter(|&k| !episodes[0].frames[k].present[1]).collect();
    // 440 + 100 = 540 is the last fresh moment; 920 is the next sample.
    assert_eq!((episodes.len(), missing), (1, (11..=18).collect()));

    // Time starts again, as when a simulator is reset; the log time goes on.
    let log = |offset: i64, (topic, t, bytes): Written| (topic, t + offset * MS, bytes);
    let first: Vec<Written> = (0..=20).map(|k| odom(20 * k)).collect();
    let second: Vec<Written> = (0..=30).map(|k| log(1000, odom(20 * k))).collect();
    let (_folder, bag) = bag_of(&[vec![force.clone()], first.clone(), vec![log(1000, force.clone())], second].concat());
    let (episodes, report) = Contract::new(&[]).episodes(&*bag).unwrap();
    assert_eq!((report.splits_at_gaps, report.splits_at_jumps), (0, 1));
    assert_eq!(episodes.iter().map(|e| e.frames.len()).collect::<Vec<_>>(), [11, 15]);

    // Disorder of up to a period is sorted.
    let mut swapped = first.clone();
    swapped.swap(5, 7);
    swapped.swap(10, 12);
    let (_a, sorted) = bag_of(&[vec![force.clone()], first].concat());
    let (_b, swapped) = bag_of(&[vec![force], swapped].concat());
    let contract = Contract::new(&[]);
    assert_eq!(contract.episodes(&*swapped).unwrap(), contract.episodes(&*sorted).unwrap());
}

#[test]
fn messages_that_cannot_be_decoded_are_counted_unless_all_are() {
    let mut messages = drive(100);
    for (i, (_, _, bytes)) in messages.iter_mut().filter(|(topic, ..)| *topic == ODOM).enumerate() {
        if i % 10 == 3 {
            bytes.truncate(30);
        }
    }
    let (_folder, bag) = bag_of(&messages);
    let (episodes, report) = Contract::new(&[]).episodes(&*bag).unwrap();
    assert_eq!((episodes.len(), report.refused, report.reasons.len()), (1, 10, 5));
    assert!(report.reasons[0].starts_with("/odom: nav_msgs/msg/Odometry, byte "), "{}", report.reasons[0]);

    messages.iter_mut().filter(|(topic, ..)| *topic == FORCE).for_each(|(_, _, bytes)| bytes.truncate(3));
    let (_folder, bag) = bag_of(&messages);
    let error = Contract::new(&[]).episodes(&*bag).unwrap_err().to_string();
    assert!(error.contains("topic `/force`: not one of its 100 messages"), "{error}");
}

#[test]
fn topics_that_do_not_fit_are_refused_and_optional_ones_may_lack() {
    let (_folder, bag) = bag_of(&drive(100));
    let refusal = |changes: &[(&str, &str)]| Contract::new(changes).episodes(&*bag).unwrap_err().to_string();
    let missing = refusal(&[("topic: force", "topic: cmd")]);
    assert!(missing.contains("topic `cmd`") && missing.contains("/force") && missing.contains("/odom"), "{missing}");
    let wrong = refusal(&[("topic: force", "topic: odom")]);
    assert!(wrong.contains("expected type geometry_msgs/msg/WrenchStamped, got nav_msgs/msg/Odometry"), "{wrong}");
    // The second group, on a topic that the bag lacks.
    let second = "  velocity:\n    topic: odom";
    assert!(refusal(&[(second, "  velocity:\n    topic: imu")]).contains("topic `imu`"));
    let optional = [(second, "  velocity:\n    required: false\n    topic: imu")];
    let (episodes, report) = Contract::new(&optional).episodes(&*bag).unwrap();
    assert_eq!(episodes[0].frames.len(), 42);
    assert!(episodes[0].frames.iter().skip(1).all(|f| f.present == [true, true, false]));
    assert!(report.notices[0].contains("group `velocity` is missing throughout"), "{:?}", report.notices);
}
