//! Layers whose gradient is one fused operation.
//!
//! Burn computes the gradient of a layer from those of its operations: some 25 for a layer norm, 40 for an attention,
//! each with a pass over its input. On a CPU this was a tenth of a training step, and a quarter of a guided planning
//! step with one rollout (docs/src/reference/results/beside-pytorch.md). The backends `flex` and `tch` use the fused
//! layers, others those of Burn.

// Burn's macro generates undocumented items, and Burn marks its libtorch backend as deprecated.
#![allow(missing_docs, deprecated, unreachable_pub)]

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

/// True if the backend of a device has the fused gradients.
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
