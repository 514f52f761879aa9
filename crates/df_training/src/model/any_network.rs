//! A network of either architecture, and what of it is not the same for both.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::network::ConditioningFeatures;
use super::{Network, NetworkConfig, ReferenceConfig, ReferenceNetwork};
use df_diffusion::{Levels, Tokens};

/// Which network a checkpoint holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// [`Network`].
    #[default]
    Own,
    /// [`ReferenceNetwork`].
    Reference(ReferenceConfig),
}

/// A network of either architecture.
#[derive(Module, Debug)]
// One per checkpoint: the size of a variant does not matter.
#[expect(clippy::large_enum_variant)]
pub enum AnyNetwork {
    Own(Network),
    Reference(ReferenceNetwork),
}

impl Architecture {
    /// A network with random weights.
    pub fn init(&self, sizes: &NetworkConfig, device: &Device) -> AnyNetwork {
        match self {
            Self::Own => AnyNetwork::Own(sizes.init(device)),
            Self::Reference(config) => AnyNetwork::Reference(config.init(sizes, device)),
        }
    }
}

impl From<Network> for AnyNetwork {
    fn from(network: Network) -> Self {
        Self::Own(network)
    }
}

impl AnyNetwork {
    pub fn architecture(&self) -> Architecture {
        match self {
            Self::Own(_) => Architecture::Own,
            Self::Reference(network) => Architecture::Reference(network.config.clone()),
        }
    }

    /// The prediction for every channel, `[batch, token, channel]`.
    pub(super) fn forward(&self, x: Tensor<3>, features: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Own(network) => network.forward(x, features),
            Self::Reference(network) => network.forward(x, features),
        }
    }

    /// Whether it is told known values a second time.
    pub(super) fn knows_values(&self) -> bool {
        match self {
            Self::Own(network) => network.condition_on_clean_values,
            Self::Reference(_) => false,
        }
    }

    /// The level that each noise group is told to have; `None`: its own.
    pub(super) fn told(&self, levels: &Levels) -> Option<Levels> {
        match self {
            Self::Own(_) => None,
            Self::Reference(network) => Some(network.config.told(levels)),
        }
    }

    /// What the network is told beside the values, `[batch, token or more, feature]`; `levels` as told.
    pub(super) fn features(&self, told: &ConditioningFeatures, x: &Tokens, levels: &Levels, device: &Device) -> Tensor<3> {
        match self {
            Self::Own(_) => told.tensor(x, levels, device),
            Self::Reference(network) => Tensor::from_data(network.features(levels, told.schedule), device),
        }
    }
}
