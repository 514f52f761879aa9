//! A training run on disk, beside the checkpoint that it makes: the state for `--resume`, and the log.
//!
//! ```text
//! models/mine/        the best checkpoint so far, for the planner
//! models/mine.run/
//!   last/             the last save: a checkpoint too, with raw.bpk, optimizer.bpk and progress.json
//!   log.jsonl
//! ```

mod progress;

use std::fs;
use std::path::{Path, PathBuf};

use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::tensor::{Bytes, Device};
use df_engine::{CheckpointError, ParentCheckpoint};

pub use progress::Best;
pub(crate) use progress::{DataIdentity, Progress};

use crate::parallel::Ranks;
use crate::{AnyNetwork, Checkpoint, Network, TrainError, TrainerConfig, load_network, save_network};

const LAST: &str = "last";
/// The weights that the optimizer steps on, not averaged.
const RAW: &str = "raw.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const PROGRESS: &str = "progress.json";

/// What to do with an existing run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Refuse to start if the existing run is unfinished.
    New,
    /// Continue the existing run.
    Resume,
    /// Remove the existing run.
    Restart,
}

/// The place of a run on the disk.
#[derive(Clone, Debug)]
pub struct Run {
    out: PathBuf,
    directory: PathBuf,
    resumed: Option<Progress>,
    parent: Option<ParentCheckpoint>,
}

/// The state that a save writes.
pub(crate) struct RunState<'a> {
    /// The averaged network with its description.
    pub(crate) checkpoint: &'a Checkpoint,
    /// The network that the optimizer steps on.
    pub(crate) network: &'a Network,
    pub(crate) optimizer: &'a ModuleOptimizer,
    pub(crate) progress: &'a Progress,
}

/// The weights that a resumed run continues with.
pub(crate) struct ResumedWeights {
    /// The network that the optimizer steps on.
    pub(crate) network: Network,
    /// The optimizer with its moments.
    pub(crate) optimizer: ModuleOptimizer,
    /// The moving average.
    pub(crate) averaged: Network,
}

impl Run {
    /// Opens the run that writes its checkpoint to `out`. Call it before reading the data, so that an impossible
    /// request fails at once. Rank 0 writes; the other ranks only read.
    ///
    /// # Errors
    /// The place cannot be written. [`TrainError::Unfinished`], [`TrainError::NothingToResume`]. Another rank has gone.
    pub fn open(out: &Path, start: Start, ranks: &dyn Ranks) -> Result<Self, TrainError> {
        let mut name = out.file_name().unwrap_or_default().to_os_string();
        name.push(".run");
        let directory = out.with_file_name(name);
        let opened = (ranks.rank() == 0).then(|| Self::open_for_writing(out, start, &directory)).transpose()?;
        // The other ranks wait here until rank 0 has prepared the directory.
        ranks.any(false)?;
        if let Some(run) = opened {
            return Ok(run);
        }
        let resumed = (start == Start::Resume).then(|| Progress::read(&directory.join(LAST))).transpose()?;
        Ok(Self { out: out.into(), directory, resumed, parent: None })
    }

    fn open_for_writing(out: &Path, start: Start, directory: &Path) -> Result<Self, TrainError> {
        let last = directory.join(LAST);
        let existing = last.join(PROGRESS).exists().then(|| Progress::read(&last)).transpose()?;
        let resumed = match (start, existing) {
            (Start::Resume, None) => return Err(TrainError::NothingToResume { place: last }),
            (Start::Resume, existing) => existing,
            (Start::New, Some(Progress { step, finished: false, .. })) => {
                return Err(TrainError::Unfinished { place: directory.into(), step });
            }
            (Start::New | Start::Restart, _) => {
                if directory.exists() {
                    fs::remove_dir_all(directory).map_err(|cause| file_error(directory, cause))?;
                }
                None
            }
        };
        // Write a probe file: permissions alone do not show a read-only or full file system.
        fs::create_dir_all(directory).map_err(|cause| file_error(directory, cause))?;
        let probe = directory.join(".probe");
        fs::write(&probe, "probe").and_then(|()| fs::remove_file(&probe)).map_err(|cause| file_error(&probe, cause))?;
        Ok(Self { out: out.into(), directory: directory.into(), resumed, parent: None })
    }

    /// The same run, initialised from a trained checkpoint instead of random weights; see [`crate::init_from`].
    pub fn initialised_from(self, parent: Option<ParentCheckpoint>) -> Self {
        Self { parent, ..self }
    }

    /// The checkpoint that the run is initialised from, if any.
    pub fn parent(&self) -> Option<&ParentCheckpoint> {
        self.parent.as_ref()
    }

    /// The directory of the best checkpoint.
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// The directory of the last save, which is a checkpoint too.
    pub fn last(&self) -> PathBuf {
        self.directory.join(LAST)
    }

    /// A file of the run, by name.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The progress of the resumed run under the settings `now`, with the list of changed settings. `None` for a new
    /// run.
    ///
    /// # Errors
    /// [`TrainError::OtherRun`] if the data or a setting that gives the weights their meaning has changed.
    pub(crate) fn resumed(&self, now: &Progress) -> Result<Option<(Progress, Vec<String>)>, TrainError> {
        self.resumed.as_ref().map(|saved| now.continue_from(saved, &self.last())).transpose()
    }

    /// Loads the weights of the last save into `network` and the moments into `optimizer`.
    ///
    /// # Errors
    /// A file is missing, damaged or of another contract.
    pub(crate) fn load(
        &self,
        config: &TrainerConfig,
        network: Network,
        optimizer: ModuleOptimizer,
        device: &Device,
    ) -> Result<ResumedWeights, TrainError> {
        let last = self.last();
        let checkpoint = Checkpoint::load(&last, device)?;
        checkpoint.description.check_contract(&last, &config.contract, &checkpoint.description.layout)?;
        let AnyNetwork::Native(averaged) = checkpoint.network else {
            let message = "contains a network of the reference architecture; only the native one can be trained".into();
            return Err(CheckpointError::Malformed { path: last, message }.into());
        };
        let network = load_network(network, &last.join(RAW))?;
        let path = last.join(OPTIMIZER);
        let bytes = fs::read(&path).map_err(|cause| file_error(&path, cause))?;
        let malformed = |e: burn::store::RecordError| CheckpointError::Malformed { path, message: e.to_string() };
        let record = OptimizerRecord::from_bytes(Bytes::from_bytes_vec(bytes)).map_err(malformed)?;
        Ok(ResumedWeights { network, optimizer: optimizer.load_record(record), averaged })
    }

    /// Saves the state for `--resume`. `add_files` adds files to the new directory before it replaces the old one.
    ///
    /// # Errors
    /// A file cannot be written. The previous save stays.
    pub(crate) fn save(
        &self,
        state: &RunState,
        add_files: impl FnOnce(&Path) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        state.checkpoint.save(&self.last(), |new| {
            save_network(state.network, &new.join(RAW))?;
            let path = new.join(OPTIMIZER);
            state
                .optimizer
                .to_record()
                .save(&path)
                .map_err(|e| CheckpointError::Malformed { path, message: e.to_string() })?;
            let path = new.join(PROGRESS);
            let text = serde_json::to_string_pretty(state.progress).map_err(std::io::Error::from);
            text.and_then(|text| fs::write(&path, text)).map_err(|cause| file_error(&path, cause))?;
            add_files(new)
        })
    }
}

fn file_error(path: &Path, cause: std::io::Error) -> TrainError {
    CheckpointError::File { path: path.into(), cause }.into()
}
