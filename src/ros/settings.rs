//! What the node is started with: command-line options first, then ROS parameters.

use std::path::{Path, PathBuf};

use super::bridge::{Bridge, RosError};
use crate::config::{Description, OperatingMode, Range, Setting};

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
        Ok(Self {
            config: options
                .config
                .or(config)
                .ok_or(SettingsError::Missing { name: "config", what: "configuration" })?,
            model: options.model.or(model).ok_or(SettingsError::Missing { name: "model", what: "checkpoint" })?,
            device: options.device.or(given("device")?).unwrap_or_else(|| DEFAULT_DEVICE.into()),
            mode: match given("mode")?.as_deref() {
                None => None,
                Some(name) => Some(mode_named(name)?),
            },
            autostart: bridge.bool_parameter("autostart")?.unwrap_or(true),
            use_sim_time: bridge.bool_parameter("use_sim_time")?.unwrap_or(false),
        })
    }

    /// The settings as ROS parameters.
    pub fn parameters(&self) -> Vec<(Description, Setting)> {
        let text = |path: &Path| Setting::Text(path.display().to_string());
        let (any, mode) = (Range::Any, Setting::Text(self.mode.map_or("", mode_name).into()));
        let read = |key, text, range| Description { key, text, range, fixed: false };
        let fixed = |key, text| Description { key, text, range: Range::Any, fixed: true };
        vec![
            (read("config", "the configuration file; read by `configure`", any), text(&self.config)),
            (read("model", "the checkpoint directory; read by `configure`", any), text(&self.model)),
            (
                read("device", "what plans: cpu, flex, tch, cuda:N or wgpu:N; read by `configure`", any),
                Setting::Text(self.device.clone()),
            ),
            (
                read(
                    "mode",
                    "whether the node drives or only looks on; empty: as the configuration says; read by `configure`",
                    Range::OneOf(&["", "drive", "shadow"]),
                ),
                mode,
            ),
            (
                fixed("autostart", "whether the node configures and activates itself at start"),
                Setting::Bool(self.autostart),
            ),
            (fixed("use_sim_time", "whether /clock is the time; read at start"), Setting::Bool(self.use_sim_time)),
        ]
    }

    /// Takes over a parameter of [`Settings::parameters`].
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn set(&mut self, name: &str, value: &Setting) -> Result<(), String> {
        let Setting::Text(text) = value else { return Err(format!("{name}: {value}: must be a text")) };
        if text.is_empty() && name != "mode" {
            return Err(format!("{name}: must not be empty"));
        }
        match name {
            "config" => self.config = text.into(),
            "model" => self.model = text.into(),
            "device" => self.device.clone_from(text),
            "mode" if text.is_empty() => self.mode = None,
            "mode" => self.mode = Some(mode_named(text).map_err(|error| error.to_string())?),
            _ => return Err(format!("{name}: is none of the settings of the node")),
        }
        Ok(())
    }
}

fn mode_named(name: &str) -> Result<OperatingMode, SettingsError> {
    match name {
        "drive" => Ok(OperatingMode::Drive),
        "shadow" => Ok(OperatingMode::Shadow),
        other => Err(SettingsError::Mode(other.into())),
    }
}

fn mode_name(mode: OperatingMode) -> &'static str {
    match mode {
        OperatingMode::Drive => "drive",
        OperatingMode::Shadow => "shadow",
    }
}
