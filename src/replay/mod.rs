//! Replay: the planner over a recording. Deterministic.
//!
//! | asked | file |
//! |---|---|
//! | what to do, tick by tick | `plans` |
//! | what was observed, what was done, what a gap hides, window by window | `questions` |
//!
//! The frames are those of training (the same decoder and aligner), and what is found stands beside what was recorded.

mod naive;
mod plans;
mod queries;
mod score;

pub use plans::{Report, Row, replay};
pub use queries::{Ask, QueryError, QueryOptions, ask};
pub use score::{Answer, Answers, ChannelScore, Score, inside_expected};

use df_core::Contract;
use df_core::{ACTION_MODALITY, Layout};

/// The unit of a channel; empty where the contract states none. Units are stated per field, and a field may give several
/// channels: then which is whose is not known here.
pub fn unit<'a>(contract: &'a Contract, layout: &Layout, channel: usize) -> &'a str {
    let found = layout.modalities.iter().position(|modality| modality.channels.contains(&channel));
    found.map_or("", |m| {
        let units = if m == ACTION_MODALITY { &contract.action.units } else { &contract.observations[m - 1].units };
        let channels = &layout.modalities[m].channels;
        if units.len() == channels.len() { &units[channel - channels.start] } else { "" }
    })
}
