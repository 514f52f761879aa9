//! Demonstrations: bags and datasets to episodes of frames, and the writer of bags. Knows no network.
//!
//! ```text
//! .mcap .db3 .zstd   -> Bag: messages -> streams (decode) -\
//!                                                           Source: samples -> assembler -> frames -> cache -> Recording (mapped)
//! LeRobot, HDF5      -> rows -----------> columns ---------/
//! ```

mod assemble;
mod bag;
mod cache;
pub mod charts;
mod chunks;
#[cfg(feature = "formats")]
mod columns;
mod columns_config;
mod config;
mod episode;
#[cfg(feature = "formats")]
mod hdf5;
mod inputs;
pub mod inspect;
#[cfg(feature = "formats")]
mod lerobot;
mod mcap_bag;
mod metadata;
mod packed;
#[cfg(feature = "formats")]
mod parquet_rows;
mod queue;
mod recording;
mod records;
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

pub use assemble::Step;
pub use bag::{Bag, BagError, BagMessage, BagTopic, Place};
pub use cache::{CacheError, CachePlace};
pub use columns_config::{COLUMNS_KEYS, Columns, ColumnsConfig};
pub use config::{DataConfig, ReadingConfig};
pub use episode::{Episode, EpisodeReport, read_episodes, read_frames};
pub use inputs::{Input, inputs};
pub use recording::{BoundSource, Recording, RecordingError, Span, layout, load, open_all, open_bound};
pub use source::{Contents, Event, Source, Stream, open_contents, open_source};
pub use storage::open;
pub use table::{Column, Table, TableRow};
pub use writer::BagWriter;
