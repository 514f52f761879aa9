//! Offline training: windows of episodes, noise levels, steps, moving average, validation, checkpoints, and a run on disk that can
//! go on where it was stopped. Networks in Burn, and their weights from elsewhere.

mod any_network;
mod batch;
mod burn_denoiser;
mod checkpoint;
mod config;
mod curves;
mod dataset;
mod device;
mod dwell_augmentation;
mod ema;
mod error;
mod events;
mod fused_layers;
#[cfg(feature = "import")]
pub mod import;
mod init_from;
mod log;
mod model_card;
pub mod native_network;
mod optimizer;
pub mod parallel;
pub mod reference_network;
mod rng;
mod run;
mod shuffled_sampler;
mod step;
mod trainer;
mod training_config;
mod training_keys;
mod validation;

pub use any_network::AnyNetwork;
pub use batch::{Batch, BatchMaker};
pub use burn;
pub use burn::tensor::Device;
pub use burn_denoiser::BurnDenoiser;
pub use checkpoint::{Checkpoint, LoadError, denoiser, load_denoiser, load_network, numbered, save_network};
pub use config::TrainerConfig;
pub use dataset::{Dataset, DatasetError, Window};
pub use device::{DeviceError, Engine, device, devices, engine};
pub use error::TrainError;
pub use events::{End, Event, Summary};
pub use init_from::init_from;
pub use log::{Line, StepLine};
pub use native_network::{InitNetwork, Network, features_tensor, named_tensors};
pub use reference_network::ReferenceNetwork;
pub use run::{Best, Run, Start};
pub use trainer::train;
pub use training_keys::TRAINING_KEYS;
pub use training_config::{OptimizerKind, Precision, TrainingConfig};
pub use validation::{ActionError, Band, PlanMetrics, Validation};
