//! Recordings: bags to episodes of frames, and the writer of bags. Knows no network.

mod bag;
mod episode;
mod mcap;

pub use bag::{Bag, BagError, BagMessage, BagTopic, open};
pub use episode::{Episode, EpisodeReport, read_episodes};
pub use mcap::BagWriter;
