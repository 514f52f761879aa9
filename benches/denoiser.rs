//! Times one denoising step, plain and with gradient, by device and shape, and one guided plan.
//!
//! `cargo bench --no-default-features --features training --bench denoiser`

use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use df_core::{Frame, History};
use df_diffusion::{Denoiser, Levels, Tokens};
use df_engine::NetworkConfig;
use df_planner::config::Config;
use df_planner::load_planner;
use df_planning::{Budget, PlanRequest};
use df_training::{Checkpoint, Engine, InitNetwork, denoiser, engine};

/// Devices that are measured.
const DEVICES: [&str; 2] = ["cpu", "flex"];
/// Sequences and tokens. The last is longer than the shipped model takes: a network of its sizes with random weights.
const SHAPES: [(usize, usize); 3] = [(1, 14), (8, 14), (16, 32)];

fn root(below: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

fn shipped(engine: &Engine) -> Checkpoint {
    Checkpoint::load(&root("models/point_maze"), &engine.device()).expect("the shipped model")
}

fn denoiser_of(engine: &Engine, tokens: usize) -> Box<dyn Denoiser + Send> {
    let shipped = shipped(engine);
    if tokens <= shipped.description.network.tokens {
        return shipped.denoiser(engine).expect("the shipped weights");
    }
    let sizes = NetworkConfig { tokens, ..shipped.description.network.clone() };
    let network = sizes.init(&engine.device()).into();
    let (features, objective) = (shipped.description.conditioning_features(), shipped.description.objective());
    denoiser(&network, engine, features, objective, &sizes).expect("weights of these sizes")
}

fn steps(criterion: &mut Criterion) {
    for name in DEVICES {
        let engine = engine(name).expect("a built-in device");
        let mut group = criterion.benchmark_group(format!("denoising_step/{name}"));
        for (batch, tokens) in SHAPES {
            let mut denoiser = denoiser_of(&engine, tokens);
            let spec = shipped(&engine).description.spec();
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
                let mut gradient_of_cost = |_: &Tokens| cotangent.clone();
                bencher.iter(|| denoiser.denoise_with_gradient(&x, &levels, &mut gradient_of_cost).expect("finite"));
            });
        }
    }
}

/// The shipped configuration, for a robot at rest in the centre of the maze.
fn plans(criterion: &mut Criterion) {
    let config = Config::load(&root("config/point_maze.yaml")).expect("the shipped configuration");
    let layout = shipped(&engine("cpu").expect("built in")).description.layout;
    let frame = Frame {
        values: vec![0.0; layout.frame_channels()],
        present: vec![true; layout.modalities.len()],
        std: Vec::new(),
    };
    let mut history = History::new(&layout, config.planner.history);
    (0..config.planner.history * layout.frame_stack).for_each(|_| history.push(frame.clone()));
    let committed = vec![0.0; layout.action().len()];
    let goal = vec![1.0; config.contract.goal.as_ref().map_or(0, |g| g.fields.len())];
    let mut request = PlanRequest { tick_ns: 0, history, committed: Some(committed), goal };
    let mut group = criterion.benchmark_group("plan");
    for name in DEVICES {
        let mut planner = load_planner(&root("models/point_maze"), &config, &layout, name).expect("they fit");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                // Each tick draws its own noise.
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
