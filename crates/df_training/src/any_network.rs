//! A network of either architecture, with one interface for both.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use df_diffusion::{Levels, Tokens};
use df_engine::{Architecture, ConditioningFeatures, NetworkConfig};

use crate::native_network::{InitNetwork, Network, features_tensor};
use crate::reference_network::{self, ReferenceNetwork};

/// A network of either architecture.
#[derive(Module, Debug)]
// There is one per checkpoint, so the size of the variants does not matter.
#[expect(clippy::large_enum_variant)]
pub enum AnyNetwork {
    /// The native architecture of df_planner.
    Native(Network),
    /// The architecture of the reference code (Chen et al. 2024).
    Reference(ReferenceNetwork),
}

impl From<Network> for AnyNetwork {
    fn from(network: Network) -> Self {
        Self::Native(network)
    }
}

impl AnyNetwork {
    /// A network of these sizes with random weights.
    pub fn init(architecture: &Architecture, sizes: &NetworkConfig, device: &Device) -> Self {
        match architecture {
            Architecture::Native => Self::Native(sizes.init(device)),
            Architecture::Reference(config) => Self::Reference(reference_network::init(config, sizes, device)),
        }
    }

    /// The architecture with its parameters.
    pub fn architecture(&self) -> Architecture {
        match self {
            Self::Native(_) => Architecture::Native,
            Self::Reference(network) => Architecture::Reference(network.config.clone()),
        }
    }

    /// The prediction for every channel, `[batch, token, channel]`.
    pub(crate) fn forward(&self, x: Tensor<3>, features: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Native(network) => network.forward(x, features),
            Self::Reference(network) => network.forward(x, features),
        }
    }

    /// The levels that the network is conditioned on, per noise group. `None`: the levels of the noise groups.
    pub(crate) fn network_levels(&self, levels: &Levels) -> Option<Levels> {
        match self {
            Self::Native(_) => None,
            Self::Reference(network) => Some(network.config.network_levels(levels)),
        }
    }

    /// The conditioning features, `[batch, token, feature]`; the reference architecture may add padding tokens.
    /// `levels` is the result of [`AnyNetwork::network_levels`].
    pub(crate) fn features(
        &self,
        features: &ConditioningFeatures,
        x: &Tokens,
        levels: &Levels,
        device: &Device,
    ) -> Tensor<3> {
        match self {
            Self::Native(_) => features_tensor(features, x, levels, device),
            Self::Reference(network) => Tensor::from_data(network.features(levels, features.schedule), device),
        }
    }
}
