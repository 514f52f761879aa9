//! The section `planner`: its keys, their defaults and rules. Every key may change between two ticks.

use df_diffusion::{MatrixKind, SolverKind};
use serde::{Deserialize, Serialize};

use df_core::settings::{Validation, check_ranges, not_negative, require};

use super::catalogue::{CATALOGUE, MAX_SEQUENCES};

/// Where a plan starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlannerMode {
    /// Every tick plans from noise.
    Full,
    /// Every tick shifts the last plan, re-noises it a little, and denoises it by some steps.
    Streaming,
}

/// When a plan's first action is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Latency {
    /// Exactly on the tick. It was planned in the period before, so an observation takes effect one period later.
    Compensated,
    /// As soon as the plan from the tick's own observation is ready.
    Immediate,
}

/// Which gradient of the costs guides the samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GradientKind {
    /// None: costs only choose among the samples.
    #[serde(alias = "off")]
    None,
    /// With respect to the predicted clean tokens.
    Cheap,
    /// With respect to the noisy tokens, through the network.
    Exact,
}

/// How far a guided step goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuidanceStep {
    /// The full gradient step.
    Plain,
    /// A fraction of it, from the curvature of the costs.
    LineSearch,
}

/// The section `planner.guidance`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuidanceConfig {
    /// The gradient of the costs.
    pub gradient: GradientKind,
    /// The length of a step.
    pub step: GuidanceStep,
    /// Samples follow `p(x) exp(-scale cost(x))`.
    pub scale: f64,
    /// Pairs `[level, factor]` by ascending noise level of the acting token. `scale` is multiplied by the linearly interpolated
    /// factor. Empty: the factor is 1.
    pub schedule: Vec<(f64, f64)>,
    /// The norm of the gradient of one sequence is clipped to this, per normalised unit.
    pub max_norm: f64,
}

impl Default for GuidanceConfig {
    fn default() -> Self {
        Self {
            gradient: GradientKind::Exact,
            step: GuidanceStep::Plain,
            scale: 1.0,
            schedule: Vec::new(),
            max_norm: 1.0,
        }
    }
}

impl GuidanceConfig {
    /// The scale while the acting token is at noise level `level`.
    pub fn scale_at(&self, level: f64) -> f64 {
        let after = self.schedule.partition_point(|(at, _)| *at < level);
        let factor = match (after.checked_sub(1).map(|i| self.schedule[i]), self.schedule.get(after)) {
            (Some((from, low)), Some(&(to, high))) => low + (high - low) * (level - from) / (to - from),
            (Some((_, only)), None) | (None, Some(&(_, only))) => only,
            (None, None) => 1.0,
        };
        self.scale * factor
    }
}

/// The section `planner.streaming`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StreamingConfig {
    /// How much a tick raises the noise level of each token before it denoises the token again. A higher level follows new
    /// observations faster. The shift raises levels by at least one token's lag.
    #[serde(alias = "refresh")]
    pub renoise_level: f64,
    /// Network evaluations per tick.
    pub steps_per_tick: usize,
    /// Number of candidates, the last ones, that start from noise at every tick. The others are warm-started.
    #[serde(alias = "fresh")]
    pub num_fresh: usize,
}

impl Default for StreamingConfig {
    fn default() -> Self {
        Self { renoise_level: 0.3, steps_per_tick: 2, num_fresh: 0 }
    }
}

/// The section `planner.warm_start`: how the full mode continues the last plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WarmStartConfig {
    /// Number of candidates, the first ones, that start from the plan chosen last. The others start from noise.
    pub candidates: usize,
    /// The noise level to which that plan is re-noised.
    #[serde(alias = "refresh")]
    pub renoise_level: f64,
}

impl Default for WarmStartConfig {
    fn default() -> Self {
        Self { candidates: 0, renoise_level: 0.7 }
    }
}

/// The section `planner`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlannerConfig {
    /// Where a plan starts from.
    pub mode: PlannerMode,
    /// When its first action is published.
    pub latency: Latency,
    /// Past tokens that a plan is conditioned on.
    pub history: usize,
    /// Future tokens. In the full mode a window slides over a plan that is longer than the network's window.
    pub horizon: usize,
    /// The longest horizon that may be set at run time, tokens.
    #[serde(alias = "horizon_max")]
    pub max_horizon: usize,
    /// The order in which tokens are denoised.
    pub matrix: MatrixKind,
    /// Rows of the scheduling matrix in which one token falls from level 1 to level 0.
    pub denoising_steps: usize,
    /// Rows of the scheduling matrix between one token and the next.
    pub uncertainty_scale: f64,
    /// Alternative plans.
    pub candidates: usize,
    /// Sampled rollouts of each candidate.
    #[serde(alias = "futures")]
    pub rollouts: usize,
    /// Near tokens that the rollouts of a candidate share.
    pub shared_tokens: usize,
    /// Difference of costs at which a candidate has 1/e of the cheapest one's weight in the plan's actions. 0: the cheapest
    /// alone gives the actions.
    #[serde(alias = "blend")]
    pub cost_temperature: f64,
    /// The update from one noise level to the next.
    pub solver: SolverKind,
    /// Fresh noise of DDIM: 0 none, 1 as much as ancestral sampling.
    pub eta: f64,
    /// Standard deviation of the noise that plans start from, normalised.
    pub temperature: f64,
    /// Seed of the noise.
    pub seed: u64,
    /// Keys of the streaming mode.
    pub streaming: StreamingConfig,
    /// How the full mode continues the last plan.
    #[serde(alias = "continued")]
    pub warm_start: WarmStartConfig,
    /// Fraction of the period, from the tick on, after which planning stops with the best plan so far.
    pub deadline: f64,
    /// How costs guide the samples.
    pub guidance: GuidanceConfig,
    /// Whether the goal is also a known future observation.
    pub goal_as_observation: bool,
    /// How long a candidate stays at the goal, seconds.
    pub goal_hold_s: f64,
    /// Time between two frames of that stay in which the goal is known, seconds. Below two periods: all of its frames.
    pub goal_every_s: f64,
    /// Whether the last of several candidates does not know the goal, and costs alone guide it.
    pub goal_free: bool,
    /// Whether the actions of the history are known. Training conditions in the same way.
    pub history_actions: bool,
}

impl Default for PlannerConfig {
    fn default() -> Self {
        Self {
            mode: PlannerMode::Full,
            latency: Latency::Compensated,
            history: 2,
            horizon: 12,
            max_horizon: 64,
            matrix: MatrixKind::Pyramid,
            denoising_steps: 6,
            uncertainty_scale: 0.5,
            candidates: 4,
            rollouts: 2,
            shared_tokens: 2,
            cost_temperature: 0.0,
            solver: SolverKind::Ddim,
            eta: 0.0,
            temperature: 1.0,
            seed: 0,
            streaming: StreamingConfig::default(),
            warm_start: WarmStartConfig::default(),
            deadline: 0.9,
            guidance: GuidanceConfig::default(),
            goal_as_observation: true,
            goal_hold_s: 0.8,
            goal_every_s: 0.0,
            goal_free: true,
            history_actions: true,
        }
    }
}

impl PlannerConfig {
    /// Checks every rule that needs neither a checkpoint nor a layout.
    ///
    /// # Errors
    /// Key, value and rule.
    pub fn check(&self) -> Validation {
        check_ranges(CATALOGUE, "planner", self)?;
        let max = self.max_horizon;
        let rule = format!("must be at most planner.max_horizon, which is {max}");
        require(self.horizon <= max, "planner.horizon", self.horizon, rule)?;
        let sequences = self.candidates.saturating_mul(self.rollouts);
        let rule = format!("times planner.rollouts, which is {}, must be at most {MAX_SEQUENCES}", self.rollouts);
        require(sequences <= MAX_SEQUENCES, "planner.candidates", self.candidates, rule)?;
        let dpm = self.solver == SolverKind::DpmSolver;
        require(!dpm || self.eta == 0.0, "planner.eta", self.eta, "must be 0 with dpm_solver, which adds no noise")?;
        let pyramid = self.mode == PlannerMode::Full || self.matrix == MatrixKind::Pyramid;
        require(pyramid, "planner.matrix", format!("{:?}", self.matrix), "must be pyramid in the streaming mode")?;
        self.guidance.check()
    }
}

impl GuidanceConfig {
    fn check(&self) -> Validation {
        for (i, (level, factor)) in self.schedule.iter().enumerate() {
            let key = format!("planner.guidance.schedule[{i}]");
            unit(&key, *level)?;
            not_negative(&key, *factor)?;
            let ascending = i == 0 || self.schedule[i - 1].0 < *level;
            require(ascending, &key, level, "levels must ascend")?;
        }
        Ok(())
    }
}

fn unit(key: impl Into<String>, value: f64) -> Validation {
    require((0.0..=1.0).contains(&value), key, value, "must lie in [0, 1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_follows_its_schedule() {
        let guidance =
            GuidanceConfig { scale: 2.0, schedule: vec![(0.2, 0.0), (0.6, 1.0)], ..GuidanceConfig::default() };
        // Half way between 0.2 and 0.6: factor 0.5; beyond the ends the last factor holds.
        assert!((guidance.scale_at(0.4) - 1.0).abs() < 1e-12);
        assert_eq!((guidance.scale_at(0.1), guidance.scale_at(1.0)), (0.0, 2.0));
        assert_eq!(GuidanceConfig { scale: 3.0, ..GuidanceConfig::default() }.scale_at(0.5), 3.0);
    }

    #[test]
    fn a_key_out_of_range_is_named() {
        let refusal = |change: fn(&mut PlannerConfig)| {
            let mut config = PlannerConfig::default();
            change(&mut config);
            let broken = config.check().unwrap_err();
            (broken.key, broken.value)
        };
        let named = |key: &str, value: &str| (key.to_string(), value.to_string());
        assert_eq!(refusal(|s| s.horizon = 0), named("planner.horizon", "0"));
        assert_eq!(refusal(|s| s.horizon = 65), named("planner.horizon", "65"));
        assert_eq!(refusal(|s| s.streaming.renoise_level = 1.5), named("planner.streaming.renoise_level", "1.5"));
        assert_eq!(
            refusal(|s| s.guidance.schedule = vec![(0.5, 1.0), (0.5, 1.0)]),
            named("planner.guidance.schedule[1]", "0.5")
        );
    }
}
