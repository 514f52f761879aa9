//! Why a cost was refused: the key, what stands there, and the rule.

use df_core::map::GridError;
use df_core::{ConfigError, Document};

/// A refusal, while a cost is bound to the layout.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CostError {
    #[error("{key}: {got}: must be one of {known:?}")]
    UnknownKind { key: String, got: String, known: Vec<&'static str> },
    /// No group or channel of the layout.
    #[error("{key}: {got}: is no group or channel; there are the groups {groups:?} and the channels {labels:?}")]
    UnknownChannel { key: String, got: String, groups: Vec<String>, labels: Vec<String> },
    /// A label that several groups have.
    #[error("{key}: {got}: stands in several groups; write one of {candidates:?}")]
    AmbiguousChannel { key: String, got: String, candidates: Vec<String> },
    #[error("{key}: {got}: {rule}")]
    Rule { key: String, got: String, rule: String },
    /// A map that is no use.
    #[error("{key}: {got}: {cause}")]
    Grid { key: String, got: String, cause: GridError },
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

    /// What stands there.
    pub fn got(&self) -> &str {
        match self {
            Self::UnknownKind { got, .. }
            | Self::UnknownChannel { got, .. }
            | Self::AmbiguousChannel { got, .. }
            | Self::Rule { got, .. }
            | Self::Grid { got, .. } => got,
        }
    }

    /// The same refusal with file and line.
    pub fn located(&self, document: &Document) -> ConfigError {
        let message = self.to_string();
        let said = format!("{}: {}: ", self.key(), self.got());
        document.refuse(self.key(), self.got(), message.strip_prefix(&said).unwrap_or(&message))
    }
}
