//! The network that implements `Denoiser`, and the checkpoint: one directory that holds all that belongs to it.

mod checkpoint;
mod device;
mod network;
mod network_denoiser;

pub use checkpoint::{Checkpoint, CheckpointError, Provenance};
pub use device::{DeviceError, device};
pub use network::{Network, NetworkConfig, level_features};
pub use network_denoiser::NetworkDenoiser;
