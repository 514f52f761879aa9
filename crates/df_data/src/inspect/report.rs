//! The report of an inspection: what the inputs hold, what a contract keeps of it, warnings and charts.

use std::path::PathBuf;

use serde::Serialize;

use super::channel::ChannelSummary;
use super::quantile_sketch::Sketch;
use super::rate_stats::RateSummary;
use super::traces::Traces;
use super::warning::Warning;
use super::window_coverage::WindowCoverage;
use crate::charts::Chart;
use crate::{BagError, EpisodeReport, RecordingError};

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// What the inputs hold; empty where a contract was held against them.
    pub inputs: Vec<RawReport>,
    pub contract: Option<ContractReport>,
    pub warnings: Vec<Warning>,
    #[serde(skip)]
    pub pictures: Pictures,
}

/// What is drawn.
#[derive(Clone, Debug, Default)]
pub struct Pictures {
    pub distributions: Vec<Chart>,
    /// Values over time: of episodes, or of the begin of each topic.
    pub episodes: Vec<Chart>,
}

/// Why demonstrations cannot be inspected.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    #[error("{}: {cause}", path.display())]
    Bag { path: std::path::PathBuf, cause: BagError },
    #[error(transparent)]
    Recording(#[from] RecordingError),
    #[error("{what}: {got}: {rule}")]
    Map { what: &'static str, got: String, rule: String },
}

/// What one input holds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RawReport {
    pub path: PathBuf,
    /// `bag`, `LeRobot` or `HDF5`.
    pub kind: &'static str,
    /// Of datasets.
    pub episodes: Option<u64>,
    /// Time between two rows of a dataset, where it says so.
    pub step_s: Option<f64>,
    pub duration_s: f64,
    /// Topics of a bag, columns of a dataset.
    pub topics: Vec<TopicReport>,
    /// Why reading ended early.
    pub cut: Option<String>,
}

/// A topic or a column.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TopicReport {
    pub name: String,
    /// `package/msg/Name`; empty for a column.
    pub message_type: String,
    pub clock: RateSummary,
    pub bytes: u64,
    pub frame_id: Option<String>,
    pub channels: Vec<ChannelSummary>,
    /// Arrays: label, least and most elements.
    pub arrays: Vec<(String, u32, u32)>,
    /// Messages that could not be decoded, and the first reason.
    pub refused: u64,
    pub reason: Option<String>,
    /// What the type is like, for the starter.
    #[serde(skip)]
    pub details: Details,
}

/// What is not told but used.
#[derive(Clone, Debug, Default)]
pub struct Details {
    pub arrays: Vec<df_message::ArrayLengths>,
    /// Names of the values of a column.
    pub names: Vec<String>,
    pub width: usize,
    pub sketches: Vec<Sketch>,
    pub traces: Traces,
}

/// What a contract would keep.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ContractReport {
    pub period_s: f64,
    pub inputs: Vec<InputReport>,
    pub coverage: WindowCoverage,
    /// The action, then the observation groups.
    pub streams: Vec<StreamReport>,
}

/// What one input gave.
#[derive(Clone, Debug, Default, Serialize)]
pub struct InputReport {
    pub path: PathBuf,
    /// It says itself where episodes end.
    pub has_episodes: bool,
    #[serde(flatten)]
    pub read: EpisodeReport,
    /// Damage that ended it.
    pub damage: Option<String>,
    pub episodes: u64,
    pub frames: u64,
    /// By channel of a frame.
    #[serde(skip)]
    pub channels: Vec<ChannelSummary>,
}

/// A modality.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StreamReport {
    pub name: String,
    pub topic: String,
    pub required: bool,
    pub max_age_s: f64,
    pub clock: RateSummary,
    /// Of the frames, those in which it is missing.
    pub missing_share: f64,
    pub channels: Vec<ChannelSummary>,
}
