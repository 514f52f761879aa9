//! `df_sim record`, `df_train` and `df_replay` as programs, one after the other: the offline workflow, without ROS.

#[path = "programs/cache.rs"]
mod cache;

mod demonstrations;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use demonstrations::{configure, record};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Minutes.
const QUARTER: &str = "0.25";
/// A network that trains in a moment.
const TINY: [(&str, &str); 5] = [
    ("model.width", "16"),
    ("model.layers", "1"),
    ("model.heads", "2"),
    ("training.batch", "4"),
    ("training.warmup_steps", "5"),
];

fn train(config: &Path, bag: &Path, out: &Path, steps: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_df_train"));
    command.arg("--config").arg(config).arg("--bag").arg(bag).arg("--out").arg(out).args(["--steps", steps]);
    // Not the cache of the user who runs the tests.
    command.env("XDG_CACHE_HOME", out.with_file_name("cache"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn replay(config: &Path, model: &Path, bag: &Path, out: &Path, seed: &str) -> Output {
    query(config, model, bag, out, &["--ticks", "12", "--seed", seed])
}

fn query(config: &Path, model: &Path, bag: &Path, out: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_df_replay"))
        .arg("--config")
        .arg(config)
        .arg("--model")
        .arg(model)
        .arg("--bag")
        .arg(bag)
        .arg("--out")
        .arg(out)
        .args(more)
        .output()
        .unwrap()
}

#[test]
fn replay_repeats_itself_stays_close_to_the_expert_and_refuses_another_contract() {
    let folder = tempfile::tempdir().unwrap();
    let (bag, model, config) =
        (record(folder.path(), QUARTER), root().join("models/point_maze"), configure(folder.path(), &[]));
    let run = |name: &str, seed| {
        let out = folder.path().join(name);
        let output = replay(&config, &model, &bag, &out, seed);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read(out).unwrap()
    };
    let first = run("a", "7");
    assert_eq!(first, run("b", "7"), "the same seed");
    assert_ne!(first, run("c", "8"), "another seed");
    // The shipped model was trained on this expert, whose forces lie within 4 N. A constant 0 has an error of some 2.5
    // N.
    let rows: Vec<serde_json::Value> =
        String::from_utf8(first).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 12);
    let error = |row: &serde_json::Value| -> f64 {
        (0..2).map(|c| (row["planned"][c].as_f64().unwrap() - row["recorded"][c].as_f64().unwrap()).powi(2)).sum()
    };
    let rmse = (rows.iter().map(error).sum::<f64>() / 24.0).sqrt();
    assert!(rmse < 1.5, "{rmse} N");

    let other = self::configure(folder.path(), &[("period_s", "0.1")]);
    let refused = replay(&other, &model, &bag, &folder.path().join("d"), "7");
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && message.contains("period_s is 0.05"), "{message}");
}

#[test]
fn a_missing_file_is_named_with_its_cause_once() {
    let folder = tempfile::tempdir().unwrap();
    let (config, model) = (root().join("config/point_maze.yaml"), root().join("models/point_maze"));
    let missing = folder.path().join("missing");
    let out = folder.path().join("out");
    let outputs = [
        train(&missing, &missing, &out, "1").output().unwrap(),
        train(&config, &missing, &out, "1").output().unwrap(),
        replay(&missing, &model, &missing, &out, "1"),
        replay(&config, &model, &missing, &out, "1"),
    ];
    for output in outputs {
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && message.contains(missing.to_str().unwrap()), "{message}");
        assert_eq!(message.matches("os error 2").count(), 1, "{message}");
    }
}

#[test]
fn training_is_reproducible_and_ctrl_c_leaves_a_usable_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let (bag, config) = (record(folder.path(), QUARTER), configure(folder.path(), &TINY));
    let weights = |name: &str| {
        let out = folder.path().join(name);
        let output = train(&config, &bag, &out, "8").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let json = fs::read_to_string(out.join("checkpoint.json")).unwrap();
        assert!(json.contains("\"steps\": 8"), "{json}");
        let (bag, out) = (&bag, &folder.path().join("rows"));
        assert!(replay(&config, &folder.path().join(name), bag, out, "1").status.success());
        fs::read(folder.path().join(name).join("weights.bpk")).unwrap()
    };
    // `assert_eq` would print the bytes.
    assert!(weights("a") == weights("b"));

    let out = folder.path().join("interrupted");
    let mut child = train(&config, &bag, &out, "100000000").spawn().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    let environment = fs::read(format!("/proc/{}/environ", child.id())).unwrap();
    assert!(String::from_utf8_lossy(&environment).contains("MALLOC_TRIM_THRESHOLD_="), "freed memory is kept");
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let deadline = Instant::now() + Duration::from_secs(60);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("df_train did not end within a minute of SIGINT");
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(status.success(), "{status}");
    assert!(replay(&config, &out, &bag, &folder.path().join("rows"), "1").status.success());

    // A truncated checkpoint is refused by name.
    let file = out.join("weights.bpk");
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let refused = replay(&config, &out, &bag, &folder.path().join("rows"), "1");
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && message.contains("weights.bpk"), "{message}");
}

#[test]
fn a_query_of_a_recording_gives_the_same_output_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (bag, config, model) =
        (record(folder.path(), QUARTER), configure(folder.path(), &TINY), folder.path().join("tiny"));
    assert!(train(&config, &bag, &model, "8").output().unwrap().status.success());
    let (force, pose) = (["wrench.force.x", "wrench.force.y"], ["pose.pose.position.x", "pose.pose.position.y"]);
    let speed = ["twist.twist.linear.x", "twist.twist.linear.y"];
    // 1 + 13 tokens of 8 frames are 112 frames; the first 8 are history. A gap of 0.5 s at 0.05 s per tick is 10 frames
    // from (112 - 10) / 2 = 51 on.
    let cases = [
        ("observations", [pose, speed].concat(), (8..112).collect::<Vec<u64>>()),
        ("actions", force.to_vec(), (8..112).collect()),
        ("gaps", [force, pose, speed].concat(), (51..61).collect()),
    ];
    for (name, channels, frames) in cases {
        let run = |file: &str, seed| {
            let out = folder.path().join(file);
            let output = query(&config, &model, &bag, &out, &["--query", name, "--samples", "3", "--seed", seed]);
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
            (fs::read_to_string(out).unwrap(), String::from_utf8(output.stdout).unwrap())
        };
        let (first, printed) = run("a", "7");
        assert!((first.clone(), printed.clone()) == run("b", "7"), "{name}: the same seed");
        assert!(first != run("c", "8").0, "{name}: another seed");
        for channel in &channels {
            assert_eq!(printed.matches(channel).count(), 1, "{printed}");
        }
        // 15 s are 300 or 301 ticks: windows start at 0, 56, 112 and 168.
        let rows: Vec<serde_json::Value> = first.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(rows.len(), 4, "{name}");
        for row in &rows {
            let channels_of_row = row["channels"].as_array().unwrap();
            let named: Vec<&str> =
                channels_of_row.iter().map(|channel_row| channel_row["channel"].as_str().unwrap()).collect();
            assert_eq!(named, channels, "{name}");
            for channel_row in channels_of_row {
                let of = |key: &str| -> Vec<f64> {
                    channel_row[key].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
                };
                assert_eq!(of("frames"), frames.iter().map(|&k| k as f64).collect::<Vec<_>>(), "{name}");
                for key in ["recorded", "mean", "deviation", "low", "high", "naive"] {
                    assert_eq!(of(key).len(), frames.len(), "{name}: {key}");
                }
            }
        }
    }
    let out = folder.path().join("d");
    let refused = query(&config, &model, &bag, &out, &["--query", "gaps", "--gap-s", "5.6"]);
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && message.contains("5.6 s is 112 frames; it must be 1 to 110"), "{message}");
    let refused = query(&config, &model, &bag, &out, &["--query", "actions", "--samples", "1"]);
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && message.contains("1 samples"), "{message}");
}

#[test]
fn the_shipped_model_predicts_observations_and_infers_actions_better_than_the_naive_prediction() {
    let folder = tempfile::tempdir().unwrap();
    let (bag, model, config) =
        (record(folder.path(), QUARTER), root().join("models/point_maze"), configure(folder.path(), &[]));
    for name in ["observations", "actions"] {
        let out = folder.path().join(name);
        let output = query(&config, &model, &bag, &out, &["--query", name]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let rows: Vec<serde_json::Value> =
            fs::read_to_string(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for channel in 0..rows[0]["channels"].as_array().unwrap().len() {
            let squares = |key: &str| -> f64 {
                let of_row = |row: &serde_json::Value| -> f64 {
                    let channel_row = &row["channels"][channel];
                    let value = |key: &str, i: usize| channel_row[key][i].as_f64().unwrap();
                    (0..channel_row["frames"].as_array().unwrap().len())
                        .map(|i| (value(key, i) - value("recorded", i)).powi(2))
                        .sum()
                };
                rows.iter().map(of_row).sum()
            };
            // Over five minutes the errors are a quarter or less (docs/src/reference/results/queries.md); here are 15
            // s.
            let share = (squares("mean") / squares("naive")).sqrt();
            assert!(share < 0.6, "{name}, channel {channel}: {share}");
        }
    }
}

#[test]
fn a_query_longer_than_the_recording_is_refused_with_both_lengths() {
    let folder = tempfile::tempdir().unwrap();
    // 3 s: some 60 frames.
    let (bag, config) = (record(folder.path(), "0.05"), configure(folder.path(), &[]));
    let out = folder.path().join("rows");
    let refused = query(&config, &root().join("models/point_maze"), &bag, &out, &["--query", "observations"]);
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && message.contains("a query needs 112"), "{message}");
    assert!(message.contains("the longest episode has 6"), "{message}");
}

#[test]
fn an_invalid_configuration_is_refused_before_the_bag_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let config = configure(folder.path(), &[("period_s", "-1")]);
    let refused = train(&config, Path::new("no-such-bag"), &folder.path().join("out"), "1").output().unwrap();
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    let line = 1 + fs::read_to_string(&config).unwrap().lines().position(|l| l.starts_with("period_s")).unwrap();
    assert!(!refused.status.success() && message.contains(&format!("config.yaml:{line}: period_s: -1")), "{message}");
}
