//! The one YAML file that every program reads: composes the sections that the crates own.
//!
//! Each section's keys, defaults and rules stand beside what it configures. Here is which sections there are, and the
//! rules between them. A build without the feature `training` ignores the section `training`; one without `recordings`
//! ignores `columns`.

mod deprecated;
#[cfg(feature = "training")]
pub mod reference;

use std::path::Path;

pub use deprecated::{current_key, current_value};
use df_core::settings::{Setting, ValidationError};
use df_core::{ConfigError, Contract, Document};
#[cfg(feature = "recordings")]
use df_data::{ColumnsConfig, DataConfig, ReadingConfig};
use df_engine::ModelConfig;
use df_planning::costs::CostConfig;
use df_planning::{OperatingMode, PlannerConfig, PlanningConfig, SafetyConfig};
#[cfg(feature = "training")]
use df_training::{TrainerConfig, TrainingConfig};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// A validated configuration. The contract keeps its text, so that it can be stored in a checkpoint and cited in messages.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Topics, fields, period; the goal.
    pub contract: Contract,
    /// The section `model`.
    pub model: ModelConfig,
    /// The section `planner`.
    pub planner: PlannerConfig,
    /// The key `mode`.
    pub mode: OperatingMode,
    /// The section `safety`.
    pub safety: SafetyConfig,
    /// The list `costs`.
    pub costs: Vec<CostConfig>,
    /// The section `training`.
    #[cfg(feature = "training")]
    pub training: TrainingConfig,
    /// The keys of `training` that reading demonstrations needs.
    #[cfg(feature = "recordings")]
    pub reading: ReadingConfig,
    /// The section `columns`.
    #[cfg(feature = "recordings")]
    pub columns: ColumnsConfig,
    /// Old names of keys that the file uses. The program that reads it prints them.
    pub warnings: Vec<String>,
}

/// Every key at the top of a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read to refuse unknown keys")]
struct TopLevel {
    period_s: IgnoredAny,
    frame_stack: IgnoredAny,
    observations: IgnoredAny,
    action: IgnoredAny,
    goal: Option<IgnoredAny>,
    model: Option<IgnoredAny>,
    planner: Option<IgnoredAny>,
    mode: Option<IgnoredAny>,
    safety: Option<IgnoredAny>,
    costs: Option<IgnoredAny>,
    training: Option<IgnoredAny>,
    columns: Option<IgnoredAny>,
}

impl Config {
    /// Reads and validates a file.
    ///
    /// # Errors
    /// [`ConfigError`] with the file, and, where one key is at fault, its line, value and the rule that it breaks.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        Self::read(Document::load(file)?)
    }

    /// Validates a text; `file` is only cited.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        Self::read(Document::new(text, file))
    }

    /// [`Config::load`], with its warnings on the standard error.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_and_warn(file: &Path) -> Result<Self, ConfigError> {
        let config = Self::load(file)?;
        config.warnings.iter().for_each(|warning| eprintln!("warning: {}: {warning}", file.display()));
        Ok(config)
    }

    fn read(document: Document) -> Result<Self, ConfigError> {
        document.read::<TopLevel>()?;
        let warnings = deprecated::warnings(&document.text);
        let model = document.section("model")?;
        #[cfg(feature = "training")]
        let training: TrainingConfig = document.section("training")?;
        #[cfg(feature = "recordings")]
        let (reading, columns) = (document.section("training")?, document.section("columns")?);
        let PlanningConfig { contract, planner, mode, safety, costs } = PlanningConfig::read_unchecked(document)?;
        let config = Self {
            contract,
            model,
            planner,
            mode,
            safety,
            costs,
            #[cfg(feature = "training")]
            training,
            #[cfg(feature = "recordings")]
            reading,
            #[cfg(feature = "recordings")]
            columns,
            warnings,
        };
        config.check().map_err(|broken| config.contract.document.locate(broken))?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ValidationError> {
        self.contract.check()?;
        #[cfg(feature = "training")]
        self.trainer().check()?;
        self.planning().check()?;
        #[cfg(feature = "recordings")]
        self.columns.check(&self.contract.group_names())?;
        Ok(())
    }

    /// What planner and control loop are made from.
    pub fn planning(&self) -> PlanningConfig {
        let Self { contract, planner, mode, safety, costs, .. } = self.clone();
        PlanningConfig { contract, planner, mode, safety, costs }
    }

    /// What reading demonstrations needs.
    #[cfg(feature = "recordings")]
    pub fn data(&self) -> DataConfig {
        DataConfig::new(self.contract.clone(), self.columns.clone(), self.reading.clone())
    }

    /// What a training run is made from.
    #[cfg(feature = "training")]
    pub fn trainer(&self) -> TrainerConfig {
        let Self { contract, planner, model, training, .. } = self.clone();
        TrainerConfig { contract, planner, model, training }
    }

    /// Every setting that may change while the planner runs; see [`PlanningConfig::settings`].
    pub fn settings(&self) -> Vec<(String, Setting)> {
        self.planning().settings()
    }

    /// The configuration with some of [`Config::settings`] changed, all of them or none.
    ///
    /// # Errors
    /// As [`PlanningConfig::changed`].
    pub fn changed(&self, changes: &[(String, Setting)]) -> Result<Self, ValidationError> {
        let PlanningConfig { planner, safety, costs, .. } = self.planning().changed(changes)?;
        Ok(Self { planner, safety, costs, ..self.clone() })
    }

    /// The refusal of one key by another module, located in this file; see [`Document::refuse`].
    pub fn refuse(&self, key: &str, value: impl ToString, rule: impl ToString) -> ConfigError {
        self.contract.refuse(key, value, rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = include_str!("../../config/point_maze.yaml");

    fn refusal(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from), "the shipped configuration no longer has `{from}`");
        Config::parse(&GOOD.replacen(from, to, 1), Path::new("c.yaml")).expect_err(to).to_string()
    }

    #[test]
    fn the_shipped_configuration_is_valid() {
        Config::parse(GOOD, Path::new("c.yaml")).unwrap();
    }

    #[test]
    fn a_refusal_names_file_line_key_value_and_rule() {
        let line = 1 + GOOD.lines().position(|l| l.starts_with("period_s")).unwrap();
        assert_eq!(
            refusal("period_s: 0.05", "period_s: 0"),
            format!("c.yaml:{line}: period_s: 0: must be a finite number above 0")
        );
        let line = 1 + GOOD.lines().position(|l| l.starts_with("  min:")).unwrap();
        assert_eq!(
            refusal("min: [-4.0, -4.0]", "min: [5.0, -4.0]"),
            format!("c.yaml:{line}: action.min: 5: must be below action.max, which is 4 for channel 0")
        );
    }

    #[test]
    fn unknown_keys_and_wrong_types_are_refused_with_their_place() {
        let unknown = refusal("frame_stack: 8", "frame_stak: 8");
        assert!(unknown.contains("frame_stak") && unknown.contains("line"), "{unknown}");
        let wrong = refusal("frame_stack: 8", "frame_stack: eight");
        assert!(wrong.contains("frame_stack") && wrong.contains("eight") && wrong.contains("line"), "{wrong}");
    }

    #[test]
    fn impossible_values_are_refused() {
        for (from, to, rule) in [
            ("heads: 4", "heads: 5", "model.width must be a multiple of twice this value"),
            ("horizon: 13", "horizon: 0", "must be at least 1"),
            ("group: position", "group: pose", "must be one of"),
            ("safe: [0.0, 0.0]", "safe: [0.0]", "as many values as action.min"),
            ("safe: [0.0, 0.0]", "safe: [0.0, 0.0]\n  max_rate: [1.0]", "as many values as action.min"),
            (
                "safe: [0.0, 0.0]",
                "safe: [0.0, 0.0]\n  max_rate: [1.0, 0.0]",
                "action.max_rate: 0: must be a finite number above 0",
            ),
            ("safe: [0.0, 0.0]", "safe: [0.0, 0.0]\n  max_acceleration: [1.0, 1.0]", "needs action.max_rate beside it"),
            (
                "policy: safe",
                "max_plan_age_s: -1.0",
                "safety.max_plan_age_s: -1: must be a finite number of at least 0",
            ),
            (
                "policy: safe",
                "out_of_distribution: {enter: 4}",
                "safety.out_of_distribution.leave: 5: must be at most safety.out_of_distribution.enter, which is 4",
            ),
            ("costs:", "mode: watch\ncosts:", "shadow"),
            ("eta: 0.0", "eta: 1.5", "must lie in [0, 1]"),
            ("planning: 0.55", "planning: 0.9", "sum to 1"),
            ("type: geometry_msgs/msg/WrenchStamped", "type: WrenchStamped", "package/msg/Name"),
            ("max_age_s: 0.1", "max_age_s: .nan", "finite"),
            ("group: position", "group: position\n  frame_id: /map", "goal.frame_id: /map: must be a frame's name"),
            (
                "max_age_s: 0.1",
                "frame_id: ''\n    max_age_s: 0.1",
                "observations.position.frame_id: : must be a frame's",
            ),
            (
                "group: position",
                "group: position\n  rate: position",
                "goal.rate: position: must be one of [\"velocity\"]",
            ),
            ("window: 16", "window: 16\n  dwell_share: 0.1", "training.dwell_share: 0.1: needs goal.rate"),
            (
                "window: 16",
                "window: 16\n  noise_scale: {place: 1}",
                "training.noise_scale: place: must be one of [\"action\", \"position\"",
            ),
            (
                "window: 16",
                "window: 16\n  noise_scale: {position: 0}",
                "training.noise_scale.position: 0: must be a finite",
            ),
            ("group: position", "group: position\n  qos: {depth: 0}", "goal.qos.depth: 0: must be at least 1"),
        ] {
            let message = refusal(from, to);
            assert!(message.contains(rule), "{to}: {message}");
        }
    }
}
