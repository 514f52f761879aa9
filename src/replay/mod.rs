//! Replay: the planner over a recording, beside what was recorded. Deterministic; nothing here depends on the clock,
//! except measured latencies.
//!
//! | what is sampled | file |
//! |---|---|
//! | the action to take, tick by tick | `plans` |
//! | observations, actions or a gap, window by window | `queries`, judged by `score` beside a `naive` answer |
//!
//! Frames are made as in training, by the same decoder and aligner.

mod naive;
mod plans;
mod queries;
mod score;

pub use plans::{ReplayReport, ReplayRow, replay};
pub use queries::{QueryError, QueryKind, QueryOptions, query};
pub use score::{ChannelResult, ChannelScore, QueryScore, WindowResults, inside_expected};

use df_core::{ACTION_MODALITY, Contract, Layout};

/// The unit of a channel; empty if the contract states none.
///
/// A contract states units per field. A field that gives several channels leaves open which unit belongs to which
/// channel; then the result is empty, too.
pub fn unit<'a>(contract: &'a Contract, layout: &Layout, channel: usize) -> &'a str {
    let found = layout.modalities.iter().position(|modality| modality.channels.contains(&channel));
    found.map_or("", |m| {
        let units = if m == ACTION_MODALITY { &contract.action.units } else { &contract.observations[m - 1].units };
        let channels = &layout.modalities[m].channels;
        if units.len() == channels.len() { &units[channel - channels.start] } else { "" }
    })
}
