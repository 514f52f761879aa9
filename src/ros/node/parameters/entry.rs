//! The types of the parameter table.

use crate::config::Config;
use df_core::Layout;
use df_core::settings::{Description, Setting, ValidationError};

/// A value given for a parameter, or the name of a type that no parameter of this node has.
pub(crate) type Given = Result<Setting, &'static str>;

/// The name of the type of "no value".
pub(super) const NOT_SET: &str = "not set";

/// Applies changes to the node.
pub(crate) trait Target {
    /// Checks whether a parameter that `configure` reads may be set now.
    ///
    /// # Errors
    /// Why it may not.
    fn may_configure(&self, name: &str) -> Result<(), String>;

    /// Applies a change that keeps all rules of the configuration. A refused change has no effect.
    ///
    /// # Errors
    /// Why it is refused.
    fn apply(&mut self, change: &Change) -> Result<(), String>;
}

/// The changes of one request. All of them are applied, or none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Change {
    /// The configuration with its new settings, if a setting changes.
    pub config: Option<Config>,
    /// The goal in the units of its group, if it changes; empty: no goal.
    pub goal: Option<Vec<f64>>,
    /// Changed parameters that `configure` reads.
    pub start: Vec<(String, Setting)>,
}

/// The group that the goal is a value of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GoalShape {
    /// The name of the group.
    pub group: String,
    /// The number of its channels.
    pub channels: usize,
}

impl GoalShape {
    /// The shape of the configuration's goal, if it has one.
    pub(crate) fn of(config: &Config, layout: &Layout) -> Option<Self> {
        let group = config.contract.goal.as_ref()?.group.clone();
        let channels = layout.modalities[layout.modality(&group)?].channels.len();
        Some(Self { group, channels })
    }
}

/// A value given at start cannot be used: names the parameter, the value and the rule.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("parameter {0}")]
pub struct ParameterError(#[from] ValidationError);

/// A parameter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// The present value.
    pub value: Setting,
    /// Text, range and whether it is read-only.
    pub about: Description,
    pub(super) source: Source,
}

/// Where a parameter comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Read by `configure`.
    Start,
    /// A setting of the configuration.
    Config,
    /// The goal.
    Goal,
}
