//! Bouts of a slowly varying random force (Ornstein-Uhlenbeck) that pushes the robot off its way, so that
//! demonstrations show recoveries. It acts on the world and is never part of the recorded action.

use nalgebra::Vector2;
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

use super::world::STEP_S;

/// Standard deviation of the force per axis during a bout, newtons.
const DEVIATION_N: f64 = 0.5;
/// Correlation time of the force, seconds.
const CORRELATION_S: f64 = 0.4;
/// Mean time from the end of a bout to the next one, seconds.
const MEAN_PAUSE_S: f64 = 6.0;
/// Shortest and longest bout, seconds.
const BOUT_S: std::ops::Range<f64> = 0.5..2.0;

/// The source of the bouts.
#[derive(Clone, Debug)]
pub struct Disturbance {
    force: Vector2<f64>,
    left_s: f64,
}

impl Disturbance {
    /// Starts in a pause.
    pub fn new() -> Self {
        Self { force: Vector2::zeros(), left_s: 0.0 }
    }

    /// The force of the next step, newtons.
    pub fn next(&mut self, rng: &mut impl Rng) -> Vector2<f64> {
        if self.left_s <= 0.0 {
            self.force = Vector2::zeros();
            if rng.random::<f64>() >= STEP_S / MEAN_PAUSE_S {
                return self.force;
            }
            self.left_s = rng.random_range(BOUT_S);
        }
        self.left_s -= STEP_S;
        // The exact discretisation: variance DEVIATION_N^2 is kept whatever the step.
        let keep = (-STEP_S / CORRELATION_S).exp();
        let fresh = DEVIATION_N * (1.0 - keep * keep).sqrt();
        self.force = self.force.map(|f| keep * f + fresh * rng.sample::<f64, _>(StandardNormal));
        self.force
    }
}

impl Default for Disturbance {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn comes_in_bouts_of_bounded_strength() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut disturbance = Disturbance::new();
        let forces: Vec<f64> = (0..1_000_000).map(|_| disturbance.next(&mut rng).x).collect();
        let active = forces.iter().filter(|f| **f != 0.0).count() as f64;
        // Bouts last 1.25 s in the mean, pauses 6 s: a share of 1.25 / 7.25 = 0.17.
        assert!((active / 1e6 - 0.17).abs() < 0.03, "{active}");
        // A bout starts at rest, so its variance stays somewhat below the stationary one.
        let std = (forces.iter().map(|f| f * f).sum::<f64>() / active).sqrt();
        assert!((0.35..0.5).contains(&std), "{std}");
    }
}
