//! The events that a run reports, and its summary at the end.

use df_engine::Provenance;

use crate::run::Best;
use crate::validation::Validation;

/// An event of a run, for a progress bar or a log.
#[derive(Clone, Debug)]
pub enum Event {
    /// The data and the network are ready.
    Started {
        /// Windows of the training split.
        training_windows: usize,
        /// Windows of the validation split; 0 without one.
        validation_windows: usize,
        /// Weights of the network.
        parameters: usize,
        /// Optimizer steps of the whole run.
        steps: usize,
    },
    /// The run continues an earlier one.
    Resumed {
        /// Optimizer steps done before.
        step: usize,
        /// The settings that differ from those of the last save, each as a sentence.
        changes: Vec<String>,
    },
    /// One optimizer step is done.
    Step {
        /// Optimizer steps done.
        step: usize,
        /// The smoothed training loss.
        loss: f64,
        /// Training windows per second since the start or resume.
        windows_per_s: f64,
    },
    /// The averaged network was validated.
    Validated {
        /// Optimizer steps done.
        step: usize,
        /// The result.
        validation: Validation,
        /// True if no earlier validation loss is as low.
        is_best: bool,
    },
    /// The state for `--resume` is on the disk.
    Saved {
        /// Optimizer steps done.
        step: usize,
    },
    /// A file could not be written. Training continues and tries again later.
    NotSaved {
        /// Optimizer steps done.
        step: usize,
        /// The error, with the file.
        reason: String,
    },
}

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The origin of the last weights: data, steps, losses.
    pub provenance: Provenance,
    /// The best validation; `None` before the first one.
    pub best: Option<Best>,
    /// Why the run ended.
    pub end: End,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All steps are done.
    Finished,
    /// Early stopping: `training.patience` validations brought no better loss.
    Early,
    /// The caller asked the run to stop.
    Stopped,
}
