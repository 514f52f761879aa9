//! The control loop: from observations at a tick to a command that keeps the limits.
//!
//! - `control_loop`: what happens at a tick; `state`: what it waits for
//! - `fallback`: the command where no plan may be followed
//! - `command_limiter`: every command passes through it
//! - `ood_monitor`: observations unlike the training data
//! - `shadow`: comparison with another controller
//! - `command`: what leaves at a tick, and why

mod command;
mod command_limiter;
#[cfg(test)]
mod command_limits_tests;
mod control_loop;
#[cfg(test)]
mod control_loop_tests;
mod fallback;
mod ood_monitor;
mod shadow;
mod state;

pub use command::{Command, FallbackLevel, Reason};
pub use control_loop::{ControlLoop, Tick};
pub use shadow::ShadowScore;
