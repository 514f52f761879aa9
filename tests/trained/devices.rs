//! Several devices of one process: each computes its share of every batch, and the losses equal those of one device.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use df_core::Layout;
use df_data::Recording;
use df_planner::config::Config;
use df_training::Engine;
use df_training::parallel::{Alone, Devices, Ranks};
use df_training::{Line, NamedDevice, Run, Start, TrainError, TrainingSetup, train};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::fixture::{config, episode, turn};

/// The losses of all steps.
fn losses(out: &Path) -> Vec<f64> {
    let mut name = out.as_os_str().to_os_string();
    name.push(".run/log.jsonl");
    let log = fs::read_to_string(name).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Line>(line).unwrap());
    lines.filter_map(|line| Some(line.training?.loss)).collect()
}

fn recording() -> Arc<Recording> {
    let mut rng = ChaCha8Rng::seed_from_u64(13);
    let mut normal = || -> f32 { StandardNormal.sample(&mut rng) };
    let episodes = (0..5).map(|_| (episode((0..40).map(|_| [normal(), normal()])).frames, 1.0)).collect();
    let data = || vec!["data".to_string()];
    Recording::of(&Layout::new(2, [("action".into(), data()), ("seen".into(), data())]), episodes).unwrap()
}

fn train_on(config: &Config, recording: &Arc<Recording>, devices: &str, out: &Path) -> Result<Vec<f64>, TrainError> {
    let work = |ranks: &dyn Ranks| {
        let run = Run::open(out, Start::New, ranks)?;
        let (config, device) = (config.trainer(), Engine::Native.device());
        let device = NamedDevice { name: "flex", device: &device };
        let stop = AtomicBool::new(false);
        train(&TrainingSetup { config: &config, recording, run: &run, device, ranks, stop: &stop }, &mut |_| ())
    };
    if devices.contains(',') {
        Devices::run(Devices::group(devices).unwrap(), |ranks| work(ranks))?;
    } else {
        work(&Alone)?;
    }
    Ok(losses(out))
}

#[test]
fn devices_that_share_a_batch_have_the_losses_of_one_device() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(5, 120, "{independent: 0.3, planning: 0.4, variable_length: 0.3}");
    config.training.log_every = 1;
    config.training.batch = 10;
    let recording = recording();
    // Parts of 3, 3 and 4 windows, one per device. Parts of 2, 3, 2 and 3 windows, two per device or one.
    for (accumulate, groups) in [(3, &["flex,flex,flex"][..]), (4, &["flex,flex", "flex,flex,flex,flex"])] {
        config.training.accumulate = accumulate;
        let alone =
            train_on(&config, &recording, "flex", &folder.path().join(format!("alone in {accumulate}"))).unwrap();
        assert_eq!(alone.len(), 120);
        for devices in groups {
            let together = train_on(&config, &recording, devices, &folder.path().join(devices)).unwrap();
            // The losses are bitwise equal.
            assert_eq!(alone, together, "{devices}");
        }
    }
}

#[test]
fn more_devices_than_windows_in_a_batch_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(5, 120, "{independent: 1}");
    config.training.batch = 1;
    let refused = train_on(&config, &recording(), "flex,flex", &folder.path().join("out")).unwrap_err().to_string();
    let expected = "training.batch: 1: must be at least 2, because 2 ranks compute it in 2 parts";
    assert!(refused.contains(expected), "{refused}");
}
