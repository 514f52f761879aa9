//! A checkpoint with its weights on a Burn device. Training writes it; resuming, fine-tuning and planning read it.

use std::fs;
use std::path::Path;

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::store::{BurnpackStore, ModuleSnapshot};
use burn::tensor::{Bytes, Device, Tensor};
use df_diffusion::{Denoiser, Objective};
use df_engine::{
    CheckpointDescription, CheckpointError, ConditioningFeatures, CpuDenoiser, CpuNetwork, NetworkConfig, WEIGHTS,
    WeightsError,
};

use crate::native_network::named_tensors;
use crate::{AnyNetwork, BurnDenoiser, DeviceError, Engine, engine};

/// Patterns of tensor names in files of version 0.1, with the present names.
pub(crate) const RENAMED: [(&str, &str); 6] = [
    (r"^mixed\.", "in_proj."),
    (r"^(blocks\.\d+)\.(?:before|after)_attention\.", "$1.attention_norm."),
    (r"^(blocks\.\d+)\.attended\.", "$1.attention_out."),
    (r"^(blocks\.\d+)\.(?:before|after)_hidden\.", "$1.mlp_norm."),
    (r"^(blocks\.\d+)\.hidden\.", "$1.mlp_up."),
    (r"^(blocks\.\d+)\.back\.", "$1.mlp_down."),
];

/// A trained network with its description.
pub struct Checkpoint {
    /// The network with its weights.
    pub network: AnyNetwork,
    /// Sizes, layout, normaliser, contract and provenance.
    pub description: CheckpointDescription,
}

impl Checkpoint {
    /// Writes the directory. An existing one is replaced only when the new one is complete. `add_files` adds further
    /// files.
    ///
    /// # Errors
    /// [`CheckpointError::File`], or the error of `add_files`. The old checkpoint stays.
    pub fn save<E: From<CheckpointError>>(
        &self,
        directory: &Path,
        add_files: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), E> {
        self.description.save(directory, |new| {
            match &self.network {
                AnyNetwork::Native(network) => save_network(network, &new.join(WEIGHTS))?,
                AnyNetwork::Reference(network) => save_network(network, &new.join(WEIGHTS))?,
            }
            add_files(new)
        })
    }

    /// Reads a directory onto a device.
    ///
    /// # Errors
    /// A file is missing, damaged, of another format, or does not match the other files.
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

/// A network as a denoiser. On [`Engine::Native`], df_engine evaluates the native architecture and `flex` the reference
/// architecture.
///
/// # Errors
/// The weights do not match `sizes`.
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
    /// The device cannot be used.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The checkpoint cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// The network of a checkpoint as a denoiser on a device by name: `cpu`, or a Burn device as for [`crate::device()`].
///
/// On `cpu`, df_engine evaluates the native architecture and `flex` the reference architecture.
///
/// # Errors
/// [`LoadError`]: the device cannot be used, or the checkpoint cannot be read.
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

/// Writes the weights. Equal weights give equal bytes.
///
/// # Errors
/// [`CheckpointError::Malformed`] if the file cannot be written.
pub fn save_network<M: Module>(network: &M, path: &Path) -> Result<(), CheckpointError> {
    numbered(network.clone())
        .save_file(path)
        .map_err(|e| CheckpointError::Malformed { path: path.into(), message: e.to_string() })
}

/// Reads weights into a network of the same sizes. Accepts the tensor names of version 0.1.
///
/// # Errors
/// The file is missing, damaged, or of other sizes.
pub fn load_network<M: Module>(mut network: M, path: &Path) -> Result<M, CheckpointError> {
    let malformed = |message: String| CheckpointError::Malformed { path: path.into(), message };
    // Read the whole file at once. From a path, Burn reads each tensor at its first use, and panics if training has
    // replaced the file by then.
    let bytes = fs::read(path).map_err(|cause| CheckpointError::File { path: path.into(), cause })?;
    let store = BurnpackStore::from_bytes(Some(Bytes::from_bytes_vec(bytes)));
    let mut store = RENAMED.iter().fold(store, |store, (from, to)| store.with_remap_pattern(*from, *to));
    network.load_from(&mut store).map_err(|e| malformed(e.to_string()))?;
    Ok(network)
}

/// The network with its parameter ids numbered in order.
///
/// Burn draws these ids at random and writes them to files. With numbered ids, equal weights give equal bytes, and the
/// record of an optimizer finds its parameters.
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
