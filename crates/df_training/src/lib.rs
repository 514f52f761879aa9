//! Offline training: windows of episodes, noise levels, steps, moving average, validation, checkpoints, and a run on disk that can
//! go on where it was stopped.

mod batch;
mod init_from;
mod model_card;
mod rng;
mod curves;
mod dataset;
mod ema;
mod error;
mod events;
mod log;
mod optimizer;
mod shuffled_sampler;
pub mod parallel;
mod run;
mod dwell_augmentation;
mod step;
mod trainer;
mod validation;

pub use batch::{Batch, BatchMaker};
pub use init_from::origin;
pub use dataset::{Dataset, DatasetError, Window};
pub use error::TrainError;
pub use events::{End, Event, Summary};
pub use log::{Line, StepLine};
pub use run::{Best, Run, Start};
pub use trainer::train;
pub use validation::{ActionError, Band, Plans, Validation};
