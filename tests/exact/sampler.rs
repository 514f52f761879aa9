//! The sampler: every scheduling matrix, all solvers, and several patterns of known values.

use df_diffusion::{
    ConditioningMask, Denoiser, DenoiserError, NoiseSchedule, SchedulingMatrix, Solver, SolverConfig, TokenSpec,
    Tokens, sample,
};
use df_diffusion::{MatrixKind, NoiseScheduleKind};
use nalgebra::DVector;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::process::Process;
use super::statistics::{SIGNIFICANCE, against_normal};

const TOKENS: usize = 5;
/// One action, two observations: modalities 0 and 1.
const CHANNELS: usize = 3;
const SAMPLES: usize = 2000;
const MATRICES: [MatrixKind; 4] =
    [MatrixKind::FullSequence, MatrixKind::Pyramid, MatrixKind::Autoregressive, MatrixKind::Trapezoid];

fn spec() -> TokenSpec {
    TokenSpec::new(&[0, 1, 1], 1)
}

/// A known value: token, modality, level.
type Pattern = &'static [(usize, usize, f32)];

const PATTERNS: [(&str, Pattern); 5] = [
    ("history known", &[(0, 0, 0.0), (0, 1, 0.0), (1, 0, 0.0), (1, 1, 0.0)]),
    (
        "a modality missing in the middle",
        &[(0, 0, 0.0), (0, 1, 0.0), (1, 0, 0.0), (1, 1, 1.0), (2, 0, 0.0), (2, 1, 0.0)],
    ),
    ("last token known", &[(0, 0, 0.0), (0, 1, 0.0), (4, 0, 0.0), (4, 1, 0.0)]),
    ("a noisy sensor", &[(0, 0, 0.0), (0, 1, 0.4), (1, 0, 0.0), (1, 1, 0.2)]),
    ("actions known", &[(0, 0, 0.0), (0, 1, 0.0), (1, 0, 0.0), (2, 0, 0.0), (3, 0, 0.0), (4, 0, 0.0)]),
];

/// Samples and the exact conditional of what is sampled.
fn run(process: &Process, pattern: Pattern, matrix: &SchedulingMatrix, kind: SolverConfig, seed: u64) -> (f64, f64) {
    let (spec, schedule) = (spec(), NoiseSchedule(NoiseScheduleKind::Cosine));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let truth = process.sample(&mut rng);
    let channels = |modality: usize| if modality == 0 { 0..1 } else { 1..3 };
    let mut known = ConditioningMask::unconditioned(SAMPLES, TOKENS, &spec);
    let mut given = Vec::new();
    for &(token, modality, level) in pattern {
        let (alpha, sigma) = schedule.alpha_sigma(level);
        let std = f64::from(sigma) / f64::from(alpha);
        let values: Vec<f64> = channels(modality)
            .map(|c| {
                let noise: f64 = StandardNormal.sample(&mut rng);
                truth[token * CHANNELS + c] + if level < 1.0 { std * noise } else { 0.0 }
            })
            .collect();
        for b in 0..SAMPLES {
            known.condition((b, token, modality), level, values.iter().map(|&v| v as f32)).unwrap();
        }
        if level < 1.0 {
            given.extend(channels(modality).zip(&values).map(|(c, &v)| (token * CHANNELS + c, v, std.powi(2))));
        }
    }
    let wanted: Vec<usize> = (0..TOKENS * CHANNELS)
        .filter(|i| known.is_sampled(0, i / CHANNELS, spec.noise_group_of_channel[i % CHANNELS]))
        .collect();
    let x = sampled(process, &known, matrix, kind, &mut rng);
    let samples: Vec<DVector<f64>> = (0..SAMPLES)
        .map(|b| DVector::from_iterator(wanted.len(), wanted.iter().map(|&i| f64::from(x.sequence(b)[i]))))
        .collect();
    let (mean, covariance) = process.given(&given, &wanted);
    against_normal(&samples, &mean, &covariance)
}

fn sampled(
    process: &Process,
    known: &ConditioningMask,
    matrix: &SchedulingMatrix,
    kind: SolverConfig,
    rng: &mut ChaCha8Rng,
) -> Tokens {
    let (spec, schedule) = (spec(), NoiseSchedule(NoiseScheduleKind::Cosine));
    let mut denoiser = process.denoiser(schedule, &spec);
    let mut noise = |x: &mut Tokens| x.data.iter_mut().for_each(|v| *v = StandardNormal.sample(rng));
    let mut x = Tokens::zeros(known.batch(), TOKENS, CHANNELS);
    noise(&mut x);
    known.apply(&mut x, schedule);
    let mut solver = Solver::new(kind, schedule, &spec);
    sample(&mut x, known, matrix, &mut solver, &mut noise, &mut |step| denoiser.denoise(step.x, step.levels).map(Some))
        .unwrap_or_else(|error: DenoiserError| panic!("{error}"));
    x
}

/// 4 matrices x 3 solvers x 5 patterns x 2 statistics at 1e-4 each: a correct sampler fails one of them with 1.2 %; the
/// seeds are fixed.
#[test]
fn samples_have_the_exact_conditional_distribution() {
    assert_eq!(SIGNIFICANCE, 1e-4);
    let process = Process::draw(TOKENS, CHANNELS, 7);
    let mut wrong = Vec::new();
    for (m, matrix_kind) in MATRICES.into_iter().enumerate() {
        // The first-order solvers need more rows than the second-order one for errors below those of 2000 samples.
        for (kind, steps) in
            [(SolverConfig::ddim(0.0), 240), (SolverConfig::ddim(1.0), 400), (SolverConfig::dpm_solver(), 48)]
        {
            let slope = steps as f64 / 4.0;
            let matrix = SchedulingMatrix::new(matrix_kind, TOKENS, steps, slope).unwrap();
            for (p, (name, pattern)) in PATTERNS.iter().enumerate() {
                let (of_mean, of_covariance) = run(&process, pattern, &matrix, kind, (10 * m + p) as u64);
                if of_mean > 1.0 || of_covariance > 1.0 {
                    wrong.push(format!(
                        "{matrix_kind:?} {kind:?} {name}: mean {of_mean:.2}, covariance {of_covariance:.2}"
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The test of the distribution detects a wrong sampler: one that ignores half of its last steps.
#[test]
fn the_distribution_test_detects_a_wrong_sampler() {
    let process = Process::draw(TOKENS, CHANNELS, 7);
    // One step from pure noise gives the conditional mean: no covariance at all; three steps too little of it.
    let matrix = SchedulingMatrix::new(MatrixKind::FullSequence, TOKENS, 3, 0.0).unwrap();
    let (_, of_covariance) = run(&process, PATTERNS[0].1, &matrix, SolverConfig::ddim(0.0), 1);
    assert!(of_covariance > 1.0, "{of_covariance}");
}

/// Error against the exact flow falls with the steps: order 1 for DDIM, order 2 for DPM-Solver++(2M), for mixed levels
/// too.
#[test]
fn the_multistep_solver_is_of_second_order() {
    let process = Process::draw(TOKENS, CHANNELS, 7);
    let known = ConditioningMask::unconditioned(20, TOKENS, &spec());
    for matrix_kind in [MatrixKind::FullSequence, MatrixKind::Pyramid] {
        let end = |kind: SolverConfig, steps: usize| {
            let matrix = SchedulingMatrix::new(matrix_kind, TOKENS, steps, steps as f64 / 4.0).unwrap();
            sampled(&process, &known, &matrix, kind, &mut ChaCha8Rng::seed_from_u64(3))
        };
        let exact = end(SolverConfig::dpm_solver(), 2048);
        let error = |kind, steps| {
            let x = end(kind, steps);
            let squares: f32 = x.data.iter().zip(&exact.data).map(|(a, b)| (a - b).powi(2)).sum();
            f64::from(squares / x.data.len() as f32).sqrt()
        };
        let ddim = SolverConfig::ddim(0.0);
        let order = |kind| (error(kind, 16) / error(kind, 64)).log2() / 2.0;
        let (first, second) = (order(ddim), order(SolverConfig::dpm_solver()));
        println!(
            "{matrix_kind:?}: orders {first:.2} and {second:.2}; errors at 16 steps {:.4} and {:.4}",
            error(ddim, 16),
            error(SolverConfig::dpm_solver(), 16)
        );
        assert!((0.8..1.3).contains(&first), "DDIM: {first}");
        assert!(second > 1.6, "DPM-Solver++: {second}");
        // The second-order solver has a smaller error with a third of the steps.
        assert!(error(SolverConfig::dpm_solver(), 16) < error(ddim, 48));
    }
}
