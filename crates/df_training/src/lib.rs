//! Training of diffusion-forcing networks (Chen et al. 2024, "Diffusion Forcing: Next-token Prediction Meets
//! Full-Sequence Diffusion") from recorded demonstrations.
//!
//! The crate holds the networks in [Burn](burn), the training loop with validation and checkpoints, training by several
//! ranks ([`parallel`]), and the import of weights that were trained elsewhere. It does not read recordings (df_data
//! does) and it does not plan. A robot needs none of it: df_engine evaluates checkpoints without Burn.
//!
//! The flow of [`train()`]:
//!
//! 1. [`Dataset::split`] splits the episodes and fits the normaliser. A shuffled sampler maps positions to windows.
//! 2. [`BatchMaker`] turns windows into a [`Batch`]: noise levels, noisy values `[batch, token, channel]`, targets,
//!    weights. The dwell augmentation may replace parts of a window by a simulated robot at rest.
//! 3. [`Network`] predicts the target. Its gradient is summed over parts and ranks and clipped; the optimizer takes a
//!    step.
//! 4. An exponential moving average of the weights is validated ([`Validation`]). The best one becomes the
//!    [`Checkpoint`].
//! 5. [`Run`] saves what a resume needs. A resumed run gives the same weights, bit for bit.
//!
//! Tensors are batch first: `[batch, token, channel]`.
//!
//! ```
//! use std::sync::atomic::AtomicBool;
//!
//! use df_core::{Frame, Layout};
//! use df_data::Recording;
//! use df_training::parallel::Alone;
//! use df_training::{Checkpoint, Device, NamedDevice, Run, Start, TrainerConfig, TrainingSetup, train};
//!
//! let yaml = "
//! period_s: 0.1
//! frame_stack: 1
//! observations:
//!   x: {topic: x, type: p/msg/X, fields: [x], max_age_s: 1}
//! action: {topic: u, type: p/msg/X, fields: [u], min: [-1], max: [1], safe: [0], max_age_s: 1}
//! model: {width: 8, layers: 1, heads: 1}
//! training: {window: 4, batch: 4, steps: 3, validation_share: 0, cache_gb: 0}
//! ";
//! let config = TrainerConfig::parse(yaml, "robot.yaml".as_ref())?;
//! // Three episodes of 20 frames: the action is the velocity of x.
//! let layout = Layout::new(1, [("action".into(), vec!["u".into()]), ("x".into(), vec!["x".into()])]);
//! let frame = |k: usize| {
//!     let time = 0.1 * k as f32;
//!     Frame { values: vec![time.cos(), time.sin()], present: vec![true, true], std: Vec::new() }
//! };
//! let recording = Recording::of(&layout, vec![((0..20).map(frame).collect(), 1.0); 3])?;
//!
//! let folder = tempfile::tempdir()?;
//! let out = folder.path().join("model");
//! let device = Device::flex();
//! let setup = TrainingSetup {
//!     config: &config,
//!     recording: &recording,
//!     run: &Run::open(&out, Start::New, &Alone)?,
//!     device: NamedDevice { name: "flex", device: &device },
//!     ranks: &Alone,
//!     stop: &AtomicBool::new(false),
//! };
//! let summary = train(&setup, &mut |_| ())?;
//! assert_eq!(summary.provenance.steps, 3);
//! let checkpoint = Checkpoint::load(&out, &device)?;
//! assert_eq!(checkpoint.description.layout, layout);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![warn(missing_docs, unreachable_pub)]

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
mod learning_rate;
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
pub use trainer::{NamedDevice, TrainingSetup, train};
pub use training_config::{OptimizerKind, Precision, TrainingConfig};
pub use training_keys::TRAINING_KEYS;
pub use validation::{ActionError, Band, PlanMetrics, Validation};
