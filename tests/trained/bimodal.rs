//! Bimodal data: at rest until a fork, then to +1 in 70 % of the episodes and to -1 in 30 %.

use df_data::Episode;
use df_diffusion::MatrixKind;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::fixture::{QueryFrame, config, episode, root_mean_square, sample_queries, trained, turn};

/// Frames of an episode, which is one window, and the first that differs between the branches.
const FRAMES: usize = 8;
const FORK: usize = 4;
/// The number of frames of the motion.
const WALK: usize = 3;
/// Standard deviation of the noise on both channels.
const NOISE: f32 = 0.1;
const ODDS: f64 = 0.7;
const SAMPLES: usize = 400;
/// Rows per token. The exact denoiser of this fork goes to +1 in 74 % with 10 rows and in 70 % with 100.
const STEPS: usize = 64;

/// The position is 0 up to the fork, then moves by a third per frame to `sign`. The action is `sign` while it moves,
/// else 0.
fn run(sign: f32, rng: &mut impl Rng) -> Vec<[f32; 2]> {
    let walked = |frame: usize| (frame + 1).saturating_sub(FORK).min(WALK);
    let mut noise = || -> f32 { NOISE * Distribution::<f32>::sample(&StandardNormal, rng) };
    let moving = |k: usize| f32::from(u8::from((FORK..FORK + WALK).contains(&k)));
    (0..FRAMES).map(|k| [sign * moving(k) + noise(), sign * walked(k) as f32 / WALK as f32 + noise()]).collect()
}

#[test]
fn both_modes_are_sampled_in_their_proportion_and_evidence_of_one_selects_it() {
    let _turn = turn();
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    // Exactly seven of ten go to +1, so that the true share has no sampling error.
    let branch = |i: usize| if i % 10 < 7 { 1.0 } else { -1.0 };
    let episodes: Vec<Episode> = (0..2000).map(|i| episode(run(branch(i), &mut rng))).collect();
    let folder = tempfile::tempdir().unwrap();
    let model = trained(&config(FRAMES / 2, 2000, "{planning: 1}"), episodes, &folder.path().join("model"));

    // Samples the last position of runs along one branch. `known(k)` marks the known channels of frame k.
    let mut ends = |sign: f32, known: &dyn Fn(usize) -> [bool; 2], matrix| -> Vec<f32> {
        let query = |run: Vec<[f32; 2]>| -> Vec<QueryFrame> {
            run.iter().enumerate().map(|(k, frame)| [0, 1].map(|c| known(k)[c].then_some(frame[c]))).collect()
        };
        let queries: Vec<Vec<QueryFrame>> = (0..SAMPLES).map(|_| query(run(sign, &mut rng))).collect();
        sample_queries(&model, &queries, (matrix, STEPS), &mut rng).iter().map(|frames| frames[FRAMES - 1][1]).collect()
    };
    for matrix in [MatrixKind::FullSequence, MatrixKind::Pyramid] {
        let ends = ends(1.0, &|k| [k < FORK; 2], matrix);
        // A two-sided binomial test that the odds are 0.7, at a significance of 0.001: 3.29 deviations of sqrt(400 *
        // 0.7 * 0.3) = 9.2, so 250 to 310 of 400. Odds of 0.5 would pass with a probability below 1e-6. Trained with
        // six seeds, 3000 samples each: odds of 0.68 to 0.73.
        let plus = ends.iter().filter(|end| **end > 0.0).count() as f64;
        let std = (SAMPLES as f64 * ODDS * (1.0 - ODDS)).sqrt();
        assert!((plus - SAMPLES as f64 * ODDS).abs() < 3.29 * std, "{matrix:?}: {plus} of {SAMPLES} to +1");
        // No sample lies between the modes, more than 4 standard deviations of the noise from both.
        let between = ends.iter().filter(|end| end.abs() < 1.0 - 4.0 * NOISE).count();
        assert!(between <= SAMPLES / 50, "{matrix:?}: {between} of {SAMPLES} between the branches");
        let spread = root_mean_square(ends.iter().map(|end| end.abs() - 1.0));
        assert!((0.5 * NOISE..2.0 * NOISE).contains(&spread), "{matrix:?}: {spread} around a branch");
    }
    for sign in [1.0, -1.0] {
        // A history that contains the branch, and one that does not, with the next action committed.
        let shown: [&dyn Fn(usize) -> [bool; 2]; 2] = [&|k| [k < FORK + 2; 2], &|k| [k <= FORK, k < FORK]];
        for (i, known) in shown.into_iter().enumerate() {
            let ends = ends(sign, known, MatrixKind::Pyramid);
            let there = ends.iter().filter(|end| (**end - sign).abs() < 4.0 * NOISE).count();
            assert!(there >= SAMPLES - SAMPLES / 20, "{i}: {there} of {SAMPLES} to {sign}");
        }
    }
}
