//! The network that implements `Denoiser`, and the checkpoint: one directory that holds all that belongs to it.

mod bundle;
mod checkpoint;
mod device;
mod digest;
mod native;
mod network;
mod network_denoiser;

pub use bundle::replace;
pub use checkpoint::{Checkpoint, CheckpointError, Provenance, load_network, numbered, save_network};
pub use device::{DeviceError, Engine, device, engine};
pub use digest::checkpoint_digest;
pub use network::{Network, NetworkConfig, level_feature_tensor};
pub use network_denoiser::NetworkDenoiser;
