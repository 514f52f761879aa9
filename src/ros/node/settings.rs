//! The settings of the node at start: command-line options first, then ROS parameters.

use std::path::{Path, PathBuf};

use crate::ros::node_handle::{NodeHandle, RosError};
use df_core::settings::{Description, Range, Setting};
use df_planning::OperatingMode;

/// The device that plans by default: the built-in CPU backend.
const DEFAULT_DEVICE: &str = "cpu";

/// The command line. Each option overrides the ROS parameter of the same name.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// The checkpoint's directory.
    pub model: Option<PathBuf>,
    /// The device that plans, such as `cpu`.
    pub device: Option<String>,
    /// Overrides the parameter `planner.seed`.
    pub seed: Option<i64>,
    /// For fault injection in tests: called on the planning thread before each plan, with the
    /// number of plans since `configure`. The programs never set it.
    pub before_plan: Option<fn(u64)>,
}

/// The settings of the node at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSettings {
    /// The configuration file.
    pub config: PathBuf,
    /// The checkpoint's directory.
    pub model: PathBuf,
    /// The device that plans.
    pub device: String,
    /// Overrides `mode` of the configuration.
    pub mode: Option<OperatingMode>,
    /// True if the node configures and activates itself at start.
    pub autostart: bool,
    /// True if the time comes from `/clock`.
    pub use_sim_time: bool,
}

/// Why the settings of the start are refused.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A required setting is given neither as an option nor as a parameter.
    #[error("no {what}: give --{name} or the ROS parameter `{name}` (--ros-args -p {name}:=...)")]
    Missing {
        /// The option and parameter.
        name: &'static str,
        /// What it is, in words.
        what: &'static str,
    },
    /// The mode is unknown.
    #[error("parameter `mode`: {0}: must be drive or shadow")]
    Mode(String),
    /// A parameter has the wrong type.
    #[error(transparent)]
    Ros(#[from] RosError),
}

impl NodeSettings {
    /// Merges the options and the parameters given at start. An empty text counts as not given, so
    /// that a launch file can pass all its arguments on.
    ///
    /// # Errors
    /// No configuration or no checkpoint is given, or a parameter is invalid.
    pub fn read(options: Options, handle: &NodeHandle) -> Result<Self, SettingsError> {
        let given = |name| Ok::<_, RosError>(handle.string_parameter(name)?.filter(|text| !text.is_empty()));
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
            autostart: handle.bool_parameter("autostart")?.unwrap_or(true),
            use_sim_time: handle.bool_parameter("use_sim_time")?.unwrap_or(false),
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
                read("device", "the device that plans: cpu, flex, tch, cuda:N or wgpu:N; read by `configure`", any),
                Setting::Text(self.device.clone()),
            ),
            (
                read(
                    "mode",
                    "drive: publish commands; shadow: compare with another driver; empty: as configured; read by `configure`",
                    Range::OneOf(&["", "drive", "shadow"]),
                ),
                mode,
            ),
            (
                fixed("autostart", "true: the node configures and activates itself at start"),
                Setting::Bool(self.autostart),
            ),
            (
                fixed("use_sim_time", "true: the time comes from /clock; read at start"),
                Setting::Bool(self.use_sim_time),
            ),
        ]
    }

    /// Sets a parameter of [`NodeSettings::parameters`].
    ///
    /// # Errors
    /// The name, the value and the broken rule.
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
            _ => return Err(format!("{name}: is not a setting of the node")),
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
