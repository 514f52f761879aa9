//! Run-time settings of the planner, their defaults and rules. Every one may change between two ticks.

use df_diffusion::{MatrixKind, SolverKind};
use serde::{Deserialize, Serialize};

use df_core::settings::{Validation, check_ranges, not_negative, require};

use crate::catalogue::{CATALOGUE, MAX_SEQUENCES};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlannerMode {
    /// From pure noise at every tick.
    Full,
    /// A plan that lives across ticks: shifted, raised by a little noise, denoised by a row.
    Streaming,
}

/// When a plan's first action is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Latency {
    /// Exactly on the tick, planned in the period before: what the newest observation says comes a period later.
    Compensated,
    /// As soon as the plan of the tick's own observation is ready.
    Immediate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GradientKind {
    #[serde(alias = "off")]
    None,
    /// On the predicted clean tokens.
    Cheap,
    /// Through the network.
    Exact,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuidanceStep {
    /// As far as the gradient says.
    Plain,
    /// As far along the gradient as the tilted density says: a line search.
    LineSearch,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuidanceConfig {
    pub gradient: GradientKind,
    pub step: GuidanceStep,
    /// Samples follow `p(x) exp(-scale cost(x))`.
    pub scale: f64,
    /// `[level, factor]` pairs by ascending noise level of the token that holds the action: `scale` is multiplied by the factor, linearly
    /// interpolated. Empty: 1 throughout.
    pub schedule: Vec<(f64, f64)>,
    /// The gradient of one sequence is shortened to this norm, in normalised units.
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
    /// The scale while the token of the action stands at `level`.
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

/// Settings of streaming.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StreamingConfig {
    /// Every tick, each token is raised by this much noise level before it is denoised again: how readily the plan follows
    /// news. At least one row of the pyramid is raised in any case.
    #[serde(alias = "refresh")]
    pub renoise_level: f64,
    /// Network evaluations per tick.
    pub steps_per_tick: usize,
    /// So many candidates, the last ones, begin every tick with noise; the others live on.
    #[serde(alias = "fresh")]
    pub num_fresh: usize,
}

impl Default for StreamingConfig {
    fn default() -> Self {
        Self { renoise_level: 0.3, steps_per_tick: 2, num_fresh: 0 }
    }
}

/// What lives on of a plan in the full mode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WarmStartConfig {
    /// So many candidates, the first ones, begin with the plan that was chosen last; the others with noise.
    pub candidates: usize,
    /// The noise level that it is raised to.
    #[serde(alias = "refresh")]
    pub renoise_level: f64,
}

impl Default for WarmStartConfig {
    fn default() -> Self {
        Self { candidates: 0, renoise_level: 0.7 }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlannerConfig {
    pub mode: PlannerMode,
    pub latency: Latency,
    /// Tokens at noise level 0.
    pub history: usize,
    /// Future tokens. Beyond the network's window the plan is continued by sliding the window.
    pub horizon: usize,
    /// The longest horizon that may be set at run time, tokens.
    #[serde(alias = "horizon_max")]
    pub max_horizon: usize,
    pub matrix: MatrixKind,
    /// Rows in which one token falls from level 1 to level 0.
    pub denoising_steps: usize,
    /// Rows between one token and the next.
    pub uncertainty_scale: f64,
    pub candidates: usize,
    #[serde(alias = "futures")]
    pub rollouts: usize,
    pub shared_tokens: usize,
    /// Difference of costs by which a candidate weighs 1/e of the cheapest one in the plan's actions; 0: it alone counts.
    #[serde(alias = "blend")]
    pub cost_temperature: f64,
    pub solver: SolverKind,
    pub eta: f64,
    pub temperature: f64,
    pub seed: u64,
    pub streaming: StreamingConfig,
    #[serde(alias = "continued")]
    pub warm_start: WarmStartConfig,
    /// Share of the period after which planning stops with the best plan so far.
    pub deadline: f64,
    pub guidance: GuidanceConfig,
    pub goal_as_observation: bool,
    /// How long a candidate stays at the goal, seconds.
    pub goal_hold_s: f64,
    /// How far apart the moments of that stay are in which the goal is known, seconds; below two periods: all of it.
    pub goal_every_s: f64,
    /// Whether the last of several candidates takes no goal as known.
    pub goal_free: bool,
    /// Whether the history's actions are known, beside what was observed. Training shows what is asked here.
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
    /// Every rule that needs neither a checkpoint nor a layout.
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
    fn a_setting_out_of_range_is_named() {
        let refusal = |change: fn(&mut PlannerConfig)| {
            let mut settings = PlannerConfig::default();
            change(&mut settings);
            let broken = settings.check().unwrap_err();
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
