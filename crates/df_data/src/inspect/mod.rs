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
mod contract_inspection;
mod coverage_map;
mod format;
mod pictures;
mod quantile_sketch;
mod rate_stats;
mod raw_inspection;
mod raw_table;
mod raw_topic;
mod report;
mod scaffold;
mod text;
mod traces;
mod warning;
mod warnings;
mod window_coverage;

use crate::{DataConfig, Input};

pub use channel::ChannelSummary;
pub use coverage_map::coverage_map;
pub use rate_stats::RateSummary;
pub use report::{
    ContractReport, Details, InputReport, InspectError, Pictures, RawReport, Report, StreamReport, TopicReport,
};
pub use scaffold::{Scaffold, ScaffoldError, scaffold};
pub use warning::{Warning, WarningKind};
pub use window_coverage::WindowCoverage;

/// Looks at all that the inputs hold, or, with a contract, at what it would keep of them.
///
/// # Errors
/// An input that cannot be opened; a contract that does not fit. What is damaged further on is reported.
pub fn inspect(inputs: &[Input], config: Option<&DataConfig>) -> Result<Report, InspectError> {
    match config {
        None => raw_inspection::inspect(inputs),
        Some(config) => contract_inspection::inspect(config, inputs),
    }
}
