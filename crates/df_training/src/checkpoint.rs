//! A checkpoint with its weights on a Burn device: written by training, read to go on or to plan on such a device.

use std::fs;
use std::path::Path;

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::store::{BurnpackStore, ModuleSnapshot};
use burn::tensor::{Bytes, Device, Tensor};
use df_diffusion::{Denoiser, Objective};
use df_engine::{
    CheckpointDescription, CheckpointError, ConditioningFeatures, CpuDenoiser, CpuNetwork, NetworkConfig, WEIGHTS, WeightsError,
};

use crate::native_network::named_tensors;
use crate::{AnyNetwork, BurnDenoiser, DeviceError, Engine, engine};

/// Parts of tensors' names in files of version 0.1 and what they are called now.
pub(crate) const RENAMED: [(&str, &str); 6] = [
    (r"^mixed\.", "in_proj."),
    (r"^(blocks\.\d+)\.(?:before|after)_attention\.", "$1.attention_norm."),
    (r"^(blocks\.\d+)\.attended\.", "$1.attention_out."),
    (r"^(blocks\.\d+)\.(?:before|after)_hidden\.", "$1.mlp_norm."),
    (r"^(blocks\.\d+)\.hidden\.", "$1.mlp_up."),
    (r"^(blocks\.\d+)\.back\.", "$1.mlp_down."),
];

/// A trained model: its weights, and all that belongs to them.
pub struct Checkpoint {
    /// The network with its weights.
    pub network: AnyNetwork,
    /// Sizes, layout, normaliser, contract and provenance.
    pub description: CheckpointDescription,
}

impl Checkpoint {
    /// Writes the directory; one that is there is replaced only when the new one is complete. `more` adds files of its own.
    ///
    /// # Errors
    /// [`CheckpointError::File`] and those of `more`; the old checkpoint stays.
    pub fn save<E: From<CheckpointError>>(
        &self,
        directory: &Path,
        more: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), E> {
        self.description.save(directory, |new| {
            match &self.network {
                AnyNetwork::Native(network) => save_network(network, &new.join(WEIGHTS))?,
                AnyNetwork::Reference(network) => save_network(network, &new.join(WEIGHTS))?,
            }
            more(new)
        })
    }

    /// Reads a directory onto a device.
    ///
    /// # Errors
    /// A file that is missing, damaged, of another format or does not fit the others.
    pub fn load(directory: &Path, device: &Device) -> Result<Self, CheckpointError> {
        let description = CheckpointDescription::load(directory)?;
        let weights = CheckpointDescription::weights_path(directory);
        let network = match AnyNetwork::init(&description.architecture, &description.network, device) {
            AnyNetwork::Native(network) => AnyNetwork::Native(load_network(network, &weights)?),
            AnyNetwork::Reference(network) => AnyNetwork::Reference(load_network(network, &weights)?),
        };
        Ok(Self { network, description })
    }

    /// The network as a denoiser on an engine's device; see [`denoiser`].
    ///
    /// # Errors
    /// As [`denoiser`].
    pub fn denoiser(&self, engine: &Engine) -> Result<Box<dyn Denoiser + Send>, WeightsError> {
        let (features, objective) = (self.description.conditioning_features(), self.description.objective());
        denoiser(&self.network, engine, features, objective, &self.description.network)
    }

    /// The number of weights.
    pub fn parameters(&self) -> usize {
        self.network.num_params()
    }
}

/// A network as a denoiser. On [`Engine::Native`], df_engine evaluates the native architecture; the reference architecture is
/// left to `flex`.
///
/// # Errors
/// Weights that are not of these sizes.
pub fn denoiser(
    network: &AnyNetwork,
    engine: &Engine,
    features: ConditioningFeatures,
    objective: Objective,
    sizes: &NetworkConfig,
) -> Result<Box<dyn Denoiser + Send>, WeightsError> {
    Ok(match (engine, network) {
        (Engine::Native, AnyNetwork::Native(network)) => {
            let network = CpuNetwork::new(&named_tensors(network), sizes)?;
            Box::new(CpuDenoiser::new(network, features, objective))
        }
        _ => {
            let device = engine.device();
            let network = network.clone().to_device(&device);
            Box::new(BurnDenoiser::with_features(network, &device, features, objective, sizes.tokens))
        }
    })
}

/// Why a checkpoint cannot plan on a device.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no such device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The checkpoint is refused.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// A checkpoint's network as a denoiser on the device of that name: `cpu`, or a Burn device as for [`crate::device`].
///
/// On `cpu`, df_engine evaluates the native architecture; the reference architecture is left to `flex`.
///
/// # Errors
/// [`LoadError`].
pub fn load_denoiser(
    directory: &Path,
    description: &CheckpointDescription,
    device: &str,
) -> Result<Box<dyn Denoiser + Send>, LoadError> {
    match engine(device)? {
        Engine::Native if description.architecture.is_native() => Ok(Box::new(description.cpu_denoiser(directory)?)),
        engine => {
            let device = engine.device();
            let checkpoint = Checkpoint::load(directory, &device)?;
            Ok(Box::new(BurnDenoiser::new(checkpoint.network, &device, description)))
        }
    }
}

/// Writes the weights; equal weights give equal bytes.
///
/// # Errors
/// [`CheckpointError`].
pub fn save_network<M: Module>(network: &M, path: &Path) -> Result<(), CheckpointError> {
    numbered(network.clone())
        .save_file(path)
        .map_err(|e| CheckpointError::Malformed { path: path.into(), message: e.to_string() })
}

/// Reads weights into a network of the same sizes. Names of version 0.1 are read as what they are called now.
///
/// # Errors
/// A file that is missing, damaged, or of other sizes.
pub fn load_network<M: Module>(mut network: M, path: &Path) -> Result<M, CheckpointError> {
    let malformed = |message: String| CheckpointError::Malformed { path: path.into(), message };
    // Read as a whole: from a path, Burn reads each tensor when it is first used, and panics if training has replaced the
    // file by then.
    let bytes = fs::read(path).map_err(|cause| CheckpointError::File { path: path.into(), cause })?;
    let store = BurnpackStore::from_bytes(Some(Bytes::from_bytes_vec(bytes)));
    let mut store = RENAMED.iter().fold(store, |store, (from, to)| store.with_remap_pattern(*from, *to));
    network.load_from(&mut store).map_err(|e| malformed(e.to_string()))?;
    Ok(network)
}

/// The network with its parameters numbered in their order. Burn draws their ids at random, and they are part of files:
/// without this, equal weights would not give equal bytes, and an optimizer's record would not find its parameters.
pub fn numbered<M: Module>(network: M) -> M {
    network.map(&mut Number(0))
}

struct Number(u64);

impl ModuleMapper for Number {
    fn map_float<const D: usize>(&mut self, mut param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.0 += 1;
        param.id = ParamId::from(self.0);
        param
    }
}
