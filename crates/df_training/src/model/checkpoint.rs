//! The checkpoint: one directory with weights, network, token layout, normaliser, contract and provenance. Whole or nothing:
//! it is written beside its place and renamed.

use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::{Bytes, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{AnyNetwork, Architecture, Engine, NetworkConfig, NetworkDenoiser, bundle};
use crate::TrainerConfig;
use df_core::{ConfigError, Contract};
use crate::model::ModelConfig;
use df_diffusion::{NoiseSchedule, Objective, TokenSpec};
use df_core::{Layout, Normaliser};

pub(super) const WEIGHTS: &str = "weights.bpk";
pub(super) const DESCRIPTION: &str = "checkpoint.json";
pub(super) const CONTRACT: &str = "contract.yaml";
/// The bytes of a weight at least: half precision.
const MIN_WEIGHT: f64 = 2.0;
/// Raised when an older program could misread a newer checkpoint. Those of before know no noise scale other than the data's.
const FORMAT: u32 = 3;
/// Those of before this know one architecture.
const FORMAT_OF_OTHERS: u32 = 2;
/// What every program reads: our own network.
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
    /// The model that training began with; its steps are not counted here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Origin>,
}

/// A model that training began with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Its directory, as it was given.
    pub model: String,
    /// [`super::checkpoint_digest`] of it.
    pub sha256: String,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} (SHA-256 {})", self.model, self.sha256)
    }
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

impl Description {
    /// Do the parts fit each other, and the file of weights, of so many bytes? Asked before a network of these sizes is made:
    /// products of them must not overflow, and layers are listed one by one.
    fn check(&self, weights: u64) -> Result<(), String> {
        let Self { network, layout, normaliser, .. } = self;
        let frame = layout.frame_channels();
        let next =
            |start, channels: &Range<usize>| (channels.start == start && channels.end >= start).then_some(channels.end);
        let covered = layout.modalities.iter().try_fold(0, |start, modality| next(start, &modality.channels));
        let in_token = |count: usize| count.checked_mul(layout.frame_stack);
        let fits = !layout.modalities.is_empty()
            && covered == Some(frame)
            && Some(network.channels) == in_token(frame)
            && Some(network.noise_groups) == in_token(layout.modalities.len())
            && normaliser.mean.len() == frame
            && normaliser.std.len() == frame
            && normaliser.noise_scale.len() == frame;
        if !fits {
            return Err("network, layout and normaliser do not fit each other".into());
        }
        if network.width == 0 || network.heads == 0 || !network.width.is_multiple_of(network.heads) {
            return Err(format!("a network of width {} has no {} heads of equal width", network.width, network.heads));
        }
        let needed = network.weights() * MIN_WEIGHT;
        // Of the other architecture the sizes are not counted here.
        if is_own(&self.architecture) && needed > weights as f64 {
            return Err(format!("the network needs {needed:.3e} bytes of weights; {WEIGHTS} has {weights}"));
        }
        Ok(())
    }
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
    #[error("{}: {cause}", path.display())]
    File { path: PathBuf, cause: std::io::Error },
    #[error("{}: {message}", path.display())]
    Malformed { path: PathBuf, message: String },
    #[error("the checkpoint's own configuration: {0}")]
    Config(ConfigError),
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
            format: if self.normaliser.is_scaled() {
                FORMAT
            } else if is_own(&architecture) {
                FORMAT_OF_OWN
            } else {
                FORMAT_OF_OTHERS
            },
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
            fs::write(&path, text).map_err(|cause| CheckpointError::File { path, cause })?;
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
            fs::read_to_string(&path).map_err(|cause| CheckpointError::File { path, cause })
        };
        let malformed =
            |name: &str, message: String| CheckpointError::Malformed { path: directory.join(name), message };
        let description: Description =
            serde_json::from_str(&read(DESCRIPTION)?).map_err(|e| malformed(DESCRIPTION, e.to_string()))?;
        if !(FORMAT_OF_OWN..=FORMAT).contains(&description.format) {
            let message = format!("format {} is none of 1 to {FORMAT}, which this program reads", description.format);
            return Err(malformed(DESCRIPTION, message));
        }
        let path = directory.join(WEIGHTS);
        let weights = fs::metadata(&path).map_err(|cause| CheckpointError::File { path, cause })?.len();
        description.check(weights).map_err(|message| malformed(DESCRIPTION, message))?;
        let configuration = read(CONTRACT)?;
        let contract = Contract::parse(&configuration, &directory.join(CONTRACT)).map_err(CheckpointError::Config)?;
        let weights = Self::weights(directory);
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
    pub fn check(&self, directory: &Path, config: &TrainerConfig, layout: &Layout) -> Result<(), CheckpointError> {
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

    /// Where the weights of a checkpoint lie.
    pub fn weights(directory: &Path) -> PathBuf {
        directory.join(WEIGHTS)
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
    let bytes = fs::read(path).map_err(|cause| CheckpointError::File { path: path.into(), cause })?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_do_not_fit_are_refused_before_memory_is_taken() {
        let modality = |name: &str, start: usize, end: usize| {
            format!(r#"{{"name": "{name}", "channels": {{"start": {start}, "end": {end}}}}}"#)
        };
        let describe = |sizes: [usize; 6], stack: usize, modalities: [String; 2]| -> Result<(), String> {
            let [width, layers, heads, channels, noise_groups, tokens] = sizes;
            let text = format!(
                r#"{{"format": 1, "network": {{"width": {width}, "layers": {layers}, "heads": {heads}, "channels": {channels},
                "slots": {noise_groups}, "tokens": {tokens}}}, "model": {{"width": 2, "layers": 1, "heads": 1, "objective": "v",
                "noise_schedule": "cosine"}}, "layout": {{"modalities": [{}], "labels": ["u", "x"], "frame_stack": {stack}}},
                "normaliser": {{"mean": [0, 0], "deviation": [1, 1]}}, "provenance": {}}}"#,
                modalities.join(", "),
                serde_json::to_string(&Provenance::default()).unwrap()
            );
            // Weights of the least network, width 2, one layer, 4 channels, 4 noise groups, 3 tokens: values 4 * 2 + 2, levels 16 * 2 + 2,
            // mixed 4 + 2, position 6, block 12 * 4 + 13 * 2, norm 4, output 2 * 4 + 4: 146, of two bytes.
            serde_json::from_str::<Description>(&text).unwrap().check(292)
        };
        let two = || [modality("action", 0, 1), modality("x", 1, 2)];
        let min = [2, 1, 1, 4, 4, 3];
        assert_eq!(describe(min, 2, two()), Ok(()));
        for (sizes, expected) in [
            ([2, 2, 1, 4, 4, 3], "needs 4.400e2 bytes"),
            ([2, usize::MAX, 1, 4, 4, 3], "needs"),
            ([1 << 40, 1, 1, 4, 4, 3], "needs"),
            ([2, 1, 1, 4, 4, usize::MAX], "needs"),
            ([0, usize::MAX, 1, 4, 4, 3], "no 1 heads"),
            ([2, 1, 0, 4, 4, 3], "no 0 heads"),
            ([2, 1, 3, 4, 4, 3], "no 3 heads"),
            ([2, 1, 1, 5, 4, 3], "do not fit each other"),
        ] {
            let message = describe(sizes, 2, two()).unwrap_err();
            assert!(message.contains(expected), "{sizes:?}: {message}");
        }
        // Layouts: overflow, a range that runs on, a gap.
        for (stack, modalities) in [
            (usize::MAX, two()),
            (2, [modality("action", 0, 1), modality("x", 1, usize::MAX)]),
            (2, [modality("action", 0, 1), modality("x", 0, 2)]),
        ] {
            assert!(describe(min, stack, modalities).unwrap_err().contains("do not fit each other"));
        }
    }
}
