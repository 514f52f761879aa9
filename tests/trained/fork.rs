//! A two-mode future: at rest until a fork, then to +1 in 70 % of the episodes and to -1 in the others.

use std::time::Instant;

use df_planner::config::MatrixKind;
use df_planner::data::Episode;
use df_planner::model::Checkpoint;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::bench::{config, episode, sample, trained, turn};

/// Frames of an episode and of a window; the first that differ between the branches.
const FRAMES: usize = 12;
const FORK: usize = 4;
/// Frames in which a branch is walked.
const WALK: usize = 3;
/// Deviation of both channels' noise.
const NOISE: f32 = 0.05;
const ODDS: f64 = 0.7;
const SAMPLES: usize = 500;

/// Position 0 before the fork, then a third of the way more per frame, then there. The action is the velocity, 1 or 0.
fn run(sign: f32, rng: &mut impl Rng) -> Vec<(f32, f32)> {
    let mut noisy = |value: f32| {
        let noise: f32 = StandardNormal.sample(rng);
        value + NOISE * noise
    };
    let walked = |frame: usize| (frame + 1).saturating_sub(FORK).min(WALK);
    (0..FRAMES)
        .map(|k| {
            let moving = if k > 0 && walked(k) > walked(k - 1) { 1.0 } else { 0.0 };
            (noisy(sign * moving), noisy(sign * walked(k) as f32 / WALK as f32))
        })
        .collect()
}

fn model(rng: &mut impl Rng) -> Checkpoint {
    // Exactly seven of ten go to +1: the answer is not an estimate.
    let episodes: Vec<Episode> = (0..2000).map(|i| episode(run(if i % 10 < 7 { 1.0 } else { -1.0 }, rng))).collect();
    let config = config(
        "{width: 32, layers: 2, heads: 2}",
        "{window: 6, batch: 64, steps: 1500, learning_rate: 3.0e-3, warmup_steps: 50, ema_decay: 0.99, validation_share: 0, \
          noise_mix: {planning: 0.8, shared: 0.1, independent: 0.1}}",
    );
    trained(&config, episodes, tempfile::tempdir().unwrap().path())
}

/// The last position of samples that follow `history`, each time another one.
fn ends(model: &Checkpoint, frames: usize, sign: f32, matrix: MatrixKind, rng: &mut impl Rng) -> Vec<f32> {
    let known: Vec<Vec<[Option<f32>; 2]>> = (0..SAMPLES)
        .map(|_| {
            let seen = run(sign, rng);
            (0..FRAMES).map(|k| if k < frames { [Some(seen[k].0), Some(seen[k].1)] } else { [None; 2] }).collect()
        })
        .collect();
    sample(model, &known, matrix, 20, rng).iter().map(|s| s[FRAMES - 1][1]).collect()
}

#[test]
fn both_branches_come_in_their_odds_and_a_history_that_shows_one_gives_that_one() {
    let _turn = turn();
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let started = Instant::now();
    let model = model(&mut rng);
    println!("trained in {:.1} s", started.elapsed().as_secs_f64());
    for matrix in [MatrixKind::FullSequence, MatrixKind::Pyramid] {
        let ends = ends(&model, FORK, 1.0, matrix, &mut rng);
        let count = |is: &dyn Fn(f32) -> bool| ends.iter().filter(|e| is(**e)).count();
        let (plus, between) = (count(&|e| e > 0.0), count(&|e| e.abs() < 0.7));
        let spread = (ends.iter().map(|e| (e.abs() - 1.0).powi(2)).sum::<f32>() / SAMPLES as f32).sqrt();
        println!("{matrix:?}: {plus} of {SAMPLES} to +1, {between} between, spread {spread}");
    }
    for (frames, sign) in [(FORK + 2, 1.0), (FORK + 2, -1.0)] {
        let ends = ends(&model, frames, sign, MatrixKind::Pyramid, &mut rng);
        let right = ends.iter().filter(|e| (*e - sign).abs() < 0.3).count();
        println!("history of {frames} to {sign}: {right} of {SAMPLES}");
    }
}
