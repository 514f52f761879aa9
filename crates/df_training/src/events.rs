//! What a run tells while it goes on and when it ends.

use super::run::Best;
use super::validation::Validation;
use df_engine::Provenance;

/// What happened, for a progress bar or a log.
#[derive(Clone, Debug)]
pub enum Event {
    Started {
        training_windows: usize,
        validation_windows: usize,
        parameters: usize,
        steps: usize,
    },
    /// `changes`: settings that are not what they were.
    Resumed {
        step: usize,
        changes: Vec<String>,
    },
    Step {
        step: usize,
        loss: f64,
        windows_per_s: f64,
    },
    Validated {
        step: usize,
        validation: Validation,
        is_best: bool,
    },
    /// What `--resume` needs is on the disk.
    Saved {
        step: usize,
    },
    /// It is not; training goes on, and it is tried again.
    NotSaved {
        step: usize,
        reason: String,
    },
}

/// How the run ended.
#[derive(Clone, Debug)]
pub struct Summary {
    pub provenance: Provenance,
    pub best: Option<Best>,
    pub end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Every step was done.
    Finished,
    /// `training.patience` ran out.
    Early,
    /// It was told to stop.
    Stopped,
}
