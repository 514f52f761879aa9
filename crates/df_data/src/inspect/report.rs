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

/// The result of [`inspect`](super::inspect).
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// What the inputs hold; empty if a contract was given.
    pub inputs: Vec<RawReport>,
    /// What the contract keeps; `None` without a contract.
    pub contract: Option<ContractReport>,
    /// What a person should know before training.
    pub warnings: Vec<Warning>,
    /// The charts; not part of the JSON.
    #[serde(skip)]
    pub pictures: Pictures,
}

/// The charts of a report.
#[derive(Clone, Debug, Default)]
pub struct Pictures {
    /// A histogram per channel.
    pub distributions: Vec<Chart>,
    /// Values over time: of sample episodes, or of the first messages of each topic.
    pub episodes: Vec<Chart>,
}

/// Why demonstrations cannot be inspected.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// An input cannot be opened or read.
    #[error("{}: {cause}", path.display())]
    Bag {
        /// The input.
        path: PathBuf,
        /// What is wrong with it.
        cause: BagError,
    },
    /// The inputs do not fit the contract.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// A coverage map cannot be made.
    #[error("{what}: {got}: {rule}")]
    Map {
        /// The argument.
        what: &'static str,
        /// Its value.
        got: String,
        /// The rule that it breaks.
        rule: String,
    },
}

/// What one input holds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RawReport {
    /// The input.
    pub path: PathBuf,
    /// `bag`, `LeRobot` or `HDF5`.
    pub kind: &'static str,
    /// Episodes of a dataset; `None` for a bag.
    pub episodes: Option<u64>,
    /// Time between two rows of a dataset, seconds; `None` if it does not say so.
    pub step_s: Option<f64>,
    /// From the first to the last message or row, seconds.
    pub duration_s: f64,
    /// Topics of a bag, columns of a dataset.
    pub topics: Vec<TopicReport>,
    /// Why reading ended early; `None` if all of it was read.
    pub cut: Option<String>,
}

/// A topic or a column.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TopicReport {
    /// The name of the topic or column.
    pub name: String,
    /// `package/msg/Name`; empty for a column.
    pub message_type: String,
    /// Rate, gaps and ages of its stamps.
    pub clock: RateSummary,
    /// Size of all messages, bytes.
    pub bytes: u64,
    /// The coordinate frame of the header.
    pub frame_id: Option<String>,
    /// Every number of the message, or every value of the column.
    pub channels: Vec<ChannelSummary>,
    /// Arrays of variable length: label, fewest and most elements.
    pub arrays: Vec<(String, u32, u32)>,
    /// Messages that cannot be decoded.
    pub refused: u64,
    /// Why the first of them cannot be decoded.
    pub reason: Option<String>,
    /// What scaffolding and charts need; not part of the JSON.
    #[serde(skip)]
    pub(crate) details: Details,
}

/// What scaffolding and charts need beside the report.
#[derive(Clone, Debug, Default)]
pub(crate) struct Details {
    /// Arrays of variable length.
    pub arrays: Vec<df_message::ArrayLengths>,
    /// Names of the values of a column.
    pub names: Vec<String>,
    /// Values in a row of a column.
    pub width: usize,
    /// The distribution of each channel.
    pub sketches: Vec<Sketch>,
    /// The first values of each channel over time.
    pub traces: Traces,
}

/// What a contract keeps of the inputs.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ContractReport {
    /// Time between two ticks, seconds.
    pub period_s: f64,
    /// One per input.
    pub inputs: Vec<InputReport>,
    /// How many training windows the episodes give.
    pub coverage: WindowCoverage,
    /// The action, then the observation groups.
    pub streams: Vec<StreamReport>,
}

/// What a contract keeps of one input.
#[derive(Clone, Debug, Default, Serialize)]
pub struct InputReport {
    /// The input.
    pub path: PathBuf,
    /// The input itself says where episodes end.
    pub has_episodes: bool,
    /// What was read and what was left out.
    #[serde(flatten)]
    pub read: EpisodeReport,
    /// The damage at which reading ended.
    pub damage: Option<String>,
    /// Number of episodes.
    pub episodes: u64,
    /// Number of frames of all episodes.
    pub frames: u64,
    /// One per channel of a frame; not part of the JSON.
    #[serde(skip)]
    pub channels: Vec<ChannelSummary>,
}

/// A modality of the frames: the action or an observation group.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StreamReport {
    /// `action`, or the name of the group.
    pub name: String,
    /// Its topic in the contract.
    pub topic: String,
    /// The contract requires it.
    pub required: bool,
    /// Maximum age of a sample at a tick, seconds.
    pub max_age_s: f64,
    /// Rate, gaps and ages of its samples.
    pub clock: RateSummary,
    /// Share of the frames in which it is missing, 0 to 1.
    pub missing_share: f64,
    /// One per channel, in the order of the frame.
    pub channels: Vec<ChannelSummary>,
}
