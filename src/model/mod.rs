//! The network that implements `Denoiser`, and the checkpoint: one directory that holds all that belongs to it.

mod checkpoint;
mod device;
mod digest;
mod native;
mod network;
mod network_denoiser;

pub use checkpoint::{Checkpoint, CheckpointError, Provenance};
pub use device::{DeviceError, Engine, device, engine};
pub use digest::checkpoint_digest;
pub use network::{Network, NetworkConfig, level_feature_tensor};
pub use network_denoiser::NetworkDenoiser;
