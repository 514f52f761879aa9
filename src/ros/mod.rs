//! The only room that knows ROS 2 at run time: the planner node and the bridge that it stands on.
//!
//! [`Bridge`] carries serialized messages; [`run`] is the planner node. Everything that plans or decides is elsewhere.

mod bridge;
mod diagnostics;
mod display;
mod driving;
mod geometry;
mod goals;
mod graph;
mod inbound;
mod maps;
mod names;
mod node;
mod notice;
mod pacing;
mod settings;
mod shutdown;
mod slot;
mod telemetry;
mod transforms;
mod world;

pub use bridge::{Bridge, RawPublisher, Received, RosError, Spinning, now_ns, own_arguments};
pub use node::{NODE_NAME, NodeError, run};
pub use settings::{Options, Settings, SettingsError};
pub use world::{Line, WorldNames, WorldNode};
