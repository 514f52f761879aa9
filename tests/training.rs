//! Faults during training: the process is killed or stopped, the disk is full, the loss is not finite. Resuming gives
//! the same weights, bit for bit.

mod demonstrations;
mod support;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use demonstrations::{configure, record};

/// The number of SIGKILLs.
const KILLS: usize = 20;
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with a bag of a minute (four episodes) and a small configuration.
struct Place(tempfile::TempDir);

impl Place {
    fn new(changes: &[(&str, &str)]) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        record(place.0.path(), "1");
        place.configure(changes);
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn configure(&self, changes: &[(&str, &str)]) {
        let small = [
            ("model.width", "16"),
            ("model.layers", "1"),
            ("model.heads", "2"),
            ("training.batch", "4"),
            ("training.validate_every", "40"),
            ("training.log_every", "1"),
            ("training.warmup_steps", "5"),
        ];
        configure(self.0.path(), &[&small[..], changes].concat());
    }

    fn train(&self, out: &str, steps: usize, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_df_train"));
        command.arg("--config").arg(self.at("config.yaml")).arg("--bag").arg(self.at("demos"));
        command.arg("--out").arg(self.at(out)).args(["--steps", &steps.to_string()]).args(more);
        command.env("XDG_CACHE_HOME", self.at("cache")).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn trained(&self, out: &str, steps: usize, more: &[&str]) {
        let output = self.train(out, steps, more).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }

    /// Trains for a few steps and stops with SIGINT.
    fn stopped(&self, out: &str, steps: usize, start: &str) {
        let before = self.logged(out);
        let child = self.train(out, steps, &[start]).spawn().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while self.logged(out) < before + 3 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        signal(&child, "-INT");
        let stopped = child.wait_with_output().unwrap();
        assert!(stopped.status.success(), "{}", stderr(&stopped));
        assert!(String::from_utf8_lossy(&stopped.stdout).contains("stopped, --resume goes on"));
    }

    /// The results to compare: the best weights, the last ones, the raw ones, and the log.
    fn result(&self, out: &str) -> (Vec<u8>, Vec<u8>, Vec<u8>, Vec<serde_json::Value>) {
        let read = |path: PathBuf| fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let (best, run) = (self.at(out), self.at(&format!("{out}.run")));
        let log = String::from_utf8(read(run.join("log.jsonl"))).unwrap();
        let course = log.lines().map(|line| {
            let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
            line.as_object_mut().unwrap().remove("seconds");
            if let Some(training) = line.get_mut("training").and_then(|training| training.as_object_mut()) {
                training.remove("windows_per_s");
            }
            line
        });
        (
            read(best.join("weights.bpk")),
            read(run.join("last/weights.bpk")),
            read(run.join("last/raw.bpk")),
            course.collect(),
        )
    }

    /// Lines of the log.
    fn logged(&self, out: &str) -> usize {
        fs::read_to_string(self.at(&format!("{out}.run/log.jsonl"))).map_or(0, |log| log.lines().count())
    }

    fn assert_same(&self, a: &str, b: &str) {
        let (a, b) = (self.result(a), self.result(b));
        // `assert_eq` would print the bytes.
        assert!(a.0 == b.0, "the best weights differ");
        assert!(a.1 == b.1 && a.2 == b.2, "the last weights differ");
        assert_eq!(a.3, b.3);
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn a_run_killed_at_any_moment_resumes_to_the_same_weights() {
    // Saves are frequent, so that kills hit saves as well as steps.
    let place = Place::new(&[("training.checkpoint_every_s", "0.05")]);
    let steps = 400;
    place.trained("whole", steps, &[]);
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let progress = place.at("torn.run/last/progress.json");
    for kill in 0..KILLS {
        let start = if progress.exists() { "--resume" } else { "--restart" };
        let before = place.logged("torn");
        let mut child = place.train("torn", steps, &[start]).spawn().unwrap();
        // Some kills come before the first save.
        let further = rng.random_range(0..8);
        let deadline = Instant::now() + PATIENCE;
        while place.logged("torn") < before + further && child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "kill {kill}: no progress");
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_micros(rng.random_range(0..40_000)));
        assert!(child.try_wait().unwrap().is_none(), "the run ended before kill {kill}: {}", {
            stderr(&child.wait_with_output().unwrap())
        });
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // One stop with SIGINT.
    place.stopped("torn", steps, "--resume");
    place.trained("torn", steps, &["--resume"]);
    place.assert_same("whole", "torn");
}

#[test]
fn a_stopped_run_with_muon_resumes_to_the_same_weights() {
    let place = Place::new(&[("training.optimizer", "muon")]);
    let steps = 200;
    place.trained("whole", steps, &[]);
    place.stopped("torn", steps, "--restart");
    place.trained("torn", steps, &["--resume"]);
    place.assert_same("whole", "torn");
}

#[test]
fn a_run_on_a_full_disk_keeps_its_last_save_and_resumes_to_the_same_weights() {
    let place = Place::new(&[("training.checkpoint_every_s", "0.05")]);
    place.trained("whole", 80, &[]);
    let child = place.train("cramped", 80, &[]).spawn().unwrap();
    let deadline = Instant::now() + PATIENCE;
    let is_saved = || place.at("cramped.run/last/progress.json").exists();
    while (place.logged("cramped") < 30 || !is_saved()) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
    signal(&child, "-KILL");
    child.wait_with_output().unwrap();
    // Limits files to 16 blocks of 1024 bytes, so that weights do not fit. Ignores the SIGXFSZ that the kernel also
    // sends.
    let mut shell = Command::new("bash");
    let run = place.train("cramped", 80, &["--resume"]);
    shell.args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$@\"", "bash"]).arg(run.get_program()).args(run.get_args());
    let refused = shell.env("XDG_CACHE_HOME", place.at("cache")).output().unwrap();
    let message = stderr(&refused);
    assert!(!refused.status.success() && message.contains("not saved") && message.contains("cramped"), "{message}");
    // The last save is unchanged. With space again the run ends as if the disk had never been full.
    place.trained("cramped", 80, &["--resume"]);
    place.assert_same("whole", "cramped");
}

#[test]
fn a_loss_that_is_not_finite_ends_the_run_and_keeps_the_best_weights() {
    let place = Place::new(&[("training.learning_rate", "1.0e+17"), ("training.validate_every", "1")]);
    let output = place.train("wild", 50, &[]).output().unwrap();
    let message = stderr(&output);
    assert!(!output.status.success(), "{message}");
    for part in ["step ", "not finite", "windows ", "norm of the weights", "learning rate", "wild is from step "] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(place.at("wild/weights.bpk").exists(), "{message}");
}

#[test]
fn a_run_that_cannot_start_or_resume_is_refused_before_the_data_are_read() {
    let place = Place::new(&[]);
    let refused = |command: &mut Command, parts: &[&str]| {
        let output = command.output().unwrap();
        let message = stderr(&output);
        assert!(!output.status.success(), "{message}");
        assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
        parts.iter().for_each(|part| assert!(message.contains(part), "{part}: {message}"));
    };
    refused(&mut place.train("m", 5, &["--resume"]), &["m.run/last: contains no run to resume"]);
    fs::write(place.at("file"), "").unwrap();
    refused(&mut place.train("file/m", 5, &[]), &["file/m.run", "Not a directory"]);

    // Stopped after the first save.
    place.configure(&[("training.checkpoint_every_s", "0.001")]);
    let child = place.train("m", 100_000, &[]).spawn().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while !place.at("m.run/last/progress.json").exists() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
    signal(&child, "-KILL");
    child.wait_with_output().unwrap();
    let unfinished = ["m.run: contains an unfinished run", "--resume", "--restart"];
    refused(&mut place.train("m", 100_000, &[]), &unfinished);

    // Settings that the weights depend on must not change; the number of steps may.
    let output = |place: &Place, steps| place.train("m", steps, &["--resume"]).output().unwrap();
    place.configure(&[("training.batch", "5")]);
    let other = output(&place, 100);
    assert!(!other.status.success() && stderr(&other).contains("training.batch was 4 and is 5"), "{}", stderr(&other));
    place.configure(&[("training.learning_rate", "2.0e-3")]);
    let longer = output(&place, place.logged("m") + 5);
    assert!(longer.status.success(), "{}", stderr(&longer));
    let printed = String::from_utf8_lossy(&longer.stdout).into_owned();
    assert!(printed.contains("training.learning_rate was 0.001 and is 0.002"), "{printed}");
    place.trained("m", 5, &["--restart"]);
    assert_eq!(place.result("m").3.iter().filter(|line| line.get("training").is_some()).count(), 5);
}

#[test]
fn a_run_whose_validation_does_not_improve_ends_early() {
    // Steps are below the resolution of f32, so every validation equals the first.
    let changes = [("training.learning_rate", "1.0e-30"), ("training.patience", "2"), ("training.validate_every", "5")];
    let place = Place::new(&changes);
    let output = place.train("m", 1000, &[]).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    // The best after 5 steps, none better after 10 and 15.
    assert!(
        output.status.success()
            && printed.contains("early stopping (no better validation loss in 2 validations) after 15 steps"),
        "{printed}"
    );
    assert!(printed.contains("of step 5"), "{printed}");
    let card = fs::read_to_string(place.at("m/model.md")).unwrap();
    assert!(card.contains("after step 5: loss") && card.contains("wrench.force.x"), "{card}");
    assert!(fs::read(place.at("m/training.png")).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn the_noise_scale_is_saved_in_the_checkpoint_and_checked_on_resume() {
    let place = Place::new(&[("training.noise_scale.position", "0.25")]);
    place.trained("m", 5, &[]);
    let text = fs::read_to_string(place.at("m/checkpoint.json")).unwrap();
    let checkpoint: serde_json::Value = serde_json::from_str(&text).unwrap();
    // Format 3 makes programs refuse it that do not know the noise scale.
    assert_eq!(checkpoint["format"], 3, "{text}");
    let normaliser = &checkpoint["normaliser"];
    for (c, scaled) in [false, false, true, true, false, false].into_iter().enumerate() {
        let (scale, std) = (normaliser["noise_scale"][c].as_f64(), normaliser["std"][c].as_f64());
        assert!(if scaled { scale == Some(0.25) && std != scale } else { scale == std }, "{c}: {normaliser}");
    }
    // A loaded checkpoint keeps its scale: the run refuses to resume with another one.
    place.trained("m", 7, &["--resume"]);
    let again: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(place.at("m.run/last/checkpoint.json")).unwrap()).unwrap();
    assert_eq!(&again["normaliser"], normaliser);
    place.configure(&[("training.noise_scale.position", "0.5")]);
    let other = place.train("m", 9, &["--resume"]).output().unwrap();
    assert!(!other.status.success() && stderr(&other).contains("training.noise_scale was"), "{}", stderr(&other));
}

#[test]
fn gradients_accumulated_over_parts_of_a_batch_equal_those_of_the_whole() {
    let place = Place::new(&[]);
    place.trained("whole", 40, &[]);
    place.configure(&[("training.accumulate", "3")]);
    place.trained("parts", 40, &[]);
    let losses = |out: &str| -> Vec<f64> {
        let course = place.result(out).3;
        course.iter().filter_map(|line| line["training"]["loss"].as_f64()).collect()
    };
    let (whole, parts) = (losses("whole"), losses("parts"));
    assert!(whole.len() == 40 && parts.len() == 40);
    assert!(whole.iter().zip(&parts).all(|(a, b)| (a - b).abs() < 1e-5 * a), "{whole:?}\n{parts:?}");
}
