//! What the node is started with: command-line options first, then ROS parameters.

use std::path::PathBuf;

use r2r::{Parameter, ParameterValue};

use super::bridge::{Bridge, RosError};
use crate::config::OperatingMode;

/// The device that plans where none is named: the built-in CPU backend.
const DEFAULT_DEVICE: &str = "cpu";

/// What was given on the command line; each option overrides the ROS parameter of its name.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub config: Option<PathBuf>,
    pub model: Option<PathBuf>,
    pub device: Option<String>,
    pub seed: Option<u64>,
}

/// What the node runs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub config: PathBuf,
    pub model: PathBuf,
    pub device: String,
    /// Replaces `planner.seed` of the configuration.
    pub seed: Option<u64>,
    /// Replaces `mode` of the configuration.
    pub mode: Option<OperatingMode>,
    /// The node configures and activates itself at start.
    pub autostart: bool,
    /// `/clock` is the time.
    pub use_sim_time: bool,
}

/// Why the node does not know what to run with.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("no {what}: give --{name} or the ROS parameter `{name}` (--ros-args -p {name}:=...)")]
    Missing { name: &'static str, what: &'static str },
    #[error("parameter `seed`: {0}: must not be negative")]
    NegativeSeed(i64),
    #[error("parameter `mode`: {0}: must be drive or shadow")]
    Mode(String),
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
        let given = |name| Ok::<_, RosError>(bridge.string_parameter(name)?.filter(|text| !text.is_empty()));
        let (config, model) = (given("config")?.map(PathBuf::from), given("model")?.map(PathBuf::from));
        let seed = bridge.integer_parameter("seed")?;
        let seed = seed.map(|s| u64::try_from(s).map_err(|_| SettingsError::NegativeSeed(s))).transpose()?;
        Ok(Self {
            config: options
                .config
                .or(config)
                .ok_or(SettingsError::Missing { name: "config", what: "configuration" })?,
            model: options.model.or(model).ok_or(SettingsError::Missing { name: "model", what: "checkpoint" })?,
            device: options.device.or(given("device")?).unwrap_or_else(|| DEFAULT_DEVICE.into()),
            seed: options.seed.or(seed),
            mode: match given("mode")?.as_deref() {
                None => None,
                Some("drive") => Some(OperatingMode::Drive),
                Some("shadow") => Some(OperatingMode::Shadow),
                Some(other) => return Err(SettingsError::Mode(other.into())),
            },
            autostart: bridge.bool_parameter("autostart")?.unwrap_or(true),
            use_sim_time: bridge.bool_parameter("use_sim_time")?.unwrap_or(false),
        })
    }

    /// The settings as ROS parameters, so that `ros2 param` shows what the node runs with.
    pub fn parameters(&self, seed: u64) -> Vec<(&'static str, Parameter)> {
        let text = |value: String| ParameterValue::String(value);
        let described = |name, value, description| (name, Parameter { value, description });
        vec![
            described("config", text(self.config.display().to_string()), "the configuration file; read at start"),
            described("model", text(self.model.display().to_string()), "the checkpoint directory; read at start"),
            described("device", text(self.device.clone()), "what plans: cpu, flex, tch or cuda:N; read at start"),
            described(
                "seed",
                ParameterValue::Integer(i64::try_from(seed).unwrap_or(i64::MAX)),
                "the seed of the planner's random numbers; read at start",
            ),
        ]
    }
}
