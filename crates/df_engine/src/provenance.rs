//! Where the weights of a checkpoint come from.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where weights come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of the program that trained.
    pub version: String,
    /// The recordings, as they were given.
    pub bags: Vec<String>,
    /// Episodes in them.
    pub episodes: usize,
    /// Frames in those.
    pub frames: usize,
    /// Optimizer steps done.
    pub steps: usize,
    /// Training windows, repetitions counted.
    pub windows_seen: u64,
    /// Loss of the last steps.
    pub training_loss: f64,
    /// Loss of the last validation.
    pub validation_loss: f64,
    /// Duration of the training, seconds.
    pub seconds: f64,
    /// The device that trained, by name.
    pub device: String,
    /// Seed of the training.
    pub seed: u64,
    /// The model that training began with; its steps are not counted here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<ParentCheckpoint>,
}

/// A model that training began with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentCheckpoint {
    /// Its directory, as it was given.
    pub model: String,
    /// [`crate::checkpoint_digest`] of it.
    pub sha256: String,
}

impl fmt::Display for ParentCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} (SHA-256 {})", self.model, self.sha256)
    }
}
