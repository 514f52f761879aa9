//! What may lie between the world and the planner: `world.*`.

use anyhow::{Context, Result, bail};
use df_planner::sim::RobotState;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// All of it, none by default.
#[derive(Clone, Debug)]
pub struct Disturbances {
    /// `world.delay_ticks`: ticks until a command takes effect; the one before holds.
    pub delay_ticks: usize,
    /// `world.replan_ticks`: a plan is asked for only so often; in between the rest of the last one is followed (at most
    /// `safety.max_plan_age_s`).
    pub replan_ticks: usize,
    /// `world.missing`: share of the time without odometry.
    missing: f64,
    /// `world.missing_s`: how long it is missing each time; 0: a tick.
    missing_s: f64,
    /// `world.missing_is_planned`: no group is required, so that the planner plans without what is missing.
    pub missing_is_planned: bool,
    /// `world.noise_m`, `world.noise_m_per_s`: deviation of the noise on positions and velocities.
    noise_m: f64,
    noise_m_per_s: f64,
}

impl Default for Disturbances {
    fn default() -> Self {
        Self {
            delay_ticks: 0,
            replan_ticks: 1,
            missing: 0.0,
            missing_s: 0.0,
            missing_is_planned: false,
            noise_m: 0.0,
            noise_m_per_s: 0.0,
        }
    }
}

impl Disturbances {
    /// # Errors
    /// A key that is none, a value that is no number.
    pub fn new<'a>(changes: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let mut all = Self::default();
        for (key, value) in changes {
            if key == "world.missing_is_planned" {
                all.missing_is_planned = value.parse().with_context(|| format!("{key}: {value}: true or false"))?;
                continue;
            }
            let number: f64 = value.parse().with_context(|| format!("{key}: {value}: a number is needed"))?;
            match key {
                "world.delay_ticks" => all.delay_ticks = number as usize,
                "world.replan_ticks" => all.replan_ticks = (number as usize).max(1),
                "world.missing" => all.missing = number,
                "world.missing_s" => all.missing_s = number,
                "world.noise_m" => all.noise_m = number,
                "world.noise_m_per_s" => all.noise_m_per_s = number,
                _ => bail!("{key}: there is no such setting of the world"),
            }
        }
        Ok(all)
    }
}

/// Odometry as it arrives.
pub struct Odometry {
    of: Disturbances,
    period_s: f64,
    rng: ChaCha8Rng,
    /// Ticks for which nothing comes any more.
    silent: usize,
}

impl Odometry {
    pub fn new(of: Disturbances, period_s: f64, seed: u64) -> Self {
        // Another stream than that of the episode, which has the same seed.
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(1);
        Self { of, period_s, rng, silent: 0 }
    }

    /// A new tick: whether anything comes until the next one.
    pub fn tick(&mut self) {
        self.silent = self.silent.saturating_sub(1);
        let ticks = (self.of.missing_s / self.period_s).round().max(1.0);
        // Silences of n ticks that begin with chance p in a tick that is not silent take the share n p / (1 - p + n p).
        let start = self.of.missing / (ticks - (ticks - 1.0) * self.of.missing);
        if self.silent == 0 && self.of.missing > 0.0 && self.rng.random_bool(start) {
            self.silent = ticks as usize;
        }
    }

    /// What is measured, if anything.
    pub fn measured(&mut self, state: RobotState) -> Option<RobotState> {
        let (noise_m, noise_m_per_s) = (self.of.noise_m, self.of.noise_m_per_s);
        let mut noisy = |value: f64, std: f64| value + std * self.rng.sample::<f64, _>(StandardNormal);
        let measured = RobotState {
            position: state.position.map(|x| noisy(x, noise_m)),
            velocity: state.velocity.map(|v| noisy(v, noise_m_per_s)),
        };
        (self.silent == 0).then_some(measured)
    }
}
