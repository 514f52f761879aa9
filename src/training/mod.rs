//! Offline training: windows of episodes, noise levels, steps, moving average, validation, checkpoints, and a run on disk that can
//! go on where it was stopped.

mod batch;
mod card;
mod curves;
mod dataset;
mod ema;
mod log;
pub mod parallel;
mod run;
mod step;
mod trainer;
mod validation;

pub use dataset::{Dataset, DatasetError};
pub use log::{Line, StepLine};
pub use run::{Best, Run, Start};
pub use trainer::{End, Event, Summary, TrainError, train};
pub use validation::{ActionError, Band, Plans, Validation};
