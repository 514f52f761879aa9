//! Offline training: windows of episodes, noise levels, steps, moving average, checkpoints.

mod batch;
mod dataset;
mod ema;
mod trainer;

pub use batch::{Batch, BatchMaker};
pub use dataset::{Dataset, DatasetError};
pub use trainer::{Event, Summary, TrainError, train};
