//! How long one denoising step takes, plain and with gradient, per engine and shape, and one whole guided plan.
//!
//! `cargo bench --profile dev --no-default-features --bench denoiser`

use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use df_planner::config::Config;
use df_diffusion::{Denoiser, Levels, NoiseSchedule, Objective, Tokens};
use df_training::model::{Checkpoint, Engine, NetworkConfig, NetworkDenoiser, engine};
use df_planning::{Budget, PlanRequest, Planner};
use df_core::{Frame, History};

const ENGINES: [&str; 2] = ["cpu", "flex"];
/// Sequences and tokens. The last is more than the shipped model takes: a network of its sizes with random weights.
const SHAPES: [(usize, usize); 3] = [(1, 14), (8, 14), (16, 32)];

fn root(below: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

fn shipped(engine: &Engine) -> Checkpoint {
    Checkpoint::load(&root("models/point_maze"), &engine.device()).expect("the shipped model")
}

fn denoiser(engine: &Engine, tokens: usize) -> NetworkDenoiser {
    let shipped = shipped(engine);
    if tokens <= shipped.sizes.tokens {
        return shipped.denoiser(engine);
    }
    let network = NetworkConfig { tokens, ..shipped.sizes.clone() }.init(&engine.device());
    let (schedule, objective) = (NoiseSchedule(shipped.model.noise_schedule), Objective(shipped.model.objective));
    NetworkDenoiser::new(network, engine, shipped.spec(), schedule, objective, tokens)
}

fn steps(criterion: &mut Criterion) {
    for name in ENGINES {
        let engine = engine(name).expect("a built-in engine");
        let mut group = criterion.benchmark_group(format!("denoising_step/{name}"));
        for (batch, tokens) in SHAPES {
            let mut denoiser = denoiser(&engine, tokens);
            let spec = shipped(&engine).spec();
            let mut x = Tokens::zeros(batch, tokens, spec.channels());
            x.data.iter_mut().enumerate().for_each(|(i, v)| *v = (i as f32 * 0.7).sin());
            // History clean, the future in noise.
            let mut levels = Levels::filled(batch, tokens, spec.noise_groups(), 0.6);
            (0..batch).for_each(|b| levels.at_mut(b, 0).fill(0.0));
            let cotangent = x.clone();
            group.bench_function(format!("plain/{batch}x{tokens}"), |bencher| {
                bencher.iter(|| denoiser.denoise(&x, &levels).expect("finite"));
            });
            group.bench_function(format!("guided/{batch}x{tokens}"), |bencher| {
                let mut pull = |_: &Tokens| cotangent.clone();
                bencher.iter(|| denoiser.denoise_with_gradient(&x, &levels, &mut pull).expect("finite"));
            });
        }
    }
}

/// The shipped setting, at the centre of the maze at rest.
fn plans(criterion: &mut Criterion) {
    let config = Config::load(&root("config/point_maze.yaml")).expect("the shipped configuration");
    let layout = shipped(&engine("cpu").expect("built in")).layout;
    let frame = Frame {
        values: vec![0.0; layout.frame_channels()],
        present: vec![true; layout.modalities.len()],
        std: Vec::new(),
    };
    let mut history = History::new(&layout, config.planner.history);
    (0..config.planner.history * layout.frame_stack).for_each(|_| history.push(frame.clone()));
    let committed = vec![0.0; layout.action().len()];
    let goal = vec![1.0; config.goal.as_ref().map_or(0, |g| g.fields.len())];
    let mut request = PlanRequest { tick_ns: 0, history, committed: Some(committed), goal };
    let mut group = criterion.benchmark_group("plan");
    for name in ENGINES {
        let mut planner = Planner::load(&root("models/point_maze"), &config, &layout, name).expect("they fit");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                // Every tick draws its own noise.
                request.tick_ns += config.contract.period_ns();
                planner.plan(&request, &Budget::unlimited()).expect("a plan")
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = steps, plans
}
criterion_main!(benches);
