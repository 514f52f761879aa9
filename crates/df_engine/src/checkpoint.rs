//! The checkpoint: one directory with weights, sizes, token layout, normaliser, contract and provenance. It is written
//! whole or not at all.
//!
//! ```text
//! checkpoint.json  format, architecture, network (sizes), model, layout, normaliser, provenance
//! contract.yaml    the configuration that it was trained with, as text
//! weights.bpk      the network's tensors, see `burnpack`
//! ```

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use df_core::{Contract, Layout, Normaliser};
use df_diffusion::{NoiseSchedule, Objective, TokenSpec};
use serde::{Deserialize, Serialize};

use crate::architecture::Architecture;
use crate::atomic_directory::replace_directory;
use crate::checkpoint_error::CheckpointError;
use crate::conditioning_features::ConditioningFeatures;
use crate::cpu_denoiser::CpuDenoiser;
use crate::cpu_network::CpuNetwork;
use crate::model_config::ModelConfig;
use crate::network_config::NetworkConfig;
use crate::provenance::Provenance;
use crate::weights::{NamedTensors, WeightsError};

/// The file of weights.
pub const WEIGHTS: &str = "weights.bpk";
/// The file of everything that is neither weights nor contract.
pub const DESCRIPTION: &str = "checkpoint.json";
/// The file of the configuration.
pub const CONTRACT: &str = "contract.yaml";

/// The format of a native network whose noise is as wide as the data.
const FORMAT_V1: u32 = 1;
/// From this format on, there may be another architecture.
const FORMAT_V2_ARCHITECTURE: u32 = 2;
/// From this format on, the noise may have a scale of its own. A new format is made when an older program could
/// misread a newer checkpoint.
const FORMAT_V3_NOISE_SCALE: u32 = 3;
const NEWEST_FORMAT: u32 = FORMAT_V3_NOISE_SCALE;
/// Bytes of a weight at least: half precision.
const MIN_WEIGHT_BYTES: f64 = 2.0;

/// A checkpoint without its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckpointDescription {
    /// Which network it holds.
    pub architecture: Architecture,
    /// Sizes of the network.
    pub network: NetworkConfig,
    /// The section `model` of its configuration.
    pub model: ModelConfig,
    /// Which channel of a token is what.
    pub layout: Layout,
    /// From units to normalised values.
    pub normaliser: Normaliser,
    /// Where the weights come from.
    pub provenance: Provenance,
    /// The contract that it was trained under; its document is the whole configuration.
    pub contract: Contract,
}

/// `checkpoint.json`.
#[derive(Serialize, Deserialize)]
struct StoredDescription {
    format: u32,
    #[serde(default, skip_serializing_if = "Architecture::is_native")]
    architecture: Architecture,
    network: NetworkConfig,
    model: ModelConfig,
    layout: Layout,
    normaliser: Normaliser,
    provenance: Provenance,
}

impl StoredDescription {
    /// Do the parts fit each other, and the file of weights, of so many bytes?
    ///
    /// Checked before a network of these sizes is made: products of them must not overflow, and layers are listed one
    /// by one.
    fn check(&self, weights_bytes: u64) -> Result<(), String> {
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
        if !network.has_equal_heads() {
            return Err(WeightsError::Heads { width: network.width, heads: network.heads }.to_string());
        }
        let needed = network.weights() * MIN_WEIGHT_BYTES;
        // The weights of another architecture are not counted here.
        if self.architecture.is_native() && needed > weights_bytes as f64 {
            return Err(format!("the network needs {needed:.3e} bytes of weights; {WEIGHTS} has {weights_bytes}"));
        }
        Ok(())
    }
}

impl CheckpointDescription {
    /// Reads everything of a checkpoint but its weights.
    ///
    /// # Errors
    /// A file that is missing, damaged, of another format or does not fit the others.
    pub fn load(directory: &Path) -> Result<Self, CheckpointError> {
        let read = |name: &str| {
            let path = directory.join(name);
            fs::read_to_string(&path).map_err(|cause| CheckpointError::File { path, cause })
        };
        let malformed = |message: String| CheckpointError::Malformed { path: directory.join(DESCRIPTION), message };
        let stored: StoredDescription =
            serde_json::from_str(&read(DESCRIPTION)?).map_err(|e| malformed(e.to_string()))?;
        if !(FORMAT_V1..=NEWEST_FORMAT).contains(&stored.format) {
            let message = format!("format {} is none of 1 to {NEWEST_FORMAT}, which this program reads", stored.format);
            return Err(malformed(message));
        }
        let path = Self::weights_path(directory);
        let weights_bytes = fs::metadata(&path).map_err(|cause| CheckpointError::File { path, cause })?.len();
        stored.check(weights_bytes).map_err(malformed)?;
        let contract = Contract::parse(&read(CONTRACT)?, &directory.join(CONTRACT)).map_err(CheckpointError::Config)?;
        let StoredDescription { architecture, network, model, layout, normaliser, provenance, .. } = stored;
        Ok(Self { architecture, network, model, layout, normaliser, provenance, contract })
    }

    /// Writes a checkpoint. One that is there is replaced only when the new one is complete. `weights` is given the
    /// new directory and writes [`WEIGHTS`] into it, and files of its own.
    ///
    /// # Errors
    /// [`CheckpointError::File`] and those of `weights`; the old checkpoint stays.
    pub fn save<E: From<CheckpointError>>(
        &self,
        directory: &Path,
        weights: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), E> {
        replace_directory(directory, |new| {
            self.write(new)?;
            weights(new)
        })
    }

    fn write(&self, directory: &Path) -> Result<(), CheckpointError> {
        let stored = StoredDescription {
            format: if self.normaliser.is_scaled() {
                FORMAT_V3_NOISE_SCALE
            } else if self.architecture.is_native() {
                FORMAT_V1
            } else {
                FORMAT_V2_ARCHITECTURE
            },
            architecture: self.architecture.clone(),
            network: self.network.clone(),
            model: self.model.clone(),
            layout: self.layout.clone(),
            normaliser: self.normaliser.clone(),
            provenance: self.provenance.clone(),
        };
        let json = serde_json::to_string_pretty(&stored)
            .map_err(|e| CheckpointError::Malformed { path: directory.join(DESCRIPTION), message: e.to_string() })?;
        for (name, text) in [(DESCRIPTION, &json), (CONTRACT, &self.contract.document.text)] {
            let path = directory.join(name);
            fs::write(&path, text).map_err(|cause| CheckpointError::File { path, cause })?;
        }
        Ok(())
    }

    /// Refuses a configuration under which the weights would be misread: another period, frame stack, message type,
    /// field or layout. Topic names, QoS and settings may differ. `directory` is only cited.
    ///
    /// # Errors
    /// [`CheckpointError::OtherContract`] with the first key that differs.
    pub fn check_contract(
        &self,
        directory: &Path,
        contract: &Contract,
        layout: &Layout,
    ) -> Result<(), CheckpointError> {
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
        let pairs = facts(&self.contract).into_iter().zip(facts(contract)).map(|((key, a), (_, b))| (key, a, b));
        match pairs.chain([layouts]).find(|(_, a, b)| a != b) {
            None => Ok(()),
            Some((key, trained, configured)) => {
                Err(CheckpointError::OtherContract { path: directory.into(), key: key.into(), trained, configured })
            }
        }
    }

    /// Where the weights of a checkpoint are.
    pub fn weights_path(directory: &Path) -> PathBuf {
        directory.join(WEIGHTS)
    }

    /// Which channels of a token share a level.
    pub fn spec(&self) -> TokenSpec {
        TokenSpec::new(&self.layout.modality_of_channel(), self.layout.frame_stack)
    }

    /// From a noise level to the amplitudes of signal and noise.
    pub fn schedule(&self) -> NoiseSchedule {
        NoiseSchedule(self.model.noise_schedule)
    }

    /// What the network predicts.
    pub fn objective(&self) -> Objective {
        Objective(self.model.objective)
    }

    /// What the network is told about the noise in its input.
    pub fn conditioning_features(&self) -> ConditioningFeatures {
        let condition_on_clean_values = self.architecture.is_native() && self.network.condition_on_clean_values;
        ConditioningFeatures { spec: self.spec(), schedule: self.schedule(), condition_on_clean_values }
    }

    /// Reads the weights and makes a denoiser that the CPU evaluates.
    ///
    /// # Errors
    /// Weights that are missing, damaged or of other sizes; another architecture.
    pub fn cpu_denoiser(&self, directory: &Path) -> Result<CpuDenoiser, CheckpointError> {
        if !self.architecture.is_native() {
            return Err(CheckpointError::Architecture { path: directory.into() });
        }
        let path = Self::weights_path(directory);
        let network = NamedTensors::read(&path).and_then(|tensors| CpuNetwork::new(&tensors, &self.network));
        let network = network.map_err(|error| match error {
            WeightsError::File { path, cause } => CheckpointError::File { path, cause },
            WeightsError::Malformed { path, cause } => CheckpointError::Malformed { path, message: cause.to_string() },
            other => CheckpointError::Malformed { path, message: other.to_string() },
        })?;
        Ok(CpuDenoiser::new(network, self.conditioning_features(), self.objective()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use df_diffusion::{Denoiser, Levels, Tokens};

    fn shipped() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/point_maze")
    }

    /// A copy of the shipped model, of which one file is changed.
    fn changed(name: &str, change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in [DESCRIPTION, CONTRACT, WEIGHTS] {
            fs::copy(shipped().join(file), folder.path().join(file)).unwrap();
        }
        let path = folder.path().join(name);
        match change(fs::read(&path).unwrap()) {
            Some(bytes) => fs::write(path, bytes).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
        folder
    }

    fn refusal(directory: &Path) -> String {
        let loaded = CheckpointDescription::load(directory).and_then(|loaded| loaded.cpu_denoiser(directory));
        loaded.err().expect("a refusal").to_string()
    }

    #[test]
    fn the_shipped_model_loads_and_denoises() {
        let description = CheckpointDescription::load(&shipped()).unwrap();
        let spec = description.spec();
        assert_eq!((spec.channels(), spec.noise_groups()), (48, 24));
        let mut denoiser = description.cpu_denoiser(&shipped()).unwrap();
        assert_eq!(denoiser.max_tokens(), Some(16));
        let x = Tokens { data: (0..48 * 16).map(|i| (i as f32 * 0.7).sin()).collect(), ..Tokens::zeros(1, 16, 48) };
        let clean = denoiser.denoise(&x, &Levels::filled(1, 16, 24, 0.5)).unwrap();
        assert!(clean.data.iter().all(|value| value.abs() < 10.0), "{clean:?}");
    }

    #[test]
    fn a_written_checkpoint_has_the_present_names_and_loads_unchanged() {
        let description = CheckpointDescription::load(&shipped()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("model");
        let copy = |new: &Path| {
            let (from, to) = (CheckpointDescription::weights_path(&shipped()), new.join(WEIGHTS));
            fs::copy(from, &to).map(|_| ()).map_err(|cause| CheckpointError::File { path: to, cause })
        };
        description.save(&out, copy).unwrap();
        let text = fs::read_to_string(out.join(DESCRIPTION)).unwrap();
        assert!(text.contains("\"noise_groups\": 24") && text.contains("\"std\": ["), "{text}");
        assert!(text.contains("\"condition_on_clean_values\": false") && text.contains("\"format\": 1"), "{text}");
        assert!(!text.contains("slots") && !text.contains("deviation") && !text.contains("known_values"), "{text}");
        assert_eq!(fs::read(out.join(CONTRACT)).unwrap(), fs::read(shipped().join(CONTRACT)).unwrap());
        let again = CheckpointDescription::load(&out).unwrap();
        let Contract { document, .. } = &again.contract;
        assert_eq!(document.file, out.join(CONTRACT));
        let contract = Contract { document: description.contract.document.clone(), ..again.contract.clone() };
        assert_eq!(CheckpointDescription { contract, ..again }, description);
    }

    #[test]
    fn a_failed_write_of_a_checkpoint_keeps_the_old_one() {
        let description = CheckpointDescription::load(&shipped()).unwrap();
        let old = changed(DESCRIPTION, Some);
        let full =
            |new: &Path| Err(CheckpointError::File { path: new.into(), cause: std::io::ErrorKind::StorageFull.into() });
        description.save(old.path(), full).unwrap_err();
        CheckpointDescription::load(old.path()).unwrap().cpu_denoiser(old.path()).unwrap();
    }

    #[test]
    fn a_missing_or_damaged_file_is_named() {
        for name in [DESCRIPTION, CONTRACT, WEIGHTS] {
            let folder = changed(name, |_| None);
            let message = refusal(folder.path());
            assert!(message.contains(name) && message.contains("No such file"), "{message}");
            let folder = changed(name, |bytes| Some(bytes[..bytes.len() / 2].into()));
            let message = refusal(folder.path());
            assert!(message.contains(name) || message.contains(DESCRIPTION), "{name}: {message}");
        }
        // Cut by one byte, the file is still long enough for weights in half precision: its reader refuses it.
        let folder = changed(WEIGHTS, |bytes| Some(bytes[..bytes.len() - 1].into()));
        let message = refusal(folder.path());
        assert!(message.contains(WEIGHTS) && message.contains(": byte "), "{message}");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let folder = changed(DESCRIPTION, |bytes| Some(text(bytes).replace("\"format\": 1", "\"format\": 4").into()));
        let expected = "format 4 is none of 1 to 3, which this program reads";
        assert!(refusal(folder.path()).ends_with(expected), "{}", refusal(folder.path()));
    }

    #[test]
    fn a_reference_network_is_refused_by_the_cpu() {
        let reference =
            r#""architecture": {"reference": {"hidden": 8, "causal": true, "signal": [0.5], "seen": [true]}},"#;
        let add =
            |bytes: Vec<u8>| Some(String::from_utf8(bytes).unwrap().replacen('{', &format!("{{{reference}"), 1).into());
        let folder = changed(DESCRIPTION, add);
        let message = refusal(folder.path());
        assert!(message.contains("reference architecture, which device `cpu` does not evaluate"), "{message}");
    }

    #[test]
    fn another_contract_is_refused_by_its_first_key() {
        let description = CheckpointDescription::load(&shipped()).unwrap();
        let check = |change: &dyn Fn(&mut Contract, &mut Layout)| {
            let (mut contract, mut layout) = (description.contract.clone(), description.layout.clone());
            change(&mut contract, &mut layout);
            description.check_contract(Path::new("m"), &contract, &layout).map_err(|e| e.to_string())
        };
        assert_eq!(check(&|_, _| ()), Ok(()));
        assert_eq!(check(&|contract, _| contract.observations[0].topic = "elsewhere".into()), Ok(()));
        let trained = "m: trained under another contract: ";
        let period = format!("{trained}period_s is 0.05 in the checkpoint and 0.1 in the configuration");
        assert_eq!(check(&|contract, _| contract.period_s = 0.1), Err(period));
        for (change, key) in [
            (
                &(|c: &mut Contract, _: &mut Layout| c.frame_stack = 4) as &dyn Fn(&mut Contract, &mut Layout),
                "frame_stack",
            ),
            (&|c, _| c.observations.swap(0, 1), "observations"),
            (&|c, _| c.action.message_type = "a/msg/B".into(), "action.type"),
            (&|c, _| c.action.fields.swap(0, 1), "action.fields"),
            (&|_, layout| layout.labels[0] = "other".into(), "the layout of channels"),
        ] {
            let message = check(change).unwrap_err();
            assert!(message.starts_with(&format!("{trained}{key} is ")), "{message}");
        }
    }

    #[test]
    fn sizes_that_do_not_match_the_weights_are_refused_before_memory_is_allocated() {
        let modality = |name: &str, start: usize, end: usize| {
            format!(r#"{{"name": "{name}", "channels": {{"start": {start}, "end": {end}}}}}"#)
        };
        // The names of old files.
        let describe = |sizes: [usize; 6], stack: usize, modalities: [String; 2]| -> Result<(), String> {
            let [width, layers, heads, channels, slots, tokens] = sizes;
            let text = format!(
                r#"{{"format": 1, "network": {{"width": {width}, "layers": {layers}, "heads": {heads}, "channels": {channels},
                "slots": {slots}, "tokens": {tokens}}}, "model": {{"width": 2, "layers": 1, "heads": 1, "objective": "v",
                "noise_schedule": "cosine"}}, "layout": {{"modalities": [{}], "labels": ["u", "x"], "frame_stack": {stack}}},
                "normaliser": {{"mean": [0, 0], "deviation": [1, 1]}}, "provenance": {}}}"#,
                modalities.join(", "),
                serde_json::to_string(&Provenance::default()).unwrap()
            );
            // Weights of the smallest network, width 2, one layer, 4 channels, 4 noise groups, 3 tokens: values 4 * 2
            // + 2, levels 16 * 2 + 2, in_proj 4 + 2, position 6, block 12 * 4 + 13 * 2, norm 4, output 2 * 4 + 4: 146,
            // of two bytes.
            serde_json::from_str::<StoredDescription>(&text).unwrap().check(292)
        };
        let two = || [modality("action", 0, 1), modality("x", 1, 2)];
        let smallest = [2, 1, 1, 4, 4, 3];
        assert_eq!(describe(smallest, 2, two()), Ok(()));
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
            assert!(describe(smallest, stack, modalities).unwrap_err().contains("do not fit each other"));
        }
    }
}
