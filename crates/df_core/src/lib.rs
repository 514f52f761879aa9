//! The meaning of a robot's data: the contract, frames on the tick grid, coordinate frames and maps.
//!
//! A contract names the topics and fields of a robot. This crate reads it from YAML, binds it to message definitions, and
//! turns stamped samples into one frame per tick. It also has what costs need to know of the world: a buffer of transforms
//! (`tf`) and signed distances to maps and polygons (`map`).
//!
//! It is not a planner and has no network. It does not depend on ROS or tokio, and it reads no clock: time is an argument.
//!
//! ```text
//! YAML -> Document -> Contract --bind--> df_message extractors and encoder, Layout
//! samples of topics ----> Aligner ----> Frame per tick ----> History of the newest frames
//! Frame ----------------> Normaliser -> channels as the network reads them
//! transforms -----------> tf::Buffer -> target_from_source at a time
//! grid or map file -----> map::DistanceField -> distance and gradient
//! ```
//!
//! # Example
//! Read a contract, bind its fields, and align one message to a tick:
//! ```
//! use std::path::Path;
//!
//! use df_core::{Aligner, Contract, History, Layout, bind};
//! use df_message::{Encoder, Definitions, SchemaDefinitions};
//!
//! let yaml = "
//! period_s: 0.1
//! frame_stack: 1
//! observations:
//!   position: {topic: pose, type: my_msgs/msg/Pose, fields: [x], max_age_s: 0.2}
//! action: {topic: command, type: my_msgs/msg/Speed, fields: [v], min: [-1], max: [1], safe: [0], max_age_s: 0.2}
//! ";
//! let contract = Contract::parse(yaml, Path::new("robot.yaml"))?;
//! contract.check()?;
//! let definitions = SchemaDefinitions::new([("my_msgs/msg/Pose", "float64 x\n"), ("my_msgs/msg/Speed", "float64 v\n")]);
//! let bound = bind(&contract, &definitions)?;
//! let layout = Layout::new(contract.frame_stack, bound.modalities(&contract));
//!
//! // A message with x = 2.5, stamped 0.15 s.
//! let bytes = Encoder::new(&definitions.schema("my_msgs/msg/Pose")?, &["x".into()])?.encode(0, "", &[2.5])?;
//! let mut aligner = Aligner::new(&contract, &layout);
//! aligner.observe(0, 150_000_000, &bound.observations[0].extract(&bytes)?.values);
//!
//! // The tick at 0.2 s has the position; no command was seen, so the action is missing.
//! let mut history = History::new(&layout, 2);
//! history.push(aligner.frame_at(200_000_000));
//! let newest = history.frames().last().ok_or("the history has no frame")?;
//! assert_eq!(newest.present, [false, true]);
//! assert_eq!(newest.values, [0.0, 2.5]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![warn(missing_docs, unreachable_pub)]

pub mod alignment;
mod bind;
mod contract;
mod contract_keys;
mod history;
mod layout;
pub mod map;
mod normaliser;
pub mod settings;
pub mod tf;

pub use alignment::Aligner;
pub use bind::{Bound, bind};
pub use contract::{
    ACTION, Action, Contract, Goal, MapTopic, ObservationGroup, Qos, Reliability, Uncertainty, is_frame_id,
};
pub use contract_keys::{CONTRACT_KEYS, ContractKey};
pub use history::History;
pub use layout::{ACTION_MODALITY, Frame, Layout, Modality};
pub use normaliser::Normaliser;
pub use settings::{ConfigError, Document};
