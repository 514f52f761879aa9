//! The threads that drive the robot, and their timing.
//!
//! ```text
//! ticks -> control_thread -> command out
//!            |   ^
//!   request  v   |  plan (through the control loop)
//!          planning_thread
//! ```
//! Both work on [`Shared`]. A panic of one of them becomes a [`ThreadPanic`], an event of the node.

mod control_thread;
mod planning_thread;
mod realtime;
mod shared;
mod thread_panic;
mod ticks;
mod timing;

pub(super) use control_thread::{ControlThread, ramp_down};
pub(super) use planning_thread::start_planning_thread;
pub(super) use shared::Shared;
pub(super) use thread_panic::ThreadPanic;

#[cfg(test)]
mod tests;
