//! `df_sim record`, `df_train` and `df_replay` as programs, one after the other, without ROS: what a user does offline.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A bag of a quarter of a minute.
fn bag(folder: &Path) -> PathBuf {
    let bag = folder.join("demos");
    let out = Command::new(env!("CARGO_BIN_EXE_df_sim"))
        .args(["record", "--minutes", "0.25", "--episode-s", "15", "--seed", "5", "--out"])
        .arg(&bag)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    bag
}

/// The shipped configuration with changes.
fn config(folder: &Path, changes: &[(&str, &str)]) -> PathBuf {
    let mut text = fs::read_to_string(root().join("config/point_maze.yaml")).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "the shipped configuration no longer has `{from}`");
        text = text.replacen(from, to, 1);
    }
    let path = folder.join("config.yaml");
    fs::write(&path, text).unwrap();
    path
}

const TINY: [(&str, &str); 3] = [
    ("width: 128, layers: 3, heads: 4", "width: 16, layers: 1, heads: 2"),
    ("batch: 64", "batch: 4"),
    ("warmup_steps: 500", "warmup_steps: 5"),
];

fn train(config: &Path, bag: &Path, out: &Path, steps: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_df_train"));
    command.arg("--config").arg(config).arg("--bag").arg(bag).arg("--out").arg(out).args(["--steps", steps]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn replay(config: &Path, model: &Path, bag: &Path, out: &Path, seed: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_df_replay"))
        .arg("--config")
        .arg(config)
        .arg("--model")
        .arg(model)
        .arg("--bag")
        .arg(bag)
        .arg("--out")
        .arg(out)
        .args(["--ticks", "12", "--seed", seed])
        .output()
        .unwrap()
}

#[test]
fn replay_is_deterministic_close_to_the_expert_and_refuses_another_contract() {
    let folder = tempfile::tempdir().unwrap();
    let (bag, model, config) = (bag(folder.path()), root().join("models/point_maze"), config(folder.path(), &[]));
    let run = |name: &str, seed| {
        let out = folder.path().join(name);
        let output = replay(&config, &model, &bag, &out, seed);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read(out).unwrap()
    };
    let first = run("a", "7");
    assert_eq!(first, run("b", "7"), "the same seed");
    assert_ne!(first, run("c", "8"), "another seed");
    // The shipped model knows this expert: its forces lie within 4 N, a constant 0 would be off by some 2.5 N.
    let rows: Vec<serde_json::Value> =
        String::from_utf8(first).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 12);
    let error = |row: &serde_json::Value| -> f64 {
        (0..2).map(|c| (row["planned"][c].as_f64().unwrap() - row["recorded"][c].as_f64().unwrap()).powi(2)).sum()
    };
    let rmse = (rows.iter().map(error).sum::<f64>() / 24.0).sqrt();
    assert!(rmse < 1.5, "{rmse} N");

    let other = self::config(folder.path(), &[("period_s: 0.05", "period_s: 0.1")]);
    let refused = replay(&other, &model, &bag, &folder.path().join("d"), "7");
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && message.contains("period_s is 0.05"), "{message}");
}

#[test]
fn training_is_reproducible_and_ctrl_c_leaves_a_usable_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let (bag, config) = (bag(folder.path()), config(folder.path(), &TINY));
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
    // Not assert_eq: it would print the bytes.
    assert!(weights("a") == weights("b"));

    let out = folder.path().join("interrupted");
    let mut child = train(&config, &bag, &out, "100000000").spawn().unwrap();
    std::thread::sleep(Duration::from_secs(3));
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

    // A checkpoint that is cut short is refused by name.
    let file = out.join("weights.bpk");
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let refused = replay(&config, &out, &bag, &folder.path().join("rows"), "1");
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && message.contains("weights.bpk"), "{message}");
}

#[test]
fn a_bad_configuration_is_refused_before_anything_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), &[("period_s: 0.05", "period_s: -1")]);
    let refused = train(&config, Path::new("no-such-bag"), &folder.path().join("out"), "1").output().unwrap();
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    let line = 1 + fs::read_to_string(&config).unwrap().lines().position(|l| l.starts_with("period_s")).unwrap();
    assert!(!refused.status.success() && message.contains(&format!("config.yaml:{line}: period_s: -1")), "{message}");
}
