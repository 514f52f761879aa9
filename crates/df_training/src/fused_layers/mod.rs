//! Layers whose gradient is one step. Burn takes the gradient of a layer apart into those of its operations: some 25 for a layer
//! norm, 40 for an attention, each through all of its input and with its own overhead. On a CPU that was a tenth of a
//! training step, and a quarter of a guided planning step with one future (docs/src/reference/results/beside-pytorch.md).
//!
//! Of Burn's backends `flex` and `tch` are extended by these; on others the layers are Burn's own.

// Of what Burn's macro makes; and Burn's word about its libtorch backend, which stays the one to compare with.
#![allow(missing_docs, deprecated)]

mod attention;
mod flex;
mod layer_norm;
mod linear;
mod relu;

use burn::backend::DispatchDevice;

pub use attention::attention;
pub use layer_norm::layer_norm;
pub use linear::linear;
pub use relu::relu;

/// Whether the backend of a device is one of those that have our gradients.
fn is_extended(device: &DispatchDevice) -> bool {
    match device {
        DispatchDevice::Autodiff(inner) => is_extended(inner),
        DispatchDevice::Flex(_) => true,
        #[cfg(feature = "tch")]
        DispatchDevice::LibTorch(_) => true,
        #[allow(unreachable_patterns)]
        _ => false,
    }
}
