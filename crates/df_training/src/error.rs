//! The errors of a training run.

use std::path::PathBuf;

use df_core::ConfigError;
use df_data::charts::ChartError;
use df_engine::CheckpointError;

use crate::DeviceError;
use crate::dataset::DatasetError;
use crate::parallel::ParallelError;

/// Why training stopped. Earlier saves stay on the disk.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The recording gives no windows.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A checkpoint cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The device cannot train with these settings.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The loss or the gradient is NaN or infinite.
    #[error(
        "step {step}: the loss is {loss} and the norm of the gradient {gradient_norm}, which are not finite; windows \
         {first} to {last} of the shuffled order, learning rate {learning_rate:e}, norm of the weights {weight_norm}, norm \
         of the previous gradient {previous_gradient_norm}. Try a smaller training.learning_rate or \
         training.gradient_clip; {saved}"
    )]
    NotFinite {
        /// The number of the failing step, from 1.
        step: usize,
        /// The loss of the step.
        loss: f64,
        /// The norm of the gradient of all weights.
        gradient_norm: f64,
        /// The first position of the step in the shuffled order.
        first: u64,
        /// The last position of the step.
        last: u64,
        /// The learning rate of the step.
        learning_rate: f64,
        /// The norm of all weights before the step.
        weight_norm: f64,
        /// The norm of the gradient of the step before; NaN at the first step.
        previous_gradient_norm: f64,
        /// The checkpoints on the disk, in words.
        saved: String,
    },
    /// The output has an unfinished run and the caller did not choose.
    #[error("{}: contains an unfinished run (step {step}); continue it with --resume or remove it with --restart", place.display())]
    Unfinished {
        /// The directory of the run.
        place: PathBuf,
        /// The steps of the unfinished run.
        step: usize,
    },
    /// `--resume` without a run.
    #[error("{}: contains no run to resume; leave out --resume to start one", place.display())]
    NothingToResume {
        /// The expected directory of the last save.
        place: PathBuf,
    },
    /// The data or a setting of the resumed run has changed.
    #[error(
        "{}: the run cannot resume: {what} was {was} and is {is}; undo the change, or start a new run with another --out \
         or --restart",
        place.display()
    )]
    OtherRun {
        /// The directory of the last save.
        place: PathBuf,
        /// The key or fact that differs.
        what: String,
        /// Its value in the saved run.
        was: String,
        /// Its value now.
        is: String,
    },
    /// The parent checkpoint is the output of the run.
    #[error("{}: the run would overwrite the checkpoint that it starts from; choose another --out", place.display())]
    OntoItself {
        /// The output directory.
        place: PathBuf,
    },
    /// The parent checkpoint does not match the configuration.
    #[error(
        "{}: training cannot start from this checkpoint: {what} is {was} there and {is} in the configuration; they must \
         be equal",
        place.display()
    )]
    OtherModel {
        /// The parent checkpoint.
        place: PathBuf,
        /// The key that differs.
        what: String,
        /// Its value in the checkpoint.
        was: String,
        /// Its value in the configuration.
        is: String,
    },
    /// The training data do not support a setting.
    #[error(transparent)]
    Setting(#[from] ConfigError),
    /// The curves cannot be drawn.
    #[error(transparent)]
    Chart(#[from] ChartError),
    /// The log cannot be written.
    #[error("{}: cannot write the log: {cause}", place.display())]
    Log {
        /// The file.
        place: PathBuf,
        /// The error of the operating system.
        cause: std::io::Error,
    },
    /// Burn reported an error.
    #[error("the training backend failed: {0}")]
    Backend(String),
    /// The ranks cannot train together.
    #[error(transparent)]
    Parallel(#[from] ParallelError),
    /// Another rank has gone; this rank saved its state.
    #[error("step {step}: {cause}. {saved}; continue with --resume, with any number of ranks")]
    Deserted {
        /// Optimizer steps done.
        step: usize,
        /// What happened to the other rank.
        cause: ParallelError,
        /// The checkpoints on the disk, in words.
        saved: String,
    },
}
