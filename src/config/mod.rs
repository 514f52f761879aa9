//! The one YAML file that every program reads: the topic contract and the settings. The only room with serde_yaml.
//!
//! [`Config::load`] parses ([`raw`]), applies every rule ([`rules`]) and refuses with file, line, key, value and rule.
//! What a topic carries is not known here: other rooms bind the fields to message types and report through
//! [`Config::refuse`], so that their refusals read the same.

mod catalogue;
mod columns;
mod costs;
mod flat;
mod locate;
mod occupancy;
mod pgm;
mod planner;
mod raw;
mod rules;
mod safety;
mod training;
mod tunable;

use std::path::{Path, PathBuf};

pub use catalogue::{Description, Range, description};
pub use columns::{Columns, ColumnsConfig};
pub use costs::{CostConfig, CostSettings, Gate, Unread};
pub use flat::{Setting, wrong_type};
pub use occupancy::{MapError, OccupancyGrid};
pub use pgm::PIXELS_MAX;
pub use planner::{
    GradientKind, GuidanceConfig, GuidanceStep, Latency, MatrixKind, PlannerConfig, PlannerMode, SolverName,
    StreamingConfig,
};
pub use raw::{
    Action, Goal, MapTopic, ModelConfig, NoiseScheduleKind, ObjectiveKind, ObservationGroup, Qos, Reliability,
    Uncertainty,
};
pub use rules::{Broken, is_frame_id};
pub use safety::{FallbackPolicy, OperatingMode, OutOfDistributionConfig, SafetyConfig};
pub use training::{LossWeightKind, NoiseMix, OptimizerKind, Precision, TrainingConfig};
pub use tunable::labels;

/// The modality name that is reserved for the action.
pub const ACTION: &str = "action";

/// What must agree between a checkpoint, a recording and a robot: ticks, topics, fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Contract {
    /// Length of one tick in seconds.
    pub period_s: f64,
    /// Consecutive frames in one token.
    pub frame_stack: usize,
    /// Observation groups in the order of the file; names are unique and never [`ACTION`].
    pub observations: Vec<ObservationGroup>,
    pub action: Action,
}

impl Contract {
    /// The contract in the text of a configuration, as stored in a checkpoint; settings are not looked at, so that a
    /// checkpoint outlives them. `file` is only cited.
    ///
    /// # Errors
    /// [`ConfigError::Malformed`].
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let raw: raw::ContractFile = serde_yaml::from_str(text)
            .map_err(|cause| ConfigError::Malformed { file: file.into(), message: cause.to_string() })?;
        Ok(Self {
            period_s: raw.period_s,
            frame_stack: raw.frame_stack,
            observations: raw.observations.0,
            action: raw.action,
        })
    }

    /// Period of a tick in whole nanoseconds.
    pub fn period_ns(&self) -> i64 {
        (self.period_s * 1e9).round() as i64
    }
}

/// A validated configuration. Keeps its source, so that it can be stored in a checkpoint and cited in messages.
#[derive(Clone, Debug)]
pub struct Config {
    pub contract: Contract,
    pub goal: Option<Goal>,
    pub model: ModelConfig,
    pub planner: PlannerConfig,
    pub mode: OperatingMode,
    pub safety: SafetyConfig,
    pub costs: Vec<CostConfig>,
    pub training: TrainingConfig,
    pub columns: ColumnsConfig,
    /// The file as given, for messages.
    pub file: PathBuf,
    /// The text of the file, as stored in a checkpoint.
    pub text: String,
}

impl Config {
    /// Reads and validates a file.
    ///
    /// # Errors
    /// [`ConfigError`] with the file, and, where one key is at fault, its line, value and the rule that it breaks.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(file).map_err(|cause| ConfigError::Unreadable { file: file.into(), cause })?;
        Self::parse(&text, file)
    }

    /// Validates a text; `file` is only cited.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let mut raw: raw::File = serde_yaml::from_str(text)
            .map_err(|cause| ConfigError::Malformed { file: file.into(), message: cause.to_string() })?;
        let folder = file.parent().unwrap_or(Path::new(""));
        raw.costs.iter_mut().for_each(|cost| cost.folder = folder.into());
        rules::check(&raw).map_err(|broken| broken.located(file, text))?;
        Ok(Self {
            contract: Contract {
                period_s: raw.period_s,
                frame_stack: raw.frame_stack,
                observations: raw.observations.0,
                action: raw.action,
            },
            goal: raw.goal,
            model: raw.model,
            planner: raw.planner,
            mode: raw.mode,
            safety: raw.safety,
            costs: raw.costs,
            training: raw.training,
            columns: raw.columns,
            file: file.into(),
            text: text.into(),
        })
    }

    /// A refusal of one key by another room (a field that the message type lacks, say), located in this file.
    ///
    /// `key` is dotted, with `[i]` for list entries: `observations.position.fields[1]`.
    pub fn refuse(&self, key: &str, value: impl ToString, rule: impl ToString) -> ConfigError {
        rules::Broken { key: key.into(), value: value.to_string(), rule: rule.to_string() }
            .located(&self.file, &self.text)
    }
}

/// Reads a YAML (or JSON) file that is no configuration.
///
/// # Errors
/// [`ConfigError::Unreadable`], [`ConfigError::Malformed`].
pub fn read_yaml<T: serde::de::DeserializeOwned>(file: &Path) -> Result<T, ConfigError> {
    let text = std::fs::read_to_string(file).map_err(|cause| ConfigError::Unreadable { file: file.into(), cause })?;
    serde_yaml::from_str(&text)
        .map_err(|cause| ConfigError::Malformed { file: file.into(), message: cause.to_string() })
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{}: cannot be read: {cause}", file.display())]
    Unreadable { file: PathBuf, cause: std::io::Error },
    /// Not YAML, an unknown key, a missing key or a value of the wrong type; the message names key, line and column.
    #[error("{}: {message}", file.display())]
    Malformed { file: PathBuf, message: String },
    #[error("{}:{line}: {key}: {value}: {rule}", file.display())]
    Rule { file: PathBuf, line: usize, key: String, value: String, rule: String },
}
