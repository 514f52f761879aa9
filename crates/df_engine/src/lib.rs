//! Evaluates df_planner's network on CPUs, and reads the files that a trained model consists of.
//!
//! What it is: the forward pass and the gradient with respect to the input, by vectorised loops of its own; a reader
//! of `.bpk` weights; a reader of checkpoints. A robot needs no more to plan.
//!
//! What it is not: it does not train, it has no gradient with respect to weights, it uses no GPU, and it knows no
//! Burn. Other architectures and other devices are evaluated by the training crate.
//!
//! # Flow
//! ```text
//! weights.bpk -> burnpack -> weights (NamedTensors, today's names) -> kernels::packed_weights
//!                                                                            |
//! x, levels -> conditioning_features -> cpu_network (sequences to threads) -> kernels::workspace -> prediction, gradient
//!                                            |                                                            |
//!         checkpoint ----------------> cpu_denoiser <- preconditioning (c_in, c_skip, c_out) <------------/
//! ```
//!
//! - [`network_config`]: sizes, and the name and shape of every tensor
//! - [`weights`], [`burnpack`]: tensors out of a file, checked byte by byte
//! - [`cpu_network`]: prediction and gradient of a batch
//! - [`kernels`]: the loops, with the memory layouts
//! - `conditioning_features`, `preconditioning`: what stands between noise levels, values and the network
//! - `cpu_denoiser`: all of it as a `Denoiser`
//! - `checkpoint`: the directory that a trained model is; `digest` identifies one
//!
//! # Example
//! ```
//! use df_engine::{CpuNetwork, NamedTensor, NamedTensors, NetworkConfig};
//!
//! // Width 16, 2 layers, 2 heads; tokens of 3 channels and 1 noise level; sequences of up to 4 tokens.
//! let sizes = NetworkConfig::new(16, 2, 2, 3, 1, 4);
//! // Made-up weights. `NamedTensors::read(path)` reads those of a trained model.
//! let made_up = |(name, shape): (String, Vec<usize>)| {
//!     let values = (0..shape.iter().product()).map(|i: usize| 0.1 * (i as f32).sin()).collect();
//!     (name, NamedTensor { shape, values })
//! };
//! let tensors: NamedTensors = sizes.tensors().map(made_up).collect();
//! let mut network = CpuNetwork::new(&tensors, &sizes)?;
//!
//! // One sequence of 4 tokens; per token the features level, alpha, sigma, and whether it is clean.
//! let x = [0.5; 4 * 3];
//! let features = [0.5, 0.7, 0.7, 0.0].repeat(4);
//! // The gradient of the sum of all predicted values: its gradient with respect to each of them is 1.
//! let (prediction, gradient) = network.forward_and_gradient(&x, &features, 4, |p| vec![1.0; p.len()]);
//! assert_eq!((prediction.len(), gradient.len()), (12, 12));
//! assert_eq!(network.forward(&x, &features, 4), prediction);
//! # Ok::<(), df_engine::WeightsError>(())
//! ```
#![warn(missing_docs, unreachable_pub)]

pub mod burnpack;
pub mod cpu_network;
pub mod kernels;
pub mod network_config;
pub mod weights;

pub use cpu_network::CpuNetwork;
pub use network_config::NetworkConfig;
pub use weights::{NamedTensor, NamedTensors, WeightsError};

pub mod architecture;
mod atomic_directory;
pub mod checkpoint;
mod checkpoint_error;
pub mod conditioning_features;
pub mod cpu_denoiser;
mod digest;
mod model_config;
mod model_keys;
pub mod preconditioning;
mod provenance;

pub use architecture::{Architecture, ReferenceConfig};
pub use atomic_directory::replace_directory;
pub use checkpoint::{CONTRACT, CheckpointDescription, DESCRIPTION, WEIGHTS};
pub use checkpoint_error::CheckpointError;
pub use conditioning_features::ConditioningFeatures;
pub use cpu_denoiser::CpuDenoiser;
pub use digest::checkpoint_digest;
pub use model_config::ModelConfig;
pub use model_keys::MODEL_KEYS;
pub use preconditioning::Preconditioning;
pub use provenance::{ParentCheckpoint, Provenance};
