//! What reading used and what it left out.

use serde::Serialize;

/// Reasons of refused samples that are kept for people.
const MAX_REASONS: usize = 5;

/// What was read and what was left out, for people.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct EpisodeReport {
    /// Messages of the contract's topics; rows of a dataset.
    pub messages: u64,
    /// Messages or rows that could not be used; the first few reasons.
    pub refused: u64,
    pub reasons: Vec<String>,
    pub splits_at_gaps: u64,
    pub splits_at_jumps: u64,
    /// What else people should know: a recording that was cut off, an optional topic that it lacks.
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
