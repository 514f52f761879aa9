//! Offline training: windows of episodes, noise levels, steps, moving average, checkpoints.

mod batch;
mod chance;
mod dataset;
mod ema;
mod order;
mod trainer;

pub use batch::{Batch, BatchMaker};
pub use dataset::{Dataset, DatasetError, Window};
pub use trainer::{Event, Summary, TrainError, train};
