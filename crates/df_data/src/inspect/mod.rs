//! Inspection of recordings and datasets: what they hold, and what a contract keeps of it. Knows no network and no
//! training.
//!
//! ```text
//! bag, dataset -> topics or columns -> rates, channels -\
//!                                                        Report -> text, JSON, pictures
//! with a contract: samples -> rates, channels ----------/
//!                  frames  -> episodes, windows --------/
//!                          -> coverage map: where the robot has been
//! ```
//! Everything is counted in one pass in bounded memory. Percentiles come from `quantile_sketch`.

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
pub use report::{ContractReport, InputReport, InspectError, Pictures, RawReport, Report, StreamReport, TopicReport};
pub use scaffold::{Scaffold, ScaffoldError, scaffold};
pub use warning::{Warning, WarningKind};
pub use window_coverage::WindowCoverage;

/// Inspects all that the inputs hold or, with a contract, what it keeps of them.
///
/// # Errors
/// An input cannot be opened, or the contract does not fit. Damage further on is part of the report.
pub fn inspect(inputs: &[Input], config: Option<&DataConfig>) -> Result<Report, InspectError> {
    match config {
        None => raw_inspection::inspect(inputs),
        Some(config) => contract_inspection::inspect(config, inputs),
    }
}
