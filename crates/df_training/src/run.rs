//! A training run on disk, beside the checkpoint that it makes: what `--resume` needs, and the log.
//!
//! ```text
//! models/mine/        the best checkpoint so far: what the planner is given
//! models/mine.run/
//!   last/             a checkpoint too, of the last save, with raw.bpk, optimizer.bpk and progress.json
//!   log.jsonl
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::tensor::{Bytes, Device};
use serde::{Deserialize, Serialize};

use super::TrainError;
use super::parallel::Ranks;
use crate::TrainerConfig;
use df_engine::ModelConfig;
use crate::TrainingConfig;
use df_engine::{CheckpointError, ParentCheckpoint};
use crate::{AnyNetwork, Checkpoint, Network, load_network, save_network};
use df_core::Normaliser;

const LAST: &str = "last";
const RAW: &str = "raw.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const PROGRESS: &str = "progress.json";
const NONE: &str = "none";
/// Raised when an older program could misread a newer run.
const FORMAT: u32 = 1;

/// What may change when a run goes on: how it goes on, not what it is about.
const FREE: [&str; 12] = [
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

/// What a run does with one that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Refuses one that is not finished.
    New,
    /// Goes on with it.
    Resume,
    /// Removes it.
    Restart,
}

/// How far a run has come, beside its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    format: u32,
    /// Optimizer steps done.
    pub step: usize,
    pub finished: bool,
    /// The smoothed loss. Of single precision, as losses are: read back from text it is the same.
    pub loss: Option<f32>,
    pub best: Option<Best>,
    /// Validations since the best one.
    pub stale: usize,
    pub seconds: f64,
    pub windows_seen: u64,
    pub device: String,
    /// The model that the run began with.
    #[serde(default)]
    from: Option<ParentCheckpoint>,
    training: TrainingConfig,
    model: ModelConfig,
    /// What the data are, to refuse others.
    data: Data,
    /// Of what planning asks, that which decides what training shows, by key; runs of earlier versions do not say.
    #[serde(default)]
    asked: BTreeMap<String, String>,
}

/// The best validation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    pub step: usize,
    /// None without a validation split: then the newest is the best.
    pub loss: Option<f32>,
}

/// Enough of the training data to notice other ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Data {
    pub bags: Vec<String>,
    pub episodes: usize,
    pub frames: usize,
}

impl Progress {
    pub fn new(config: &TrainerConfig, data: Data, device: &str, from: Option<&ParentCheckpoint>) -> Self {
        Self {
            format: FORMAT,
            step: 0,
            finished: false,
            loss: None,
            best: None,
            stale: 0,
            seconds: 0.0,
            windows_seen: 0,
            device: device.into(),
            from: from.cloned(),
            training: config.training.clone(),
            model: config.model.clone(),
            data,
            asked: asked(config),
        }
    }

    /// What all ranks must have in common, as a number: settings and data.
    pub fn fingerprint(&self, normaliser: &Normaliser) -> u32 {
        crc32fast::hash(
            serde_json::json!([self.training, self.model, self.data, self.asked, self.from, normaliser])
                .to_string()
                .as_bytes(),
        )
    }
}

/// Where a run is kept.
#[derive(Clone, Debug)]
pub struct Run {
    out: PathBuf,
    directory: PathBuf,
    resumed: Option<Progress>,
    from: Option<ParentCheckpoint>,
}

impl Run {
    /// The run whose checkpoint goes to `out`. Done before the data are read, so that what cannot work is said at once.
    /// Only rank 0 writes; all read.
    ///
    /// # Errors
    /// A place that cannot be written; an unfinished run that nobody said what to do with; nothing to resume; a rank has gone.
    pub fn open(out: &Path, start: Start, ranks: &dyn Ranks) -> Result<Self, TrainError> {
        let mut name = out.file_name().unwrap_or_default().to_os_string();
        name.push(".run");
        let directory = out.with_file_name(name);
        let opened = (ranks.rank() == 0).then(|| Self::write(out, start, &directory)).transpose()?;
        ranks.any(false)?;
        if let Some(run) = opened {
            return Ok(run);
        }
        let resumed = (start == Start::Resume).then(|| read_progress(&directory.join(LAST))).transpose()?;
        Ok(Self { out: out.into(), directory, resumed, from: None })
    }

    fn write(out: &Path, start: Start, directory: &Path) -> Result<Self, TrainError> {
        let last = directory.join(LAST);
        let there = last.join(PROGRESS).exists().then(|| read_progress(&last)).transpose()?;
        let resumed = match (start, there) {
            (Start::Resume, None) => return Err(TrainError::NothingToResume { place: last }),
            (Start::Resume, there) => there,
            (Start::New, Some(Progress { step, finished: false, .. })) => {
                return Err(TrainError::Unfinished { place: directory.into(), step });
            }
            (Start::New | Start::Restart, _) => {
                if directory.exists() {
                    fs::remove_dir_all(directory).map_err(|cause| at(directory, cause))?;
                }
                None
            }
        };
        // A file that is made and removed: permissions alone do not tell (a read-only file system, a full one).
        fs::create_dir_all(directory).map_err(|cause| at(directory, cause))?;
        let probe = directory.join(".probe");
        fs::write(&probe, "probe").and_then(|()| fs::remove_file(&probe)).map_err(|cause| at(&probe, cause))?;
        Ok(Self { out: out.into(), directory: directory.into(), resumed, from: None })
    }

    /// The same, begun with a trained model in place of random weights.
    pub fn beginning_with(self, from: Option<ParentCheckpoint>) -> Self {
        Self { from, ..self }
    }

    /// The model that it begins with, where it is not a random one.
    pub fn from(&self) -> Option<&ParentCheckpoint> {
        self.from.as_ref()
    }

    /// The best checkpoint's place.
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// The last save's place, a checkpoint as well.
    pub fn last(&self) -> PathBuf {
        self.directory.join(LAST)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// How far the run had come that this one goes on with, and what has changed since then.
    ///
    /// # Errors
    /// Other data than it had, or settings that give the weights another meaning: [`TrainError::OtherRun`].
    pub fn resumed(&self, now: &Progress) -> Result<Option<(Progress, Vec<String>)>, TrainError> {
        let Some(before) = &self.resumed else { return Ok(None) };
        let mut changes = Vec::new();
        for ((what, was), (_, is)) in facts(before).into_iter().zip(facts(now)).filter(|(was, is)| was != is) {
            if !FREE.contains(&what.as_str()) {
                return Err(TrainError::OtherRun { place: self.last(), what, was, is });
            }
            changes.push(format!("{what} was {was} and is {is}"));
        }
        let (training, device) = (now.training.clone(), now.device.clone());
        Ok(Some((Progress { training, device, ..before.clone() }, changes)))
    }

    /// The weights that the steps go on with, and the optimizer's memory of them; the averaged ones are the checkpoint's.
    ///
    /// # Errors
    /// Files that are missing, damaged, or of another contract.
    pub fn load(
        &self,
        config: &TrainerConfig,
        network: Network,
        optimizer: ModuleOptimizer,
        device: &Device,
    ) -> Result<(Network, ModuleOptimizer, Network), TrainError> {
        let last = self.last();
        let checkpoint = Checkpoint::load(&last, device)?;
        checkpoint.description.check_contract(&last, &config.contract, &checkpoint.description.layout)?;
        let AnyNetwork::Native(averaged) = checkpoint.network else {
            let message = "holds a network of another architecture, which is not trained here".into();
            return Err(CheckpointError::Malformed { path: last, message }.into());
        };
        let network = load_network(network, &last.join(RAW))?;
        let path = last.join(OPTIMIZER);
        let bytes = fs::read(&path).map_err(|cause| at(&path, cause))?;
        let malformed = |e: burn::store::RecordError| CheckpointError::Malformed { path, message: e.to_string() };
        let record = OptimizerRecord::from_bytes(Bytes::from_bytes_vec(bytes)).map_err(malformed)?;
        Ok((network, optimizer.load_record(record), averaged))
    }

    /// Saves all that the run needs to go on.
    ///
    /// # Errors
    /// What was saved before stays.
    pub fn save(
        &self,
        checkpoint: &Checkpoint,
        (network, optimizer, progress): (&Network, &ModuleOptimizer, &Progress),
        more: impl FnOnce(&Path) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        checkpoint.save(&self.last(), |new| {
            save_network(network, &new.join(RAW))?;
            let path = new.join(OPTIMIZER);
            optimizer
                .to_record()
                .save(&path)
                .map_err(|e| CheckpointError::Malformed { path, message: e.to_string() })?;
            let path = new.join(PROGRESS);
            let text = serde_json::to_string_pretty(progress).map_err(std::io::Error::from);
            text.and_then(|text| fs::write(&path, text)).map_err(|cause| at(&path, cause))?;
            more(new)
        })
    }
}

fn facts(progress: &Progress) -> Vec<(String, String)> {
    let mut facts = vec![
        ("the recordings".to_string(), progress.data.bags.join(", ")),
        ("the number of episodes".into(), progress.data.episodes.to_string()),
        ("the number of frames".into(), progress.data.frames.to_string()),
        ("--device".into(), progress.device.clone()),
        ("--from".into(), progress.from.as_ref().map_or(NONE.into(), ParentCheckpoint::to_string)),
    ];
    let sections = [("training", serde_json::json!(progress.training)), ("model", serde_json::json!(progress.model))];
    for (section, keys) in &sections {
        let keys = keys.as_object().into_iter().flatten();
        facts.extend(keys.map(|(key, value)| (format!("{section}.{key}"), value.to_string())));
    }
    facts.extend(progress.asked.clone());
    facts
}

/// The same keys in every run, so that [`facts`] of two stand beside each other.
fn asked(config: &TrainerConfig) -> BTreeMap<String, String> {
    let goal = config.contract.goal.as_ref();
    let of_stays = |value: Option<String>| value.filter(|_| config.training.dwell_share > 0.0);
    let facts = [
        ("goal.group", goal.map(|goal| goal.group.clone())),
        ("goal.rate", goal.and_then(|goal| goal.rate.clone())),
        ("goal.tolerance", of_stays(goal.map(|goal| goal.tolerance.to_string()))),
        ("planner.history_actions", Some(config.planner.history_actions.to_string())),
        ("planner.history", of_stays(Some(config.planner.history.to_string()))),
    ];
    facts.map(|(key, value)| (key.to_string(), value.unwrap_or_else(|| NONE.into()))).into()
}

fn at(path: &Path, cause: std::io::Error) -> TrainError {
    CheckpointError::File { path: path.into(), cause }.into()
}

fn read_progress(last: &Path) -> Result<Progress, TrainError> {
    let path = last.join(PROGRESS);
    let text = fs::read_to_string(&path).map_err(|cause| at(&path, cause))?;
    let progress: Progress = serde_json::from_str(&text)
        .map_err(|e| CheckpointError::Malformed { path: path.clone(), message: e.to_string() })?;
    if progress.format != FORMAT {
        let message = format!("format {} is not the {FORMAT} that this program reads", progress.format);
        return Err(CheckpointError::Malformed { path, message }.into());
    }
    Ok(progress)
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
        Progress::new(&config, Data { bags: Vec::new(), episodes: 1, frames: 9 }, "flex", None)
    }

    #[test]
    fn what_the_windows_depend_on_may_not_change() {
        let resume = |before: Progress, now: &str| {
            let run = Run { out: "m".into(), directory: "m.run".into(), resumed: Some(before), from: None };
            run.resumed(&progress(now)).map(|_| ()).map_err(|error| error.to_string())
        };
        let longer = CONFIG.replace("history: 1", "history: 2");
        let message = resume(progress(CONFIG), &longer).unwrap_err();
        assert!(message.contains("planner.history") && message.contains('1') && message.contains('2'), "{message}");
        let wider = CONFIG.replace("tolerance: 0.4", "tolerance: 0.5");
        assert!(resume(progress(CONFIG), &wider).unwrap_err().contains("goal.tolerance"));
        let hidden = CONFIG.replace("history: 1", "history: 1, history_actions: false");
        assert!(resume(progress(CONFIG), &hidden).unwrap_err().contains("planner.history_actions"));
        // Without stays no window depends on these, and one that knows the goal depends on its groups.
        let plain = |text: &str| text.replace("dwell_share: 0.5", "dwell_share: 0");
        assert_eq!(resume(progress(&plain(CONFIG)), &plain(&longer)), Ok(()));
        assert_eq!(resume(progress(&plain(CONFIG)), &plain(&wider)), Ok(()));
        let without = plain(CONFIG).replace("rate: v, ", "");
        assert!(resume(progress(&plain(CONFIG)), &without).unwrap_err().contains("goal.rate"));
        // A run of an earlier version does not say.
        let earlier = Progress { asked: BTreeMap::new(), ..progress(CONFIG) };
        assert_eq!(resume(earlier, &longer), Ok(()));
    }
}
