//! What is in demonstrations, and what a contract would keep of it. Knows no network and no training.
//!
//! ```text
//! bag, dataset -> raw: topics or columns -> clocks, channels -\
//!                                                              Report -> text, JSON, pictures
//! with a contract: samples -> clocks, channels --------------/
//!                  frames  -> episodes, windows ------------/
//!                          -> ground: a map of where they have been
//! ```
//! Everything is counted in one pass in bounded memory; percentiles are those of `quantile_sketch`.

mod channel;
mod rate_stats;
mod contract;
mod coverage;
mod coverage_map;
mod pictures;
mod raw;
mod raw_table;
mod raw_topic;
mod quantile_sketch;
mod scaffold;
mod text;
mod traces;
mod warnings;

use serde::Serialize;

use crate::charts::Chart;
use crate::DataConfig;
use crate::{BagError, Input, RecordingError};

pub use channel::ChannelSummary;
pub use rate_stats::ClockSummary;
pub use contract::{ContractReport, InputReport, StreamReport};
pub use coverage::Coverage;
pub use coverage_map::ground;
pub use raw::{RawReport, Topic};
pub use scaffold::{Scaffold, ScaffoldError, scaffold};
pub use warnings::{Kind, Warning};

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

/// Looks at all that the inputs hold, or, with a contract, at what it would keep of them.
///
/// # Errors
/// An input that cannot be opened; a contract that does not fit. What is damaged further on is reported.
pub fn inspect(inputs: &[Input], config: Option<&DataConfig>) -> Result<Report, InspectError> {
    match config {
        None => raw::inspect(inputs),
        Some(config) => contract::inspect(config, inputs),
    }
}
