//! The only room that knows ROS 2 at run time: node, parameters, diagnostics, display.

mod bridge;

pub use bridge::{Bridge, RawPublisher, Received, RosError, Spinning, now_ns};
