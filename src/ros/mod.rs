//! The only room that knows ROS 2 at run time: the planner node and the bridge that it stands on.
//!
//! [`Bridge`] carries serialized messages; [`run`] is the planner node. Everything that plans or decides is elsewhere.

mod arguments;
mod assembly;
mod bridge;
mod diagnostics;
mod display;
mod driving;
mod geometry;
mod goals;
mod graph;
mod guidance;
mod inbound;
mod lifecycle;
mod maps;
mod names;
mod node;
mod notice;
mod parameters;
mod settings;
mod shutdown;
mod slot;
mod supervisor;
mod telemetry;
mod ticks;
mod timing;
mod transforms;
mod tuning;
mod urgency;
mod watched;
mod world;

pub use arguments::own_arguments;
pub use bridge::{Bridge, RawPublisher, Received, RosError, Spinning};
pub use node::{NODE_NAME, NodeError, run};
pub use settings::{Options, Settings, SettingsError};
pub use timing::system_ns;
pub use world::{Line, Listening, WorldNames, WorldNode};
