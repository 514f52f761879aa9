//! Disturbances between the world and the planner: `world.*`.

use anyhow::{Context, Result, bail};
use df_planner::sim::RobotState;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// The disturbances; none by default.
#[derive(Clone, Debug)]
pub struct Disturbances {
    /// `world.delay_ticks`: ticks until a command takes effect; until then the one before is held.
    pub delay_ticks: usize,
    /// `world.replan_ticks`: ticks between two plans. In between the last plan is followed, for at most
    /// `safety.max_plan_age_s`.
    pub replan_ticks: usize,
    /// `world.missing`: share of the time without odometry.
    missing: f64,
    /// `world.missing_s`: length of each gap, seconds; 0: one tick.
    missing_s: f64,
    /// `world.missing_is_planned`: no group is required, so the planner plans without missing groups.
    pub missing_is_planned: bool,
    /// `world.noise_m`, `world.noise_m_per_s`: standard deviations of the noise on positions and velocities.
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
    /// The disturbances of some `world.*` settings.
    ///
    /// # Errors
    /// An unknown key, a value that is not a number.
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

/// Odometry with missing messages and noise.
pub struct Odometry {
    of: Disturbances,
    period_s: f64,
    rng: ChaCha8Rng,
    /// Remaining ticks without odometry.
    silent: usize,
}

impl Odometry {
    pub fn new(of: Disturbances, period_s: f64, seed: u64) -> Self {
        // A stream of its own: the episode has the same seed.
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(1);
        Self { of, period_s, rng, silent: 0 }
    }

    /// Starts a tick: draws whether odometry is missing until the next one.
    pub fn tick(&mut self) {
        self.silent = self.silent.saturating_sub(1);
        let ticks = (self.of.missing_s / self.period_s).round().max(1.0);
        // Gaps of n ticks that start with probability p in a tick outside of gaps take the share n p / (1 - p + n p).
        let start = self.of.missing / (ticks - (ticks - 1.0) * self.of.missing);
        if self.silent == 0 && self.of.missing > 0.0 && self.rng.random_bool(start) {
            self.silent = ticks as usize;
        }
    }

    /// The measured state, unless it is missing.
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
