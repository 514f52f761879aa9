//! `df_train inspect` and `df_train init` on valid and invalid recordings of many kinds: the reports, and that the
//! configuration of `init` trains.

mod recordings;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use df_core::map::OccupancyGrid;
use df_data::DataConfig;
use df_data::inspect::{Report, WarningKind, coverage_map, inspect};
use df_data::{BagWriter, Input};
use df_message::{Definitions, Encoder, SchemaDefinitions};
use df_planner::config::Config;
use recordings::{FORCE, HEADER, MS, ODOM, START, drive, odometry, wrench, write};
use support::contract::ContractYaml;
use support::point_maze;

fn df_train(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_df_train")).args(arguments).env("AMENT_PREFIX_PATH", "").output().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn looked_at(path: &Path, config: Option<&DataConfig>) -> Report {
    inspect(&[Input { path: path.into(), weight: 1.0 }], config).unwrap()
}

/// The shipped contract without its goal, because the bags here hold no goal.
fn contract() -> DataConfig {
    let yaml = point_maze().without("goal").without("costs");
    DataConfig::parse(yaml.text(), Path::new("c.yaml")).unwrap()
}

fn kinds(report: &Report) -> Vec<WarningKind> {
    report.warnings.iter().map(|warning| warning.kind).collect()
}

/// Runs `init`, shrinks the model of its configuration, and trains two steps. Returns the configuration.
fn init_and_train(folder: &Path, bag: &Path) -> String {
    let init = df_train(&["init", "--bag", text(bag)]);
    assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
    let yaml = String::from_utf8(init.stdout).unwrap();
    let sizes = [("model.width", "16"), ("model.layers", "1"), ("model.heads", "2"), ("training.batch", "4")];
    let config = ContractYaml::from_text(yaml.clone()).with_all(&sizes).write_as(folder, "mine.yaml");
    let model = folder.join("model");
    Config::load(&config).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    let trained = df_train(&["--config", text(&config), "--bag", text(bag), "--out", text(&model), "--steps", "2"]);
    let printed =
        [trained.stdout, trained.stderr].map(|printed| String::from_utf8_lossy(&printed).into_owned()).concat();
    assert!(trained.status.success(), "{printed}\n{yaml}");
    assert!(model.join("checkpoint.json").is_file(), "{printed}");
    yaml
}

#[test]
fn init_writes_a_configuration_for_the_maze_recording_that_trains() {
    let folder = tempfile::tempdir().unwrap();
    let bag = folder.path().join("demos");
    let recorded = Command::new(env!("CARGO_BIN_EXE_df_sim"))
        .args(["record", "--minutes", "0.25", "--episode-s", "15", "--seed", "5", "--out", text(&bag)])
        .output()
        .unwrap();
    assert!(recorded.status.success());
    let yaml = init_and_train(folder.path(), &bag);
    for line in ["period_s: 0.02", "topic: /force", "fields: [wrench.force.x, wrench.force.y]", "units: [N, N]"] {
        assert!(yaml.contains(line), "{line} is not in\n{yaml}");
    }
    assert!(yaml.contains("#   /goal: it "), "{yaml}");

    // The text, the JSON file and the pictures.
    let out = folder.path().join("look");
    let printed =
        df_train(&["inspect", "--bag", text(&bag), "--config", "config/point_maze.yaml", "--out", text(&out)]);
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert!(printed.contains("episodes  1: 15") && printed.contains("wrench.force.x [N]"), "{printed}");
    let json: serde_json::Value = serde_json::from_slice(&fs::read(out.join("inspect.json")).unwrap()).unwrap();
    assert_eq!(json["contract"]["coverage"]["episodes"], 1);
    for picture in ["distributions.png", "episodes.png"] {
        assert_eq!(fs::read(out.join(picture)).unwrap()[1..4], *b"PNG");
    }
}

#[test]
fn the_coverage_map_is_free_where_the_demonstrations_have_been() {
    let folder = tempfile::tempdir().unwrap();
    let bag = folder.path().join("demos");
    // From (0, 0) to (2, -2), with odometry and commands at every frame.
    write(&bag, &drive(100));
    let inputs = [Input { path: bag.clone(), weight: 1.0 }];
    let map = coverage_map(&inputs, &contract(), "position", 0.5).unwrap();
    // Frames lie in the cells (0, 0), (0, -1), (1, -1), (1, -2) and so on up to (3, -4); around them is one more.
    assert_eq!((map.width, map.height, map.origin_m), (6, 7, [-0.5, -2.5]));
    let rows: Vec<String> =
        map.cells.chunks(6).map(|row| row.iter().map(|c| if *c == 0 { '.' } else { '?' }).collect()).collect();
    assert_eq!(rows, ["???...", "??....", "?.....", "......", ".....?", "....??", "...???"]);
    assert!(map.cells.iter().all(|cell| [0, -1].contains(cell)));

    let refusal =
        |group: &str, resolution: f64| coverage_map(&inputs, &contract(), group, resolution).unwrap_err().to_string();
    assert_eq!(refusal("place", 0.5), "group: place: must be one of [\"action\", \"position\", \"velocity\"]");
    assert_eq!(refusal("position", 0.0), "resolution: 0: must be a finite number above 0");
    assert!(refusal("position", 1e-5).contains("cells, more than 268435456"));
}

#[test]
fn df_train_map_writes_a_map_that_costs_can_read() {
    let folder = tempfile::tempdir().unwrap();
    let (bag, file) = (folder.path().join("demos"), folder.path().join("there.yaml"));
    let recorded = Command::new(env!("CARGO_BIN_EXE_df_sim"))
        .args(["record", "--minutes", "0.25", "--episode-s", "15", "--seed", "5", "--out", text(&bag)])
        .output()
        .unwrap();
    assert!(recorded.status.success());
    let drawn =
        |out: &Path| df_train(&["map", "--bag", text(&bag), "--config", "config/point_maze.yaml", "--out", text(out)]);
    let printed = drawn(&file);
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let map = OccupancyGrid::load(&file).unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    let free = map.cells.iter().filter(|cell| **cell == 0).count();
    assert!(free > 20 && printed.contains(&format!("{free} of them free")), "{printed}");
    let refused = drawn(&folder.path().join("there.pgm"));
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("must end in .yaml"));
}

/// A wheeled robot with an arm: odometry, joints, a scan, and commands.
fn robot_bag(folder: &Path) -> PathBuf {
    let vector = "===\nMSG: geometry_msgs/Vector3\nfloat64 x\nfloat64 y\nfloat64 z\n";
    let joints = format!(
        "std_msgs/Header header\nstring[] name\nfloat64[] position\nfloat64[] velocity\nfloat64[] effort\n{HEADER}"
    );
    let scan = format!(
        "std_msgs/Header header\nfloat32 angle_min\nfloat32 range_max\nfloat32[] ranges\nfloat32[] intensities\n{HEADER}"
    );
    let twist = format!("geometry_msgs/Vector3 linear\ngeometry_msgs/Vector3 angular\n{vector}");
    let own = recordings::definitions();
    let texts = [
        ("/odom", "nav_msgs/msg/Odometry", own.text("nav_msgs/msg/Odometry").unwrap()),
        ("/joint_states", "sensor_msgs/msg/JointState", joints),
        ("/scan", "sensor_msgs/msg/LaserScan", scan),
        ("/cmd_vel", "geometry_msgs/msg/Twist", twist),
    ];
    let definitions = SchemaDefinitions::new(texts.iter().map(|(_, message_type, text)| (*message_type, text)));
    let fields: [Vec<String>; 4] = [
        ["pose.pose.position.x", "pose.pose.position.y", "twist.twist.linear.x"].map(String::from).into(),
        (0..3).flat_map(|k| [format!("position[{k}]"), format!("velocity[{k}]")]).collect(),
        (0..40).map(|k| format!("ranges[{k}]")).collect(),
        ["linear.x", "angular.z"].map(String::from).into(),
    ];
    let bag = folder.join("robot");
    let mut writer = BagWriter::create(&bag).unwrap();
    // Periods of 20, 10, 100 and 50 ms.
    let periods = [20, 10, 100, 50];
    let encoders: Vec<(usize, Encoder)> = texts
        .iter()
        .zip(&fields)
        .map(|((name, message_type, text), fields)| {
            let encoder = Encoder::new(&definitions.schema(message_type).unwrap(), fields).unwrap();
            (writer.topic(name, message_type, text).unwrap(), encoder)
        })
        .collect();
    for ms in 0..10_000i64 {
        for ((number, encoder), period) in encoders.iter().zip(periods) {
            if ms % period == 0 {
                let time = START + ms * MS;
                let values: Vec<f64> =
                    (0..encoder.labels().len()).map(|k| (ms as f64 / 700.0 + k as f64).sin() + k as f64).collect();
                writer.write(*number, time, &encoder.encode(time, "base", &values).unwrap()).unwrap();
            }
        }
    }
    writer.finish().unwrap();
    bag
}

#[test]
fn init_writes_a_configuration_for_a_robot_with_joints_and_a_scan_that_trains() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = init_and_train(folder.path(), &robot_bag(folder.path()));
    for line in [
        "period_s: 0.05",
        "topic: /cmd_vel",
        "units: [m/s, rad/s]",
        "fields: ['position[0]', 'position[1]', 'position[2]']",
        "fields: ['velocity[0]', 'velocity[1]', 'velocity[2]']",
        // Of 40 rays every second one: 40 / 36 rounded up is 2.
        "fields: ['ranges[0:40:2]']",
        "slower than the ticks: 2.0 of them see the same message",
    ] {
        assert!(yaml.contains(line), "{line} is not in\n{yaml}");
    }
}

#[cfg(feature = "formats")]
#[test]
fn init_writes_a_configuration_for_a_lerobot_dataset_that_trains() {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("set");
    let rows = [200, 150].map(|count| recordings::rows(count, 0.5));
    recordings::lerobot::write_dataset(&set, "v2.1", &rows);
    let yaml = init_and_train(folder.path(), &set);
    assert!(yaml.contains("lerobot: {state: [observation.state], action: [action]}"), "{yaml}");
    // fps 20.
    assert!(yaml.contains("period_s: 0.05") && yaml.contains("the dataset calls them x, y, vx, vy"), "{yaml}");
    let printed = df_train(&["inspect", "--bag", text(&set)]);
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert!(printed.contains("LeRobot, 3 columns, 350 rows, 2 episodes, rows every 50 ms"), "{printed}");
    assert!(printed.contains("observation.state[name=vx]"), "{printed}");
}

#[cfg(feature = "formats")]
#[test]
fn init_writes_a_configuration_for_a_d4rl_file_that_trains() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("d4rl.hdf5");
    let rows = [200, 150].map(|count| recordings::rows(count, 0.5));
    recordings::hdf5::write_d4rl(&file, &rows, Some(64));
    let yaml = init_and_train(folder.path(), &file);
    assert!(yaml.contains("hdf5: {observations: [observations], action: [actions]}"), "{yaml}");
    assert!(yaml.contains("50 ms is a guess, set what is true") && yaml.contains("#   rewards: "), "{yaml}");
}

#[test]
fn init_refuses_a_bag_without_commands() {
    let folder = tempfile::tempdir().unwrap();
    let bag = folder.path().join("bag");
    let only_odometry: Vec<_> = drive(50).into_iter().filter(|(topic, ..)| *topic == ODOM).collect();
    write(&bag, &only_odometry);
    let init = df_train(&["init", "--bag", text(&bag)]);
    let printed = String::from_utf8(init.stderr).unwrap();
    assert!(!init.status.success() && init.stdout.is_empty());
    assert!(
        printed.contains("no topic can be the action") && printed.contains("/odom (nav_msgs/msg/Odometry)"),
        "{printed}"
    );
}

#[test]
fn inspect_reports_a_cut_or_damaged_bag_as_far_as_it_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let bag = folder.path().join("bag");
    write(&bag, &drive(12_000));
    let contract = contract();
    let whole = looked_at(&bag, Some(&contract));
    let file = fs::read_dir(&bag)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|p| p.extension().is_some_and(|e| e == "mcap"));
    let file = file.unwrap();
    let bytes = fs::read(&file).unwrap();
    // The last chunk (opcode 6): records are an opcode, eight bytes of length, and so many bytes.
    let (mut at, mut chunk) = (8, 0..0);
    while at < bytes.len() - 8 {
        let end = at + 9 + u64::from_le_bytes(bytes[at + 1..at + 9].try_into().unwrap()) as usize;
        chunk = if bytes[at] == 6 { at..end } else { chunk };
        at = end;
    }
    let middle = (chunk.start + chunk.end) / 2;
    let mut flipped = bytes.clone();
    flipped[middle] ^= 0x55;
    for (what, bytes) in [("was cut off", bytes[..middle].to_vec()), ("damaged", flipped)] {
        fs::write(&file, bytes).unwrap();
        for config in [None, Some(&contract)] {
            let part = looked_at(&bag, config);
            assert!(
                part.warnings.iter().any(|w| w.kind == WarningKind::CutOff && w.text.contains(what)),
                "{:?}",
                part.warnings
            );
            let messages = match &part.contract {
                None => part.inputs[0].topics.iter().map(|topic| topic.clock.messages).sum(),
                Some(_) => part.contract.as_ref().unwrap().inputs[0].read.messages,
            };
            let all = whole.contract.as_ref().unwrap().inputs[0].read.messages;
            assert!(messages > 0 && messages < all, "{what}: {messages} of {all}");
            if config.is_some() {
                let frames = part.contract.as_ref().unwrap().coverage.frames;
                assert!(frames > 0, "{what}: {frames} frames");
            }
            assert!(part.text().contains(what));
        }
    }
}

#[test]
fn inspect_warns_of_a_clock_that_jumps_and_a_channel_that_never_changes() {
    let folder = tempfile::tempdir().unwrap();
    let bag = folder.path().join("bag");
    // 20 s; then the same stamps again, recorded later. The force's y is always 1 and the velocity's y always 0.5.
    let first = drive(1000).into_iter().filter(|(_, log_ns, _)| *log_ns < START + 20_000 * MS);
    let first: Vec<_> = first.collect();
    let again = first.iter().map(|(topic, log_ns, bytes)| (*topic, log_ns + 20_000 * MS, bytes.clone()));
    write(&bag, &first.iter().cloned().chain(again).collect::<Vec<_>>());
    let raw = looked_at(&bag, None);
    assert_eq!(kinds(&raw).iter().filter(|kind| **kind == WarningKind::ClockJump).count(), 4, "{:?}", raw.warnings);
    let report = looked_at(&bag, Some(&contract()));
    let warned = |kind, about: &str| report.warnings.iter().any(|w| w.kind == kind && w.about.contains(about));
    assert!(warned(WarningKind::ClockJump, "bag"), "{:?}", report.warnings);
    assert!(
        warned(WarningKind::Constant, "action wrench.force.y")
            && warned(WarningKind::Constant, "velocity twist.twist.linear.y")
    );
    let coverage = &report.contract.as_ref().unwrap().coverage;
    // Two stretches of 20 s and the last sample's maximum age.
    assert_eq!((coverage.stretches, coverage.episodes), (2, 2));
    assert!((800..=806).contains(&coverage.frames), "{coverage:?}");
}

#[test]
fn inspect_counts_silence_refused_messages_and_slow_topics() {
    let folder = tempfile::tempdir().unwrap();
    let bag = folder.path().join("bag");
    // 60 s: odometry every 120 ms with 3 s of silence at 30 s; each tenth message is truncated; a command every 50 ms.
    let mut messages = Vec::new();
    for k in 0..500i64 {
        let stamp = START + 120 * MS * k + if k >= 250 { 3000 * MS } else { 0 };
        let mut bytes = odometry(stamp, (k as f64).sin());
        if k % 10 == 5 {
            bytes.truncate(40);
        }
        messages.push((ODOM, stamp, bytes));
    }
    messages.extend((0..1260i64).map(|k| (FORCE, START + 50 * MS * k, wrench(START + 50 * MS * k, (k as f64).cos()))));
    messages.sort_by_key(|(_, log_ns, _)| *log_ns);
    write(&bag, &messages);
    let report = looked_at(&bag, Some(&contract()));
    let printed = |kind| {
        report.warnings.iter().find(|w| w.kind == kind).unwrap_or_else(|| panic!("{:?}", report.warnings)).text.clone()
    };
    // 50 of 500 + 1,260 messages.
    assert!(
        printed(WarningKind::Refused).starts_with("50 messages or rows (2.8 %)"),
        "{}",
        printed(WarningKind::Refused)
    );
    assert!(printed(WarningKind::SlowTopic).contains("every 120 ms, 2.4 ticks"));
    assert!(printed(WarningKind::MaximumAge).contains("max_age_s is 100 ms, its messages come every 120 ms"));
    assert!(
        printed(WarningKind::WindowsLost).contains("because of silence of all required groups"),
        "{}",
        printed(WarningKind::WindowsLost)
    );
    let coverage = &report.contract.as_ref().unwrap().coverage;
    let lost: u64 = coverage.lost_to_silence.iter().map(|(_, lost)| lost).sum();
    let parts = lost + coverage.lost_to_cuts + coverage.lost_to_shortness;
    assert_eq!(coverage.windows + parts, coverage.possible_windows, "{coverage:?}");
}

#[test]
fn inspect_warns_of_recordings_whose_ranges_differ() {
    let folder = tempfile::tempdir().unwrap();
    let bag = |name: &str, offset: f64| {
        let path = folder.path().join(name);
        let at = |k: i64| START + 20 * MS * k;
        let messages: Vec<_> = (0..500)
            .flat_map(|k| {
                [(ODOM, at(k), odometry(at(k), offset + (k as f64).sin())), (FORCE, at(k), wrench(at(k), 0.1))]
            })
            .collect();
        write(&path, &messages);
        Input { path, weight: 1.0 }
    };
    let inputs = [bag("near", 0.0), bag("far", 500.0)];
    let report = inspect(&inputs, Some(&contract())).unwrap();
    let disagree: Vec<&str> =
        report.warnings.iter().filter(|w| w.kind == WarningKind::InputsDisagree).map(|w| w.about.as_str()).collect();
    assert!(disagree.contains(&"position pose.pose.position.x"), "{:?}", report.warnings);
    assert!(!disagree.contains(&"action wrench.force.y"), "{disagree:?}");
}
