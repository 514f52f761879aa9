//! What reading used and what it left out.

use serde::Serialize;

/// Maximum number of reasons that are kept.
const MAX_REASONS: usize = 5;

/// What was read and what was left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct EpisodeReport {
    /// Messages of the topics of the contract, or rows of a dataset.
    pub messages: u64,
    /// Messages or rows that cannot be used.
    pub refused: u64,
    /// The first few reasons for that.
    pub reasons: Vec<String>,
    /// Episodes that ended at a gap.
    pub splits_at_gaps: u64,
    /// Episodes that ended at a backward jump of time.
    pub splits_at_jumps: u64,
    /// Other facts, such as a recording that was cut off or an optional topic that is missing.
    pub notices: Vec<String>,
}

impl EpisodeReport {
    /// Counts a message or row that could not be used.
    pub fn refuse(&mut self, reason: String) {
        self.refused += 1;
        if self.reasons.len() < MAX_REASONS {
            self.reasons.push(reason);
        }
    }
}
