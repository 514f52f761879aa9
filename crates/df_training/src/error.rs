//! Why training does not go on.

use std::path::PathBuf;

use super::dataset::DatasetError;
use super::parallel::ParallelError;
use df_data::charts::ChartError;
use df_core::ConfigError;
use df_engine::CheckpointError;
use crate::DeviceError;

/// Why training stopped; what was saved before stays.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error(
        "step {step}: the loss is {loss} and the norm of the gradient {gradient_norm}, which are not finite; windows {first} to {last} of the \
         shuffled order, learning rate {learning_rate:e}, norm of the weights {weight_norm}, norm of the gradient before {before}. Try a \
         smaller training.learning_rate or training.gradient_clip; {kept}"
    )]
    NotFinite {
        step: usize,
        loss: f64,
        gradient_norm: f64,
        first: u64,
        last: u64,
        learning_rate: f64,
        weight_norm: f64,
        before: f64,
        kept: String,
    },
    #[error(
        "{} holds a run that was not finished (step {step}): go on with it by --resume, or remove it by --restart", place.display()
    )]
    Unfinished { place: PathBuf, step: usize },
    #[error("{} holds no run to resume", place.display())]
    NothingToResume { place: PathBuf },
    #[error(
        "{}: the run cannot go on: {what} was {was} and is {is}. Undo the change, or start anew with another --out or --restart", place.display()
    )]
    OtherRun { place: PathBuf, what: String, was: String, is: String },
    #[error("{}: a run cannot begin with the model that it would overwrite; give another --out", place.display())]
    OntoItself { place: PathBuf },
    #[error("{}: training cannot begin with this model: {what} is {was} there and {is} in the configuration", place.display())]
    OtherModel { place: PathBuf, what: String, was: String, is: String },
    /// A setting that the data do not bear.
    #[error(transparent)]
    Setting(#[from] ConfigError),
    #[error(transparent)]
    Chart(#[from] ChartError),
    #[error("{}: {cause}", place.display())]
    Log { place: PathBuf, cause: std::io::Error },
    #[error("the backend failed: {0}")]
    Backend(String),
    #[error(transparent)]
    Parallel(#[from] ParallelError),
    #[error("step {step}: {cause}. {kept}; --resume goes on, with any number of ranks")]
    Deserted { step: usize, cause: ParallelError, kept: String },
}
