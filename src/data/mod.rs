//! Recordings: bags to episodes of frames, and the writer of bags. Knows no network.

mod bag;
mod episode;
mod goals;
mod mcap_bag;
mod recording;
mod records;
mod streams;
mod writer;

#[cfg(test)]
mod tests;

pub use bag::{Bag, BagError, BagMessage, BagTopic, open};
pub use episode::{Episode, EpisodeReport, read_episodes};
pub use goals::read_goals;
pub use recording::{BoundBag, Recording, RecordingError, load, open_bound};
pub use writer::BagWriter;
