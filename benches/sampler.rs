//! Times what a denoising step costs beside the network: levels, tied tokens, and the update of the solver.
//!
//! The network is replaced by one that returns its input. A step of a network of the shipped sizes is timed for
//! comparison.
//!
//! `cargo bench --no-default-features --bench sampler`

use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use df_diffusion::{
    ConditioningMask, Denoiser, DenoiserError, Levels, MatrixKind, NoiseSchedule, NoiseScheduleKind, SchedulingMatrix,
    Solver, SolverConfig, Tokens, sample,
};
use df_engine::{CheckpointDescription, CpuDenoiser, CpuNetwork, NamedTensor, NetworkConfig};
use df_planning::guidance::average_shared_tokens;

/// 16 rollouts of 32 tokens, one of them history, two of them shared.
const ROLLOUTS: usize = 16;
const TOKENS: usize = 32;
const SHARED: usize = 2;
const SCHEDULE: NoiseSchedule = NoiseSchedule(NoiseScheduleKind::Cosine);

/// A network of these sizes with some weights.
fn network(sizes: &NetworkConfig) -> CpuNetwork {
    let wave = |count: usize| (0..count).map(|i| 0.05 * (i as f32 * 0.7).sin()).collect();
    let tensors = sizes.tensors().map(|(name, shape)| {
        let values = wave(shape.iter().product());
        (name, NamedTensor { shape, values })
    });
    CpuNetwork::new(&tensors.collect(), sizes).expect("weights of these sizes")
}

fn bookkeeping(criterion: &mut Criterion) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/point_maze");
    let shipped = CheckpointDescription::load(&root).expect("the shipped model");
    let spec = shipped.spec();
    // A pyramid: the time divided by the number of its steps is that of a step.
    let matrix = SchedulingMatrix::new(MatrixKind::Pyramid, TOKENS - 1, 20, 0.3).expect("a matrix");
    let mut known = ConditioningMask::unconditioned(ROLLOUTS, TOKENS, &spec);
    for b in 0..ROLLOUTS {
        for noise_group in 0..spec.noise_groups() {
            known.condition((b, 0, noise_group), 0.0, [0.1, 0.2]).expect("a level");
        }
    }
    let mut start = Tokens::zeros(ROLLOUTS, TOKENS, spec.channels());
    start.data.iter_mut().enumerate().for_each(|(i, v)| *v = (i as f32 * 0.7).sin());
    let mut group = criterion.benchmark_group(format!("step_{ROLLOUTS}x{TOKENS}"));
    for (name, kind) in [("ddim", SolverConfig::ddim(0.0)), ("dpm_solver", SolverConfig::dpm_solver())] {
        group.bench_function(format!("bookkeeping_{name}_x{}", matrix.steps()), |bencher| {
            bencher.iter(|| {
                let mut x = start.clone();
                let mut solver = Solver::new(kind, SCHEDULE, &spec);
                sample(&mut x, &known, &matrix, &mut solver, &mut |_| (), &mut |step| {
                    let mut clean = step.x.clone();
                    average_shared_tokens(&mut clean, ROLLOUTS, 1, SHARED);
                    Ok::<_, DenoiserError>(Some(clean))
                })
                .expect("steps")
            });
        });
    }
    let network = network(&NetworkConfig { tokens: TOKENS, ..shipped.network.clone() });
    let mut denoiser = CpuDenoiser::new(network, shipped.conditioning_features(), shipped.objective());
    let levels = Levels::filled(ROLLOUTS, TOKENS, spec.noise_groups(), 0.6);
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
