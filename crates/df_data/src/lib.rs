//! Recordings and datasets as episodes of frames; the writer of bags; inspection and proposed configurations.
//!
//! It reads rosbag2 bags (MCAP; with feature `formats` also sqlite3), LeRobot datasets, and HDF5 files of D4RL and
//! Minari (feature `formats`). A contract (`df_core`) says which topics or columns matter. Damaged files are refused or
//! read in part; they cause neither a panic nor unbounded memory.
//!
//! It is not a ROS client and needs no ROS installation. It knows no network: it gives frames in the units of the
//! contract, not normalised.
//!
//! ```text
//! .mcap .db3 .zstd -> Bag -> messages -> streams (decode) -\
//!                                                          SampleSource -> assembler -> frames -> cache -> Recording
//! LeRobot, HDF5    -> Table -> rows -> column map ---------/
//! Bag, Table -> inspect -> Report, Scaffold (a proposed configuration)
//! messages -> BagWriter -> rosbag2 directory
//! ```
//!
//! # Example
//! Write a bag, then read its episodes:
//! ```
//! use std::path::Path;
//!
//! use df_data::{BagWriter, DataConfig, open_bound, read_episodes};
//! use df_message::{Definitions, Encoder, SchemaDefinitions};
//!
//! // 11 positions and commands, 0.1 s apart.
//! let directory = tempfile::tempdir()?;
//! let bag = directory.path().join("demo");
//! let mut writer = BagWriter::create(&bag)?;
//! let topics = [("pose", "my_msgs/msg/Pose", "float64 x\n"), ("command", "my_msgs/msg/Speed", "float64 v\n")];
//! let definitions = SchemaDefinitions::new(topics.map(|(_, message_type, text)| (message_type, text)));
//! let pose = Encoder::new(&definitions.schema("my_msgs/msg/Pose")?, &["x".into()])?;
//! let speed = Encoder::new(&definitions.schema("my_msgs/msg/Speed")?, &["v".into()])?;
//! for (name, message_type, text) in topics {
//!     writer.topic(name, message_type, text)?;
//! }
//! for k in 0..=10 {
//!     let log_ns = 1_000_000_000 + 100_000_000 * k;
//!     writer.write(0, log_ns, &pose.encode(log_ns, "", &[0.5 * k as f64])?)?;
//!     writer.write(1, log_ns, &speed.encode(log_ns, "", &[5.0])?)?;
//! }
//! writer.finish()?;
//!
//! // The messages have no stamps, so log times count. A frame per tick of 0.1 s: the command, then the position.
//! let yaml = "
//! period_s: 0.1
//! frame_stack: 1
//! observations:
//!   position: {topic: pose, type: my_msgs/msg/Pose, fields: [x], max_age_s: 0.05}
//! action: {topic: command, type: my_msgs/msg/Speed, fields: [v], min: [-9], max: [9], safe: [0], max_age_s: 0.2}
//! ";
//! let config = DataConfig::parse(yaml, Path::new("robot.yaml"))?;
//! let input = open_bound(&config, &bag)?;
//! let (episodes, report) = read_episodes(&*input.source, &config, &input.bound, &input.layout)?;
//! assert_eq!((episodes.len(), episodes[0].frames.len(), report.refused), (1, 11, 0));
//! assert_eq!(episodes[0].frames[4].values, [5.0, 2.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
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
