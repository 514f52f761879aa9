//! Times one training step beside PyTorch, with the same network, batch, optimizer and threads.
//!
//! ```text
//! cargo bench --no-default-features --features training --bench training                       # flex
//! DF_TORCH_PYTHON=venv/bin/python cargo bench --no-default-features --features training,tch --bench training
//! ```
//! The second needs libtorch (docs/src/how-to/libtorch-and-gpus.md) and a Python with `pip install torch==2.9.0`. The
//! bench names what is missing and leaves it out. Each reading is a process of its own. The sides take turns, so that
//! the load of the machine affects them alike. A step is batch, forward, backward, AdamW with clipping, and moving
//! average. `DF_BENCH_ROUNDS`: readings of each side (5). `DF_BENCH_THREADS`: threads (all cores).

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use df_core::{Frame, Layout};
use df_data::Recording;
use df_diffusion::TokenSpec;
use df_planner::config::Config;
use df_training::parallel::Alone;
use df_training::{BatchMaker, Dataset, Event, NamedDevice, Run, Start, TrainingSetup, device, train};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// The trained network and its batch. Channels and noise groups are those of the shipped contract.
#[derive(Clone, Copy, Serialize)]
struct Shape {
    batch: usize,
    /// Tokens of a window.
    tokens: usize,
    width: usize,
    layers: usize,
    heads: usize,
    /// Steps of a reading; the first [`WARM`] do not count.
    steps: usize,
}

/// The shipped model, and one of eight times its weights.
const SHAPES: [Shape; 2] = [
    Shape { batch: 64, tokens: 16, width: 128, layers: 3, heads: 4, steps: 60 },
    Shape { batch: 64, tokens: 32, width: 256, layers: 6, heads: 8, steps: 20 },
];
/// Steps that do not count: threads start, memory is allocated, the optimizer creates its moments.
const WARM: usize = 5;
const EPISODES: usize = 20;
/// Frames of an episode: a minute.
const FRAMES: usize = 1200;
/// Batches that are timed.
const BATCHES: u64 = 20;

/// A reading: medians, seconds.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Reading {
    step_s: f64,
    /// The part of the batch.
    batch_s: f64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, engine, shape, ..] = arguments.as_slice()
        && flag == "--reading"
    {
        let shape = shape.parse::<usize>().ok().and_then(|number| SHAPES.get(number)).expect("the number of a shape");
        println!("{}", serde_json::to_string(&measure(engine, shape)).expect("numbers"));
    } else if arguments.iter().any(|argument| argument == "--bench") {
        // `cargo test --benches` runs this, too, without the flag.
        compare();
    }
}

/// A side whose step is timed.
struct Runner {
    name: &'static str,
    command: Box<dyn Fn(usize) -> Command>,
}

fn runners() -> Vec<Runner> {
    let own = |name: &'static str| Runner {
        name,
        command: Box::new(move |shape| {
            let mut command = Command::new(std::env::current_exe().expect("this program"));
            command.args(["--reading", name, &shape.to_string()]);
            // As df_train does (src/bin/df_train/heap.rs).
            command.envs(["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"].map(|name| (name, "8589934592")));
            command
        }),
    };
    let mut runners = vec![own("flex")];
    match device("tch") {
        Ok(_) => runners.push(own("tch")),
        Err(_) => println!("tch is left out: built without `--features tch` (docs/src/how-to/libtorch-and-gpus.md)"),
    }
    match std::env::var_os("DF_TORCH_PYTHON") {
        Some(python) => runners.extend(["PyTorch", "PyTorch, fused AdamW"].map(|name| {
            let python = python.clone();
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/pytorch_training.py");
            let command = move |shape: usize| {
                let mut command = Command::new(&python);
                let shape = serde_json::to_string(&SHAPES[shape]).expect("numbers");
                command.arg(&script).args([shape, WARM.to_string(), u8::from(name != "PyTorch").to_string()]);
                command
            };
            Runner { name, command: Box::new(command) }
        })),
        None => println!("PyTorch is left out: DF_TORCH_PYTHON names no Python that has it (pip install torch==2.9.0)"),
    }
    runners
}

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

fn compare() {
    let threads = number("DF_BENCH_THREADS", std::thread::available_parallelism().map_or(1, usize::from));
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or(": unknown")
        .trim_start_matches(['\t', ' ', ':']);
    println!("{cpu}, {threads} threads");
    let runners = runners();
    for (number_of_shape, shape) in SHAPES.iter().enumerate() {
        let mut readings = vec![Vec::new(); runners.len()];
        for _ in 0..number("DF_BENCH_ROUNDS", 5) {
            for (runner, readings) in runners.iter().zip(&mut readings) {
                let mut command = (runner.command)(number_of_shape);
                for variable in ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"] {
                    command.env(variable, threads.to_string());
                }
                let output = command.output().expect("it starts");
                assert!(output.status.success(), "{}: {}", runner.name, String::from_utf8_lossy(&output.stderr));
                readings.push(serde_json::from_slice::<Reading>(&output.stdout).expect("a reading"));
            }
        }
        let Shape { batch, tokens, width, layers, heads, .. } = shape;
        println!("{batch} windows of {tokens} tokens, width {width}, {layers} layers, {heads} heads:");
        let step = |readings: &[Reading]| median(readings.iter().map(|reading| reading.step_s));
        let torch = runners.iter().position(|runner| runner.name == "PyTorch").map(|at| step(&readings[at]));
        for (runner, readings) in runners.iter().zip(&readings) {
            let (step_s, batch_s) = (step(readings), median(readings.iter().map(|reading| reading.batch_s)));
            let min = readings.iter().map(|reading| reading.step_s).fold(f64::INFINITY, f64::min);
            let ratio = torch.map_or(String::new(), |torch| format!(", {:.2}x PyTorch", torch / step_s));
            println!(
                "  {:<22} {:>6.2} ms a step (least {:.2}), {:.0} windows/s{ratio}; the batch {:.2} % of it",
                runner.name,
                step_s * 1e3,
                min * 1e3,
                *batch as f64 / step_s,
                100.0 * batch_s / step_s
            );
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The shipped configuration with another shape, and windows of one length, as PyTorch has them.
fn config(shape: &Shape) -> Config {
    let mut config = Config::parse(include_str!("../config/point_maze.yaml"), Path::new("c.yaml"))
        .expect("the shipped configuration");
    (config.model.width, config.model.layers, config.model.heads) = (shape.width, shape.layers, shape.heads);
    let training = &mut config.training;
    (training.batch, training.window, training.steps) = (shape.batch, shape.tokens, shape.steps);
    training.noise_levels.planning += training.noise_levels.variable_length;
    training.noise_levels.variable_length = 0.0;
    (training.checkpoint_every_s, training.validation_share) = (f64::MAX, 0.0);
    config
}

/// The layout of the shipped contract.
fn layout(config: &Config) -> Layout {
    let mut modalities = vec![("action".to_string(), config.contract.action.fields.clone())];
    modalities.extend(config.contract.observations.iter().map(|group| (group.name.clone(), group.fields.clone())));
    Layout::new(config.contract.frame_stack, modalities)
}

/// Random walks.
fn recording(layout: &Layout) -> Arc<Recording> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut episode = || {
        let mut values = vec![0.0f32; layout.frame_channels()];
        let mut frame = || {
            values.iter_mut().for_each(|value| *value += rng.random_range(-0.1..0.1));
            Frame { values: values.clone(), present: vec![true; layout.modalities.len()], std: Vec::new() }
        };
        ((0..FRAMES).map(|_| frame()).collect(), 1.0)
    };
    Recording::of(layout, (0..EPISODES).map(|_| episode()).collect()).expect("a folder for temporary files")
}

fn measure(engine: &str, shape: &Shape) -> Reading {
    let config = config(shape);
    let layout = layout(&config);
    let device = device(engine).expect("a device that is built in");
    let folder = tempfile::tempdir().expect("a folder");
    let mut ends = Vec::new();
    let mut report = |event: Event| {
        if let Event::Step { .. } = event {
            ends.push(Instant::now());
        }
    };
    let (stop, out) = (AtomicBool::new(false), folder.path().join("model"));
    let run = Run::open(&out, Start::New, &Alone).expect("a place");
    let setup = TrainingSetup {
        config: &config.trainer(),
        recording: &recording(&layout),
        run: &run,
        device: NamedDevice { name: engine, device: &device },
        ranks: &Alone,
        stop: &stop,
    };
    train(&setup, &mut report).expect("it trains");
    let steps = ends.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).skip(WARM - 1);
    Reading { step_s: median(steps), batch_s: batch(&config, &layout) }
}

/// The time of a batch, seconds.
fn batch(config: &Config, layout: &Layout) -> f64 {
    let (training, period_s) = (&config.training, config.contract.period_s);
    let window = training.window * layout.frame_stack;
    let (dataset, _, normaliser) =
        Dataset::split(&recording(layout), window, period_s, 0.0, training.seed).expect("windows that fit");
    let spec = TokenSpec::new(&layout.modality_of_channel(), layout.frame_stack);
    let conditioning = BatchMaker::conditioning_spec(&config.trainer(), layout);
    let maker = BatchMaker::new(spec, normaliser, &config.model, training, conditioning);
    let size = training.batch as u64;
    median((0..BATCHES).map(|step| {
        let start = Instant::now();
        std::hint::black_box(maker.batch(&dataset, step, step * size..(step + 1) * size));
        start.elapsed().as_secs_f64()
    }))
}
