//! Demonstrations: bags and datasets to episodes of frames, and the writer of bags. Knows no network.
//!
//! ```text
//! .mcap .db3 .zstd   -> Bag: messages -> streams (decode) -\
//!                                                           SampleSource: samples -> assembler -> frames -> cache -> Recording (mapped)
//! LeRobot, HDF5      -> rows -----------> columns ---------/
//! ```

#![warn(missing_docs, unreachable_pub)]

mod assemble;
mod bag;
mod bag_source;
mod cache;
pub mod charts;
mod chunks;
#[cfg(feature = "formats")]
mod column_map;
mod columns_config;
mod config;
mod dataset_files;
mod episode;
mod episode_report;
#[cfg(feature = "formats")]
mod hdf5;
mod inputs;
pub mod inspect;
#[cfg(feature = "formats")]
mod lerobot;
mod mcap_bag;
mod metadata;
mod natural_order;
mod open;
mod packed;
#[cfg(feature = "formats")]
mod parquet_rows;
mod queue;
mod record;
mod record_reader;
mod recording;
mod source;
#[cfg(feature = "formats")]
mod sqlite_bag;
mod storage;
mod streams;
mod table;
mod writer;

#[cfg(test)]
extern crate self as df_data; // Unit tests share `recordings` with the tests of other crates.

#[cfg(test)]
mod tests;

pub use assemble::TickFrame;
pub use bag::{Bag, BagError, BagMessage, BagTopic, Location};
pub use cache::{CacheError, CachePlace};
pub use columns_config::{COLUMNS_KEYS, Columns, ColumnsConfig};
pub use config::{DataConfig, ReadingConfig};
pub use episode::{Episode, read_episodes, read_frames};
pub use episode_report::EpisodeReport;
pub use inputs::{Input, InputError, parse_inputs};
pub use open::{Contents, open_contents, open_source};
pub use recording::{
    BoundSource, EpisodeSpan, Recording, RecordingError, contract_layout, load_recording, open_all, open_bound,
};
pub use source::{SampleSource, SourceEvent, StreamId};
pub use storage::open_bag;
pub use table::{Column, Table, TableRow};
pub use writer::BagWriter;
