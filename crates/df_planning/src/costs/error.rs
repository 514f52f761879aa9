//! Why a cost was refused: the key, its value, and the rule.

use df_core::map::GridError;
use df_core::{ConfigError, Document};

/// Why a cost cannot be bound to the layout.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CostError {
    /// No cost has this name.
    #[error("{key}: {got}: must be one of {known:?}")]
    UnknownKind {
        /// The key, dotted.
        key: String,
        /// Its value.
        got: String,
        /// The names of all costs.
        known: Vec<&'static str>,
    },
    /// The layout has no group or channel of this name.
    #[error("{key}: {got}: is no group or channel; there are the groups {groups:?} and the channels {labels:?}")]
    UnknownChannel {
        /// The key, dotted.
        key: String,
        /// Its value.
        got: String,
        /// The groups of the layout.
        groups: Vec<String>,
        /// The channels of the layout.
        labels: Vec<String>,
    },
    /// Several groups have a channel of this label.
    #[error("{key}: {got}: is a channel of several groups; write one of {candidates:?}")]
    AmbiguousChannel {
        /// The key, dotted.
        key: String,
        /// Its value.
        got: String,
        /// The label with each of these groups before it.
        candidates: Vec<String>,
    },
    /// A value breaks a rule.
    #[error("{key}: {got}: {rule}")]
    Rule {
        /// The key, dotted.
        key: String,
        /// Its value.
        got: String,
        /// The rule.
        rule: String,
    },
    /// A map cannot be used.
    #[error("{key}: {got}: {cause}")]
    Grid {
        /// The key, dotted.
        key: String,
        /// Its value.
        got: String,
        /// Why not.
        cause: GridError,
    },
}

impl CostError {
    /// The key of the configuration, dotted: `costs[2].of`.
    pub fn key(&self) -> &str {
        match self {
            Self::UnknownKind { key, .. }
            | Self::UnknownChannel { key, .. }
            | Self::AmbiguousChannel { key, .. }
            | Self::Rule { key, .. }
            | Self::Grid { key, .. } => key,
        }
    }

    /// The value of that key.
    pub fn got(&self) -> &str {
        match self {
            Self::UnknownKind { got, .. }
            | Self::UnknownChannel { got, .. }
            | Self::AmbiguousChannel { got, .. }
            | Self::Rule { got, .. }
            | Self::Grid { got, .. } => got,
        }
    }

    /// The same error with file and line of the key in `document`.
    pub fn located(&self, document: &Document) -> ConfigError {
        let message = self.to_string();
        let prefix = format!("{}: {}: ", self.key(), self.got());
        document.refuse(self.key(), self.got(), message.strip_prefix(&prefix).unwrap_or(&message))
    }
}
