//! The metrics of validation for a process with a known error and coverage: autoregressive actions, observed a tick
//! later.

use df_data::Episode;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::fixture::{config, episode, trained_and_validated, turn};

/// Correlation of an action with the next one; their standard deviation is 1.
const MEMORY: f32 = 0.8;

/// `[action, observation]` per tick; the observation equals the action that led to it.
fn run(frames: usize, rng: &mut impl Rng) -> Vec<[f32; 2]> {
    let mut action: f32 = StandardNormal.sample(rng);
    let mut next = || {
        let innovation: f32 = StandardNormal.sample(rng);
        action = MEMORY * action + (1.0 - MEMORY * MEMORY).sqrt() * innovation;
        [action, action]
    };
    (0..frames).map(|_| next()).collect()
}

#[test]
fn validation_reports_the_error_and_coverage_that_the_process_has() {
    let _turn = turn();
    let mut rng = ChaCha8Rng::seed_from_u64(21);
    let episodes: Vec<Episode> = (0..60).map(|_| episode(run(200, &mut rng))).collect();
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(5, 1200, "{planning: 1}");
    config.training.validation_share = 0.5;
    (config.planner.history, config.planner.horizon, config.planner.denoising_steps) = (1, 4, 20);
    let (checkpoint, validation) = trained_and_validated(&config, episodes, &folder.path().join("model"));
    let validation = validation.unwrap();
    // The loss is stored as text and may lose its last digit.
    assert!((validation.loss - checkpoint.description.provenance.validation_loss).abs() < 1e-12);
    let plans = validation.plans.unwrap();
    // The next action given the last: deviation sqrt(1 - 0.8^2) = 0.6, and the mean of nine samples adds a ninth of
    // that variance: 0.6 sqrt(10/9) = 0.632. Over 32 windows the estimate has a deviation of 0.632 / sqrt(64) = 0.08;
    // three of them.
    let action = &plans.first_action[0];
    assert!((action.std - 1.0).abs() < 0.1 && (action.error - 0.632).abs() < 0.24, "{action:?}");
    // 32 windows of 8 future frames, alike in both channels and correlated in time: some 100 independent values,
    // deviation sqrt(0.8 0.2 / 100) = 0.04; three of them, and as much for the imperfect training.
    assert!((plans.coverage - 0.8).abs() < 0.16, "{}", plans.coverage);
    // The error of a target of unit variance.
    let errors: Vec<f64> = validation.bands.iter().map(|band| band.error.unwrap()).collect();
    assert!(errors.iter().all(|error| (0.0..1.2).contains(error)), "{errors:?}");
}
