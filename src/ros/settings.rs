//! What the node is started with: command-line options first, then ROS parameters.

use std::path::PathBuf;

use super::bridge::{Bridge, RosError};
use crate::config::{Description, Range, Setting};

/// The device that plans where none is named: the built-in CPU backend.
const DEFAULT_DEVICE: &str = "cpu";

/// What was given on the command line; each option overrides the ROS parameter of its name, `seed` that of `planner.seed`.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub config: Option<PathBuf>,
    pub model: Option<PathBuf>,
    pub device: Option<String>,
    pub seed: Option<i64>,
}

/// What the node runs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub config: PathBuf,
    pub model: PathBuf,
    pub device: String,
}

/// Why the node does not know what to run with.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("no {what}: give --{name} or the ROS parameter `{name}` (--ros-args -p {name}:=...)")]
    Missing { name: &'static str, what: &'static str },
    #[error("parameter `use_sim_time`: true: simulated time is not supported; the node runs on the system clock")]
    SimulatedTime,
    #[error(transparent)]
    Ros(#[from] RosError),
}

impl Settings {
    /// Options and the parameters that the node was given at start. An empty string counts as not given, so that a
    /// launch file can pass every argument on.
    ///
    /// # Errors
    /// Nothing says which configuration or checkpoint to use, a parameter of the wrong type.
    pub fn read(options: Options, bridge: &Bridge) -> Result<Self, SettingsError> {
        if bridge.bool_parameter("use_sim_time")?.unwrap_or(false) {
            return Err(SettingsError::SimulatedTime);
        }
        let given = |name| Ok::<_, RosError>(bridge.string_parameter(name)?.filter(|text| !text.is_empty()));
        let (config, model) = (given("config")?.map(PathBuf::from), given("model")?.map(PathBuf::from));
        Ok(Self {
            config: options
                .config
                .or(config)
                .ok_or(SettingsError::Missing { name: "config", what: "configuration" })?,
            model: options.model.or(model).ok_or(SettingsError::Missing { name: "model", what: "checkpoint" })?,
            device: options.device.or(given("device")?).unwrap_or_else(|| DEFAULT_DEVICE.into()),
        })
    }

    /// The settings as ROS parameters.
    pub fn parameters(&self) -> Vec<(Description, Setting)> {
        let start = |key, text| Description { key, text, range: Range::Any, fixed: true };
        vec![
            (
                start("config", "the configuration file; read at start"),
                Setting::Text(self.config.display().to_string()),
            ),
            (
                start("model", "the checkpoint directory; read at start"),
                Setting::Text(self.model.display().to_string()),
            ),
            (
                start("device", "what plans: cpu, flex, tch or cuda:N; read at start"),
                Setting::Text(self.device.clone()),
            ),
            (start("use_sim_time", "whether /clock is the time; read at start"), Setting::Bool(false)),
        ]
    }
}
