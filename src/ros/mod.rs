//! The only room that knows ROS 2 at run time: node, parameters, diagnostics, display.

mod bridge;
mod world;

pub use bridge::{Bridge, RawPublisher, Received, RosError, Spinning, now_ns};
pub use world::{Line, WorldNames, WorldNode};

/// Nanoseconds as a ROS time.
fn stamp(ns: i64) -> r2r::builtin_interfaces::msg::Time {
    let sec = i32::try_from(ns.div_euclid(1_000_000_000)).unwrap_or(i32::MAX);
    r2r::builtin_interfaces::msg::Time { sec, nanosec: ns.rem_euclid(1_000_000_000) as u32 }
}
