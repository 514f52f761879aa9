//! The checkpoint: one directory with weights, network, token layout, normaliser, contract and provenance. Whole or nothing:
//! it is written beside its place and renamed.

use std::fs;
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::{Bytes, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{AnyNetwork, Architecture, Engine, NetworkConfig, NetworkDenoiser, bundle};
use crate::config::{Config, ConfigError, Contract, ModelConfig};
use crate::diffusion::{NoiseSchedule, Objective, TokenSpec};
use crate::signal::{Layout, Normaliser};

pub(super) const WEIGHTS: &str = "weights.bpk";
pub(super) const DESCRIPTION: &str = "checkpoint.json";
pub(super) const CONTRACT: &str = "contract.yaml";
/// Raised when an older program could misread a newer checkpoint: it knows one architecture.
const FORMAT: u32 = 2;
/// Programs that know one architecture read those of our own network still.
const FORMAT_OF_OWN: u32 = 1;

/// Where the weights come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of the program that trained.
    pub version: String,
    pub bags: Vec<String>,
    pub episodes: usize,
    pub frames: usize,
    /// Optimizer steps done.
    pub steps: usize,
    pub windows_seen: u64,
    pub training_loss: f64,
    pub validation_loss: f64,
    pub seconds: f64,
    pub device: String,
    pub seed: u64,
}

#[derive(Serialize, Deserialize)]
struct Description {
    format: u32,
    #[serde(default, skip_serializing_if = "is_own")]
    architecture: Architecture,
    network: NetworkConfig,
    model: ModelConfig,
    layout: Layout,
    normaliser: Normaliser,
    provenance: Provenance,
}

fn is_own(architecture: &Architecture) -> bool {
    *architecture == Architecture::Own
}

/// A trained model with all that belongs to it.
pub struct Checkpoint {
    pub network: AnyNetwork,
    pub sizes: NetworkConfig,
    pub model: ModelConfig,
    pub layout: Layout,
    pub normaliser: Normaliser,
    pub contract: Contract,
    /// The configuration that it was trained with, as text.
    pub configuration: String,
    pub provenance: Provenance,
}

/// Why a checkpoint cannot be read, written or used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{}: {message}", path.display())]
    Malformed { path: PathBuf, message: String },
    #[error("the checkpoint's own configuration: {0}")]
    Config(#[from] ConfigError),
    #[error("{}: trained under another contract: {key} is {trained} in the checkpoint and {configured} in the configuration", path.display())]
    OtherContract { path: PathBuf, key: String, trained: String, configured: String },
}

impl Checkpoint {
    /// Writes the directory; one that is there is replaced only when the new one is complete. `more` adds files of its own.
    ///
    /// # Errors
    /// [`CheckpointError::File`] and those of `more`; what was there stays.
    pub fn save<E: From<CheckpointError>>(
        &self,
        directory: &Path,
        more: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), E> {
        bundle::replace(directory, |new| {
            self.write(new)?;
            more(new)
        })
    }

    fn write(&self, directory: &Path) -> Result<(), CheckpointError> {
        let architecture = self.network.architecture();
        let description = Description {
            format: if is_own(&architecture) { FORMAT_OF_OWN } else { FORMAT },
            architecture,
            network: self.sizes.clone(),
            model: self.model.clone(),
            layout: self.layout.clone(),
            normaliser: self.normaliser.clone(),
            provenance: self.provenance.clone(),
        };
        let json = serde_json::to_string_pretty(&description)
            .map_err(|e| CheckpointError::Malformed { path: directory.join(DESCRIPTION), message: e.to_string() })?;
        for (name, text) in [(DESCRIPTION, &json), (CONTRACT, &self.configuration)] {
            let path = directory.join(name);
            fs::write(&path, text).map_err(|source| CheckpointError::File { path, source })?;
        }
        match &self.network {
            AnyNetwork::Own(network) => save_network(network, &directory.join(WEIGHTS)),
            AnyNetwork::Reference(network) => save_network(network, &directory.join(WEIGHTS)),
        }
    }

    /// Reads a directory onto a device.
    ///
    /// # Errors
    /// A file that is missing, damaged, of another format or does not fit the others.
    pub fn load(directory: &Path, device: &Device) -> Result<Self, CheckpointError> {
        let read = |name: &str| {
            let path = directory.join(name);
            fs::read_to_string(&path).map_err(|source| CheckpointError::File { path, source })
        };
        let malformed =
            |name: &str, message: String| CheckpointError::Malformed { path: directory.join(name), message };
        let description: Description =
            serde_json::from_str(&read(DESCRIPTION)?).map_err(|e| malformed(DESCRIPTION, e.to_string()))?;
        if !(FORMAT_OF_OWN..=FORMAT).contains(&description.format) {
            let message = format!("format {} is none of 1 to {FORMAT}, which this program reads", description.format);
            return Err(malformed(DESCRIPTION, message));
        }
        let layout = &description.layout;
        let fits = description.network.channels == layout.token_channels()
            && description.network.slots == layout.modalities.len() * layout.frame_stack
            && description.normaliser.mean.len() == layout.frame_channels()
            && description.normaliser.deviation.len() == layout.frame_channels();
        if !fits {
            return Err(malformed(DESCRIPTION, "network, layout and normaliser do not fit each other".into()));
        }
        let configuration = read(CONTRACT)?;
        let contract = Contract::parse(&configuration, &directory.join(CONTRACT))?;
        let weights = directory.join(WEIGHTS);
        let network = match description.architecture.init(&description.network, device) {
            AnyNetwork::Own(network) => AnyNetwork::Own(load_network(network, &weights)?),
            AnyNetwork::Reference(network) => AnyNetwork::Reference(load_network(network, &weights)?),
        };
        Ok(Self {
            network,
            sizes: description.network,
            model: description.model,
            layout: description.layout,
            normaliser: description.normaliser,
            contract,
            configuration,
            provenance: description.provenance,
        })
    }

    /// Refuses a configuration under which the weights would be misread: another period, frame stack, message type,
    /// field or action limit. Topic names, QoS and run-time settings may differ.
    ///
    /// # Errors
    /// [`CheckpointError::OtherContract`] with the first key that differs.
    pub fn check(&self, directory: &Path, config: &Config, layout: &Layout) -> Result<(), CheckpointError> {
        let (trained, now) = (&self.contract, &config.contract);
        let group_facts = |c: &Contract| -> Vec<_> {
            c.observations.iter().map(|g| (g.name.clone(), g.message_type.clone(), g.fields.clone())).collect()
        };
        let facts = |c: &Contract| {
            [
                ("period_s", format!("{}", c.period_s)),
                ("frame_stack", format!("{}", c.frame_stack)),
                ("observations", format!("{:?}", group_facts(c))),
                ("action.type", c.action.message_type.clone()),
                ("action.fields", format!("{:?}", c.action.fields)),
            ]
        };
        let layouts = ("the layout of channels", format!("{:?}", self.layout), format!("{layout:?}"));
        let pairs = facts(trained).into_iter().zip(facts(now)).map(|((key, a), (_, b))| (key, a, b));
        match pairs.chain([layouts]).find(|(_, a, b)| a != b) {
            None => Ok(()),
            Some((key, trained, configured)) => {
                Err(CheckpointError::OtherContract { path: directory.into(), key: key.into(), trained, configured })
            }
        }
    }

    /// Which channels of a token share a level.
    pub fn spec(&self) -> TokenSpec {
        TokenSpec::new(&self.layout.modality_of_channel(), self.layout.frame_stack)
    }

    /// The network as a denoiser; `engine` has the device that the checkpoint was loaded to.
    pub fn denoiser(&self, engine: &Engine) -> NetworkDenoiser {
        NetworkDenoiser::new(
            self.network.clone(),
            engine,
            self.spec(),
            NoiseSchedule(self.model.noise_schedule),
            Objective(self.model.objective),
            self.sizes.tokens,
        )
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

/// Reads weights into a network of the same sizes.
///
/// # Errors
/// A file that is missing, damaged, or of other sizes.
pub fn load_network<M: Module>(network: M, path: &Path) -> Result<M, CheckpointError> {
    let malformed = |message: String| CheckpointError::Malformed { path: path.into(), message };
    // Read as a whole: from a path, Burn reads each tensor when it is first used, and panics if training has replaced the
    // file by then.
    let bytes = fs::read(path).map_err(|source| CheckpointError::File { path: path.into(), source })?;
    let record =
        burn::store::ModuleRecord::from_bytes(Bytes::from_bytes_vec(bytes)).map_err(|e| malformed(e.to_string()))?;
    network.try_load_record(record).map_err(|e| malformed(e.to_string()))
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
