//! Times the loading of data beside a training step of the shipped point maze on `flex`: reading a bag, opening its
//! frame cache, making a batch. Needs no ROS.
//!
//! `cargo bench --no-default-features --features sim,training --bench loading`

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use df_data::{CachePlace, Input, Recording, load_recording};
use df_diffusion::{TokenSpec, Tokens};
use df_engine::NetworkConfig;
use df_planner::config::Config;
use df_training::burn::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use df_training::burn::module::Module;
use df_training::burn::optim::{AdamWConfig, GradientsParams};
use df_training::burn::tensor::{Device, Tensor, TensorData};
use df_training::{BatchMaker, Dataset, InitNetwork, device, features_tensor};

/// Length of the bag, minutes: that of the shipped model.
const MINUTES: &str = "120";
/// Channels of the position in the recording with much data.
const WIDTH: usize = 98;
/// Batches per median, steps per median, medians.
const BATCHES: u64 = 101;
const STEPS: u64 = 7;
const ROUNDS: u64 = 5;

fn main() {
    // `cargo test --benches` runs this, too, without the flag.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let bag = folder.path().join("demos");
    let recorded = Command::new(env!("CARGO_BIN_EXE_df_sim"))
        .args(["record", "--minutes", MINUTES, "--seed", "1", "--out"])
        .arg(&bag)
        .status();
    assert!(recorded.expect("df_sim").success());
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/point_maze.yaml");
    let config = Config::load(&config).expect("the shipped configuration");
    let recording = opening(&config, &bag, &folder.path().join("cache"));
    steps(&config, &recording);
    drop(recording);
    // Many frames and many channels: gigabytes.
    let mut wide = config;
    wide.contract.period_s = 0.001;
    wide.contract.observations[0].fields = vec!["pose.pose.position.x".into(); WIDTH];
    wide.contract.goal = None;
    let recording = opening(&wide, &bag, &folder.path().join("wide"));
    steps(&wide, &recording);
}

/// Reads a bag, then opens its frame cache.
fn opening(config: &Config, bag: &Path, cache: &Path) -> Arc<Recording> {
    let inputs = [Input { path: bag.into(), weight: 1.0 }];
    let open = || {
        let start = Instant::now();
        let recording = load_recording(&config.data(), &inputs, &CachePlace::At(cache.into())).expect("the bag");
        (recording, start.elapsed().as_secs_f64())
    };
    let (recording, first_s) = open();
    let again_s = median((0..ROUNDS).map(|_| open().1));
    let files = std::fs::read_dir(cache).expect("the cache").map(|entry| entry.and_then(|e| e.metadata()));
    let mb = files.map(|about| about.map_or(0, |about| about.len())).sum::<u64>() as f64 / 1e6;
    println!("{}", recording.report[0]);
    println!(
        "read from the bag in {first_s:.2} s; {mb:.1} MB cached, checked and mapped in {:.1} ms, {:.2} s per GB",
        1e3 * again_s,
        again_s / mb * 1e3
    );
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let memory = status.lines().filter(|line| line.starts_with("RssAnon") || line.starts_with("RssFile"));
    println!(
        "resident: {}",
        memory.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(", ")
    );
    Arc::new(recording)
}

/// Times a batch, and a step that trains on it.
fn steps(config: &Config, recording: &Arc<Recording>) {
    let (settings, layout) = (&config.training, &recording.layout);
    let window = settings.window * layout.frame_stack;
    let split = Instant::now();
    let (dataset, _, normaliser) =
        Dataset::split(recording, window, config.contract.period_s, settings.validation_share, settings.seed)
            .expect("windows");
    println!("split and normaliser: {:.1} ms for {} frames", 1e3 * split.elapsed().as_secs_f64(), dataset.frames());
    let spec = TokenSpec::new(&layout.modality_of_channel(), layout.frame_stack);
    let model = &config.model;
    let device = device("flex").expect("built in").autodiff();
    let sizes = NetworkConfig::new(
        model.width,
        model.layers,
        model.heads,
        spec.channels(),
        spec.noise_groups(),
        settings.window,
    );
    let mut network = sizes.init(&device);
    let conditioning = BatchMaker::conditioning_spec(&config.trainer(), layout);
    let maker = BatchMaker::new(spec, normaliser, model, settings, conditioning);
    let features = maker.features();
    let mut optimiser = AdamWConfig::new().init();
    println!("{} windows of {window} frames, {} parameters", dataset.windows(), network.num_params());
    let size = settings.batch as u64;
    let batch = |step: u64| maker.batch(&dataset, step, size * step..size * (step + 1));
    for round in 0..ROUNDS {
        let first = round * BATCHES;
        let batch_s = median((first..first + BATCHES).map(|step| timed(|| drop(batch(step)))));
        let fetch_s =
            median((first..first + BATCHES).map(|step| timed(|| dataset.prefetch(size * step..size * (step + 1)))));
        let step_s = median((first..first + STEPS).map(|step| {
            let mut batch = batch(step);
            timed(|| {
                batch.normalise(batch.total_weight);
                let features = features_tensor(&features, &batch.noisy, &batch.levels, &device);
                let error = network.forward(tensor(&batch.noisy, &device), features) - tensor(&batch.target, &device);
                let loss = (error.clone() * error * tensor(&batch.weight, &device)).sum();
                let gradients = GradientsParams::from_grads(loss.backward(), &network);
                network = optimiser.step(ModuleLearningRate::from(1e-3), network.clone(), gradients);
            })
        }));
        println!(
            "batch of {size}: {:.3} ms, asking for its pages ahead: {:.3} ms; step: {:.1} ms; share of the step: {:.2} %",
            1e3 * batch_s,
            1e3 * fetch_s,
            1e3 * step_s,
            100.0 * (batch_s + fetch_s) / step_s
        );
    }
}

fn tensor(tokens: &Tokens, device: &Device) -> Tensor<3> {
    Tensor::from_data(TensorData::new(tokens.data.clone(), [tokens.batch, tokens.tokens, tokens.channels]), device)
}

fn timed(mut what: impl FnMut()) -> f64 {
    let start = Instant::now();
    what();
    start.elapsed().as_secs_f64()
}

fn median(times: impl Iterator<Item = f64>) -> f64 {
    let mut times: Vec<f64> = times.collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
