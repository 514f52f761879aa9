//! Training that starts from the weights of another checkpoint.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use df_core::Layout;
use df_data::Recording;
use df_engine::{ParentCheckpoint, checkpoint_digest};
use df_planner::config::Config;
use df_training::burn::module::{Module, ModuleVisitor, Param};
use df_training::burn::tensor::Tensor;
use df_training::parallel::Alone;
use df_training::{Checkpoint, Engine};
use df_training::{NamedDevice, Run, Start, TrainError, TrainingSetup, init_from, train};

use super::fixture::{config, episode, turn};

const NOISE_LEVELS: &str = "{independent: 1}";

#[derive(Default)]
struct Weights(Vec<f32>);

impl ModuleVisitor for Weights {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.extend(param.val().into_data().try_to_vec::<f32>().unwrap());
    }
}

/// Trains on a sine wave around `mean`.
fn run(config: &Config, mean: f32, out: &Path, start: Start, from: Option<&Path>) -> Result<Checkpoint, TrainError> {
    let data = || vec!["data".to_string()];
    let layout = Layout::new(2, [("action".into(), data()), ("seen".into(), data())]);
    let wave = |k: i32| [mean + (k as f32 * 0.7).sin(), mean + (k as f32 * 0.7).cos()];
    let recording = Recording::of(&layout, vec![(episode((0..60).map(wave)).frames, 1.0)]).unwrap();
    let from = from.map(|from| init_from(from, out)).transpose()?;
    let run = Run::open(out, start, &Alone)?.initialised_from(from);
    let (config, device) = (config.trainer(), Engine::Native.device());
    let setup = TrainingSetup {
        config: &config,
        recording: &recording,
        run: &run,
        device: NamedDevice { name: "flex", device: &device },
        ranks: &Alone,
        stop: &AtomicBool::new(false),
    };
    train(&setup, &mut |_| ())?;
    Ok(Checkpoint::load(out, &device)?)
}

fn weights(checkpoint: &Checkpoint) -> Vec<f32> {
    let mut weights = Weights::default();
    checkpoint.network.visit(&mut weights);
    weights.0
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt()
}

#[test]
fn a_run_initialised_from_a_model_starts_with_its_weights_and_normaliser() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let model = run(&config(3, 40, NOISE_LEVELS), 5.0, &first, Start::New, None).unwrap();
    // One step on other data, with a learning rate too small to change the weights.
    let mut frozen = config(3, 1, NOISE_LEVELS);
    frozen.training.learning_rate = 1e-12;
    let child = run(&frozen, 8.0, &second, Start::New, Some(&first)).unwrap();
    let scratch = run(&frozen, 8.0, &folder.path().join("third"), Start::New, None).unwrap();
    let [model_weights, child_weights, scratch_weights] = [&model, &child, &scratch].map(weights);
    assert!(distance(&model_weights, &child_weights) < 1e-4, "{}", distance(&model_weights, &child_weights));
    assert!(distance(&model_weights, &scratch_weights) > 1.0, "{}", distance(&model_weights, &scratch_weights));
    assert_eq!(child.description.normaliser, model.description.normaliser);
    assert_ne!(scratch.description.normaliser, model.description.normaliser);
    let parent = ParentCheckpoint { model: first.display().to_string(), sha256: checkpoint_digest(&first).unwrap() };
    assert_eq!(child.description.provenance.from, Some(parent));
    assert_eq!(child.description.provenance.steps, 1);
    // Resuming requires the same initial model.
    let longer = config(3, 3, NOISE_LEVELS);
    let child = run(&longer, 8.0, &second, Start::Resume, Some(&first)).unwrap();
    assert_eq!((child.description.provenance.steps, child.description.normaliser), (3, model.description.normaliser));
    let message = run(&longer, 8.0, &second, Start::Resume, None).err().unwrap().to_string();
    assert!(message.contains("--from was") && message.contains("is none"), "{message}");
}

#[test]
fn initialising_from_a_model_of_another_contract_or_size_is_refused() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    run(&config(3, 2, NOISE_LEVELS), 5.0, &first, Start::New, None).unwrap();
    let refused = |change: &dyn Fn(&mut Config)| {
        let mut config = config(3, 2, NOISE_LEVELS);
        change(&mut config);
        run(&config, 5.0, &second, Start::Restart, Some(&first)).err().unwrap().to_string()
    };
    for (message, expected) in [
        (refused(&|config| config.training.window = 4), "training.window is 3 there and 4 in the configuration"),
        (refused(&|config| config.model.width = 64), "model is"),
        (
            refused(&|config| {
                config.training.noise_scale.insert("seen".into(), 0.5);
            }),
            "training.noise_scale is",
        ),
        (refused(&|config| config.contract.period_s = 0.2), "another contract"),
    ] {
        assert!(message.contains(expected) && message.contains("first"), "{message}");
    }
    let itself = run(&config(3, 2, NOISE_LEVELS), 5.0, &first, Start::Restart, Some(&first)).err().unwrap().to_string();
    assert!(itself.contains("overwrite"), "{itself}");
    assert!(folder.path().join("first.run").exists(), "a refused run deletes nothing");
    let missing = folder.path().join("missing");
    let message =
        run(&config(3, 2, NOISE_LEVELS), 5.0, &second, Start::Restart, Some(&missing)).err().unwrap().to_string();
    assert!(message.contains("missing"), "{message}");
}
