//! The progress of a run, and the comparison of a saved run with the configuration that resumes it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use df_core::Normaliser;
use df_engine::{CheckpointError, ModelConfig, ParentCheckpoint};
use serde::{Deserialize, Serialize};

use super::{PROGRESS, file_error};
use crate::{TrainError, TrainerConfig, TrainingConfig};

const NONE: &str = "none";
/// The version of `progress.json`. Increase it when an older program could misread a newer file.
const FORMAT: u32 = 1;

/// The settings that may change at a resume. They change how the run continues, not the meaning of its weights.
const MAY_CHANGE: [&str; 12] = [
    "--device",
    "training.steps",
    "training.learning_rate",
    "training.warmup_steps",
    "training.weight_decay",
    "training.gradient_clip",
    "training.accumulate",
    "training.validate_every",
    "training.patience",
    "training.log_every",
    "training.checkpoint_every_s",
    "training.cache_gb",
];

/// The progress of a run without its weights: the file `progress.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    format: u32,
    /// Optimizer steps done.
    pub(crate) step: usize,
    pub(crate) finished: bool,
    /// The smoothed loss. It is an f32, so that it survives the text of the file unchanged.
    pub(crate) loss: Option<f32>,
    pub(crate) best: Option<Best>,
    /// Validations since the best one.
    #[serde(alias = "stale")]
    pub(crate) validations_since_best: usize,
    /// Seconds of training, over all resumes.
    pub(crate) seconds: f64,
    pub(crate) windows_seen: u64,
    /// The name of the device.
    device: String,
    /// The checkpoint that the run was initialised from.
    #[serde(default, alias = "from")]
    parent: Option<ParentCheckpoint>,
    training: TrainingConfig,
    model: ModelConfig,
    data: DataIdentity,
    /// The settings of other sections that decide what windows contain, by key. Early files have none.
    #[serde(default, alias = "asked")]
    window_settings: BTreeMap<String, String>,
}

/// The best validation of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Optimizer steps done at that validation.
    pub step: usize,
    /// The validation loss. `None` without a validation split: then the newest network counts as the best.
    pub loss: Option<f32>,
}

/// The facts that identify the training data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DataIdentity {
    /// The inputs, as given to the program.
    pub(crate) bags: Vec<String>,
    pub(crate) episodes: usize,
    pub(crate) frames: usize,
}

impl Progress {
    /// The progress before the first step.
    pub(crate) fn new(
        config: &TrainerConfig,
        data: DataIdentity,
        device: &str,
        parent: Option<&ParentCheckpoint>,
    ) -> Self {
        Self {
            format: FORMAT,
            step: 0,
            finished: false,
            loss: None,
            best: None,
            validations_since_best: 0,
            seconds: 0.0,
            windows_seen: 0,
            device: device.into(),
            parent: parent.cloned(),
            training: config.training.clone(),
            model: config.model.clone(),
            data,
            window_settings: window_settings(config),
        }
    }

    /// A checksum of the settings and the data, which all ranks must share.
    pub(crate) fn fingerprint(&self, normaliser: &Normaliser) -> u32 {
        let shared =
            serde_json::json!([self.training, self.model, self.data, self.window_settings, self.parent, normaliser]);
        crc32fast::hash(shared.to_string().as_bytes())
    }

    /// The progress that continues from `saved` under the settings of `self`, with the list of changed settings.
    ///
    /// # Errors
    /// [`TrainError::OtherRun`] if the data or a setting that gives the weights their meaning has changed. `place` is
    /// the directory of the save.
    pub(super) fn continue_from(&self, saved: &Self, place: &Path) -> Result<(Self, Vec<String>), TrainError> {
        let mut changes = Vec::new();
        let pairs = saved.facts().into_iter().zip(self.facts());
        for ((what, was), (_, is)) in pairs.filter(|(was, is)| was != is) {
            if !MAY_CHANGE.contains(&what.as_str()) {
                return Err(TrainError::OtherRun { place: place.into(), what, was, is });
            }
            changes.push(format!("{what} was {was} and is {is}"));
        }
        let (training, device) = (self.training.clone(), self.device.clone());
        Ok((Self { training, device, ..saved.clone() }, changes))
    }

    /// Settings and data by name, in the same order for every run.
    fn facts(&self) -> Vec<(String, String)> {
        let mut facts = vec![
            ("the recordings".to_string(), self.data.bags.join(", ")),
            ("the number of episodes".into(), self.data.episodes.to_string()),
            ("the number of frames".into(), self.data.frames.to_string()),
            ("--device".into(), self.device.clone()),
            ("--from".into(), self.parent.as_ref().map_or(NONE.into(), ParentCheckpoint::to_string)),
        ];
        let sections = [("training", serde_json::json!(self.training)), ("model", serde_json::json!(self.model))];
        for (section, keys) in &sections {
            let keys = keys.as_object().into_iter().flatten();
            facts.extend(keys.map(|(key, value)| (format!("{section}.{key}"), value.to_string())));
        }
        facts.extend(self.window_settings.clone());
        facts
    }

    /// Reads the file of a save.
    ///
    /// # Errors
    /// The file is missing, damaged or of another format.
    pub(super) fn read(directory: &Path) -> Result<Self, TrainError> {
        let path = directory.join(PROGRESS);
        let text = fs::read_to_string(&path).map_err(|cause| file_error(&path, cause))?;
        let progress: Self = serde_json::from_str(&text)
            .map_err(|e| CheckpointError::Malformed { path: path.clone(), message: e.to_string() })?;
        if progress.format != FORMAT {
            let message = format!("format {} of the run; this program reads format {FORMAT}", progress.format);
            return Err(CheckpointError::Malformed { path, message }.into());
        }
        Ok(progress)
    }
}

/// The settings outside `training` and `model` that decide what windows contain. All runs have the same keys, so that
/// [`Progress::facts`] of two runs correspond.
fn window_settings(config: &TrainerConfig) -> BTreeMap<String, String> {
    let goal = config.contract.goal.as_ref();
    let if_dwelling = |value: Option<String>| value.filter(|_| config.training.dwell_share > 0.0);
    let settings = [
        ("goal.group", goal.map(|goal| goal.group.clone())),
        ("goal.rate", goal.and_then(|goal| goal.rate.clone())),
        ("goal.tolerance", if_dwelling(goal.map(|goal| goal.tolerance.to_string()))),
        ("planner.history_actions", Some(config.planner.history_actions.to_string())),
        ("planner.history", if_dwelling(Some(config.planner.history.to_string()))),
    ];
    settings.map(|(key, value)| (key.to_string(), value.unwrap_or_else(|| NONE.into()))).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "
period_s: 0.1
frame_stack: 1
observations:
  x: {topic: x, type: p/msg/X, fields: [x], max_age_s: 1}
  v: {topic: x, type: p/msg/X, fields: [v], max_age_s: 1}
action: {topic: u, type: p/msg/X, fields: [x], min: [-1], max: [1], safe: [0], max_age_s: 1}
goal: {topic: g, type: p/msg/X, fields: [x], group: x, rate: v, tolerance: 0.4}
planner: {history: 1}
training: {dwell_share: 0.5}
";

    fn progress(text: &str) -> Progress {
        let config = TrainerConfig::parse(text, Path::new("c.yaml")).unwrap();
        Progress::new(&config, DataIdentity { bags: Vec::new(), episodes: 1, frames: 9 }, "flex", None)
    }

    fn resume(saved: &Progress, config: &str) -> Result<(), String> {
        let resumed = progress(config).continue_from(saved, Path::new("m.run/last"));
        resumed.map(|_| ()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_setting_that_changes_the_windows_is_refused_at_a_resume() {
        let longer = CONFIG.replace("history: 1", "history: 2");
        let message = resume(&progress(CONFIG), &longer).unwrap_err();
        assert!(message.contains("planner.history") && message.contains('1') && message.contains('2'), "{message}");
        let wider = CONFIG.replace("tolerance: 0.4", "tolerance: 0.5");
        assert!(resume(&progress(CONFIG), &wider).unwrap_err().contains("goal.tolerance"));
        let hidden = CONFIG.replace("history: 1", "history: 1, history_actions: false");
        assert!(resume(&progress(CONFIG), &hidden).unwrap_err().contains("planner.history_actions"));
        // Without the dwell augmentation no window depends on these two settings. The goal's groups always matter.
        let plain = |text: &str| text.replace("dwell_share: 0.5", "dwell_share: 0");
        assert_eq!(resume(&progress(&plain(CONFIG)), &plain(&longer)), Ok(()));
        assert_eq!(resume(&progress(&plain(CONFIG)), &plain(&wider)), Ok(()));
        let without = plain(CONFIG).replace("rate: v, ", "");
        assert!(resume(&progress(&plain(CONFIG)), &without).unwrap_err().contains("goal.rate"));
        // Early files do not contain these settings.
        let early = Progress { window_settings: BTreeMap::new(), ..progress(CONFIG) };
        assert_eq!(resume(&early, &longer), Ok(()));
    }

    #[test]
    fn a_setting_that_changes_only_the_pace_is_reported_at_a_resume() {
        let longer = CONFIG.replace("dwell_share: 0.5", "dwell_share: 0.5, steps: 7");
        let saved = Progress { step: 3, ..progress(CONFIG) };
        let (resumed, changes) = progress(&longer).continue_from(&saved, Path::new("m.run/last")).unwrap();
        assert_eq!((resumed.step, resumed.training.steps), (3, 7));
        assert_eq!(changes, ["training.steps was 20000 and is 7"]);
    }

    /// `progress.json` as versions before 0.2 wrote it.
    #[test]
    fn a_file_with_the_field_names_of_earlier_versions_loads() {
        let parent = ParentCheckpoint { model: "models/a".into(), sha256: "00ff".into() };
        let written = Progress { validations_since_best: 2, parent: Some(parent), ..progress(CONFIG) };
        let mut json = serde_json::to_value(&written).unwrap();
        let fields = json.as_object_mut().unwrap();
        let names = [("validations_since_best", "stale"), ("parent", "from"), ("window_settings", "asked")];
        for (name, earlier) in names {
            let value = fields.remove(name).unwrap();
            fields.insert(earlier.into(), value);
        }
        let training = fields["training"].as_object_mut().unwrap();
        for (name, earlier) in [("dwell_share", "stays"), ("noise_levels", "noise_mix")] {
            let value = training.remove(name).unwrap();
            training.insert(earlier.into(), value);
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(PROGRESS), json.to_string()).unwrap();
        assert_eq!(Progress::read(folder.path()).unwrap(), written);
    }
}
