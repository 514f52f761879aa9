//! What a denoising step costs beside the network: levels, sharing, the solver's update, noise. The network is replaced by one that
//! answers at once; the step of the shipped network stands beside it.
//!
//! `cargo bench --profile dev --no-default-features --bench sampler`

use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use df_diffusion::{MatrixKind, NoiseScheduleKind};
use df_diffusion::{Denoiser, DenoiserError, ConditioningMask, Levels, NoiseSchedule, SchedulingMatrix, Solver, SolverConfig, Tokens, sample};
use df_planning::guidance::share;
use df_training::model::{Checkpoint, NetworkConfig, NetworkDenoiser, engine};

/// 16 futures of 32 tokens, one of them history.
const FUTURES: usize = 16;
const TOKENS: usize = 32;
const SHARED: usize = 2;
const SCHEDULE: NoiseSchedule = NoiseSchedule(NoiseScheduleKind::Cosine);

fn bookkeeping(criterion: &mut Criterion) {
    let engine = engine("cpu").expect("built in");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/point_maze");
    let shipped = Checkpoint::load(&root, &engine.device()).expect("the shipped model");
    let spec = shipped.spec();
    // Rows of a pyramid in which all tokens move: as many steps as rows, so that the time is that of steps.
    let matrix = SchedulingMatrix::new(MatrixKind::Pyramid, TOKENS - 1, 20, 0.3).expect("a matrix");
    let mut known = ConditioningMask::nothing(FUTURES, TOKENS, &spec);
    for b in 0..FUTURES {
        for noise_group in 0..spec.noise_groups() {
            known.hold((b, 0, noise_group), 0.0, [0.1, 0.2]).expect("a level");
        }
    }
    let mut start = Tokens::zeros(FUTURES, TOKENS, spec.channels());
    start.data.iter_mut().enumerate().for_each(|(i, v)| *v = (i as f32 * 0.7).sin());
    let mut group = criterion.benchmark_group(format!("step_{FUTURES}x{TOKENS}"));
    for (name, kind) in [("ddim", SolverConfig::ddim(0.0)), ("dpm_solver", SolverConfig::dpm_solver())] {
        group.bench_function(format!("bookkeeping_{name}_x{}", matrix.steps()), |bencher| {
            bencher.iter(|| {
                let mut x = start.clone();
                let mut solver = Solver::new(kind, SCHEDULE, &spec);
                sample(&mut x, &known, &matrix, &mut solver, &mut |_| (), &mut |step| {
                    let mut clean = step.x.clone();
                    share(&mut clean, FUTURES, 1, SHARED);
                    Ok::<_, DenoiserError>(Some(clean))
                })
                .expect("steps")
            });
        });
    }
    let network = NetworkConfig { tokens: TOKENS, ..shipped.sizes.clone() }.init(&engine.device());
    let objective = df_diffusion::Objective(shipped.model.objective);
    let mut denoiser = NetworkDenoiser::new(network, &engine, spec.clone(), SCHEDULE, objective, TOKENS);
    let levels = Levels::filled(FUTURES, TOKENS, spec.noise_groups(), 0.6);
    group
        .bench_function("network_plain", |bencher| bencher.iter(|| denoiser.denoise(&start, &levels).expect("finite")));
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = bookkeeping
}
criterion_main!(benches);
