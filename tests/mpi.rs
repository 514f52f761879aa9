//! `df_train` as the ranks of an MPI program: the losses equal those of one process; a rank dies, hangs or receives a
//! signal; training resumes with another number of ranks. Needs the feature `mpi` and an `mpirun` (OpenMPI): `make
//! test-mpi`.

mod demonstrations;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use df_training::Line;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use demonstrations::{configure, record};
use support::contract::ContractYaml;

/// The longest time that a run takes to end after a rank dies or receives a signal.
const SOON: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(120);
const STEPS: usize = 200;
/// The steps of a run that does not end by itself.
const FOREVER: usize = 100_000;

/// More processes than cores: one test at a time.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A folder with a bag of a minute (four episodes) and a small configuration.
struct Place(tempfile::TempDir);

impl Place {
    fn new(checkpoint_every_s: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        record(place.0.path(), "1");
        let changes = [
            ("model.width", "32"),
            ("model.layers", "2"),
            ("model.heads", "2"),
            // Four parts, of one and of two windows, for 1, 2 or 4 ranks.
            ("training.batch", "6"),
            ("training.accumulate", "4"),
            ("training.validate_every", "60"),
            ("training.log_every", "1"),
            ("training.warmup_steps", "5"),
            ("training.checkpoint_every_s", checkpoint_every_s),
        ];
        configure(place.0.path(), &changes);
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `df_train`, by `mpirun` where there is more than one rank.
    fn train(&self, ranks: usize, out: &str, steps: usize, more: &[&str]) -> Command {
        let program = env!("CARGO_BIN_EXE_df_train");
        let mut command = Command::new(if ranks > 1 { "mpirun" } else { program });
        if ranks > 1 {
            // Containers: root, fewer cores than ranks, and no right to read another process's memory.
            command.args(["--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", &ranks.to_string()]);
            command.args(["--mca", "btl_vader_single_copy_mechanism", "none"]);
            // Time to save: mpirun sleeps twice as long before it kills.
            command.args(["--mca", "odls_base_sigkill_timeout", "2"]);
            // Sums in pairs: recursive doubling.
            command.args([
                "--mca",
                "coll_tuned_use_dynamic_rules",
                "1",
                "--mca",
                "coll_tuned_allreduce_algorithm",
                "3",
            ]);
            command.arg(program);
        }
        command.arg("--config").arg(self.at("config.yaml")).arg("--bag").arg(self.at("demos"));
        command.arg("--out").arg(self.at(out)).args(["--steps", &steps.to_string()]).args(more);
        command.env("RAYON_NUM_THREADS", "1").env("XDG_CACHE_HOME", self.at("cache"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn trained(&self, ranks: usize, out: &str, steps: usize, more: &[&str]) -> String {
        let output = self.train(ranks, out, steps, more).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn log(&self, out: &str) -> Vec<Line> {
        let log = fs::read_to_string(self.at(&format!("{out}.run/log.jsonl"))).unwrap_or_default();
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The loss of every step.
    fn losses(&self, out: &str) -> Vec<(usize, f64)> {
        self.log(out).iter().filter_map(|line| Some((line.step, line.training.as_ref()?.loss))).collect()
    }

    fn saved_step(&self, out: &str) -> u64 {
        let text = fs::read(self.at(&format!("{out}.run/last/progress.json"))).unwrap();
        serde_json::from_slice::<serde_json::Value>(&text).unwrap()["step"].as_u64().unwrap()
    }

    /// Starts a run and waits until it has done `done` steps and has been saved once.
    fn started(&self, ranks: usize, out: &str, steps: usize, done: usize, more: &[&str]) -> Child {
        let child = self.train(ranks, out, steps, more).spawn().unwrap();
        let deadline = Instant::now() + PATIENCE;
        let saved = self.at(&format!("{out}.run/last/progress.json"));
        while self.log(out).len() < done || !saved.exists() {
            assert!(Instant::now() < deadline, "no {done} steps, or no save");
            sleep(Duration::from_millis(5));
        }
        child
    }

    /// Compares the loss of every step bit for bit.
    fn assert_same_losses(&self, one: &str, other: &str) {
        let (one, other) = (self.losses(one), self.losses(other));
        assert_eq!(one.iter().map(|(step, _)| *step).collect::<Vec<_>>(), (1..=STEPS).collect::<Vec<_>>());
        assert_eq!(one, other);
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn signal(process: u32, name: &str) {
    assert!(Command::new("kill").args([name, &process.to_string()]).status().unwrap().success());
}

/// The process that is rank `rank` of an `mpirun`.
fn process_of(mpirun: &Child, rank: usize) -> u32 {
    let id = mpirun.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    let own = format!("OMPI_COMM_WORLD_RANK={rank}");
    let is_rank = |process: &u32| {
        let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
        environment.split(|&b| b == 0).any(|variable| variable == own.as_bytes())
    };
    children.split_whitespace().map(|id| id.parse().unwrap()).find(is_rank).unwrap()
}

/// Waits for the end of the run, at most [`SOON`]. Returns its output.
fn ended(mut child: Child) -> Output {
    let deadline = Instant::now() + SOON;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("it did not end: {}", stderr(&child.wait_with_output().unwrap()));
        }
        sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

#[test]
fn several_ranks_train_to_the_same_weights_as_one_process() {
    let _turn = turn();
    let place = Place::new("300");
    place.trained(1, "one", STEPS, &[]);
    for ranks in [2, 4] {
        let out = format!("of_{ranks}");
        let printed = place.trained(ranks, &out, STEPS, &[]);
        assert_eq!(printed.matches("training windows").count(), 1, "more than one rank prints: {printed}");
        place.assert_same_losses("one", &out);
        let weights = |out: &str| fs::read(place.at(&format!("{out}.run/last/weights.bpk"))).unwrap();
        assert!(weights("one") == weights(&out), "the averaged weights of {ranks} ranks");
    }
}

#[test]
fn a_rank_that_dies_ends_the_run_and_another_number_of_ranks_resumes_it() {
    let _turn = turn();
    let place = Place::new("0.05");
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    place.trained(1, "one", STEPS, &[]);
    for (ranks, victim, then) in [(2, 1, 4), (4, 3, 1), (2, 0, 2)] {
        let out = format!("{victim}_of_{ranks}");
        let child = place.started(ranks, &out, STEPS, rng.random_range(10..60), &[]);
        signal(process_of(&child, victim), "-KILL");
        let output = ended(child);
        let message = stderr(&output);
        assert!(!output.status.success(), "{message}");
        // The message of OpenMPI names the rank.
        assert!(message.contains(&format!("process rank {victim} ")), "{message}");
        let saved = place.saved_step(&out);
        let logged = place.losses(&out).last().unwrap().0 as u64;
        // Rank 0 saves the last whole step and reports it, if it is alive and OpenMPI leaves it the time. Otherwise the
        // last regular save remains.
        let rescued = message.contains("continue with --resume, with any number of ranks");
        assert!(saved <= logged && (!rescued || saved == logged), "saved after step {saved} of {logged}: {message}");
        let printed = place.trained(then, &out, STEPS, &["--resume"]);
        assert!(printed.contains(&format!("resumed after step {saved}")), "{printed}");
        place.assert_same_losses("one", &out);
    }
}

#[test]
fn a_run_that_is_stopped_or_whose_rank_hangs_is_saved() {
    let _turn = turn();
    let place = Place::new("0.05");
    // A signal to one rank stops all ranks.
    let child = place.started(2, "one_rank", FOREVER, 20, &[]);
    signal(process_of(&child, 1), "-TERM");
    let output = ended(child);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("stopped, --resume goes on"));
    assert_eq!(place.saved_step("one_rank") as usize, place.losses("one_rank").last().unwrap().0);

    // The launcher forwards a signal to all ranks and kills those that take too long.
    let child = place.started(2, "all", FOREVER, 20, &[]);
    signal(child.id(), "-TERM");
    let output = ended(child);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let (saved, logged) = (place.saved_step("all") as usize, place.losses("all").last().unwrap().0);
    let in_time = printed.contains("stopped, --resume goes on");
    assert!(saved <= logged && (!in_time || saved == logged), "saved after step {saved} of {logged}: {printed}");

    // One rank hangs.
    let child = place.started(2, "hangs", FOREVER, 20, &["--wait-s", "1"]);
    let hanging = process_of(&child, 1);
    signal(hanging, "-STOP");
    let output = ended(child);
    let message = stderr(&output);
    assert!(!output.status.success(), "{message}");
    assert!(message.contains("rank 0 of 2") && message.contains("for the other ranks and gave up"), "{message}");
    assert!(place.saved_step("hangs") as usize <= place.losses("hangs").last().unwrap().0);
    let _ = Command::new("kill").args(["-KILL", &hanging.to_string()]).output();
    let steps = place.saved_step("hangs") as usize + 5;
    place.trained(1, "hangs", steps, &["--resume"]);
}

#[test]
fn ranks_with_different_configurations_are_refused() {
    let _turn = turn();
    let place = Place::new("300");
    // The second rank trains on another configuration.
    let text = fs::read_to_string(place.at("config.yaml")).unwrap();
    ContractYaml::from_text(text).with("training.seed", 1).write_as(place.0.path(), "other.yaml");
    let one = place.train(1, "out", 10, &[]);
    let of_rank = |config: &str| {
        let arguments: Vec<_> = one.get_args().map(|a| a.to_string_lossy().into_owned()).collect();
        let arguments = arguments.iter().map(|a| a.replace("config.yaml", config));
        [one.get_program().to_string_lossy().into_owned()].into_iter().chain(arguments).collect::<Vec<_>>()
    };
    let mut command = Command::new("mpirun");
    command.args(["--allow-run-as-root", "--oversubscribe", "-n", "1"]).args(of_rank("config.yaml"));
    command.args([":", "-n", "1"]).args(of_rank("other.yaml")).env("XDG_CACHE_HOME", place.at("cache"));
    let output = command.output().unwrap();
    let message = stderr(&output);
    assert!(!output.status.success() && message.contains("differ in the configuration or the data"), "{message}");
}
