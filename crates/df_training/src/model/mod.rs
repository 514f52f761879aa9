//! The networks that implement `Denoiser`, and the checkpoint: one directory that holds all that belongs to it.

mod any_network;
mod bundle;
mod checkpoint;
mod device;
mod digest;
mod fused_layers;
#[cfg(feature = "import")]
pub mod import;
mod native;
mod network;
mod network_denoiser;
mod reference;

pub use any_network::{AnyNetwork, Architecture};
pub use bundle::replace;
pub use checkpoint::{Checkpoint, CheckpointError, Origin, Provenance, load_network, numbered, save_network};
pub use device::{DeviceError, Engine, device, devices, engine};
pub use digest::checkpoint_digest;
pub use network::{Network, NetworkConfig, ConditioningFeatures};
pub use network_denoiser::NetworkDenoiser;
#[cfg(test)]
pub(crate) use network_denoiser::tests::Fill;
pub use reference::{ReferenceConfig, ReferenceNetwork};
