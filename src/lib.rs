//! df_planner: a robot planner that learns from recorded demonstrations and plans with diffusion forcing.
//!
//! Live and replayed, one path:
//! ```text
//! message bytes -> channels -> frame on the tick grid -> history -> plan -> action -> safety -> message bytes
//!    message        message         signal              signal    planning  planning  planning     message
//! ```
//! Training:
//! ```text
//! bag -> message bytes -> channels -> frames -> episodes -> windows -> batches -> step -> checkpoint
//! data      message       message     signal      data       data     training  training    model
//! ```
//! The rooms, in reading order: [`config`] (the YAML contract), [`message`] (bytes to channels and back), [`signal`]
//! (frames, ticks, history), [`frames`] (where coordinate frames lie in each other), [`diffusion`] (the method; knows no
//! robot), [`model`] (the network), [`guidance`] (costs), [`planning`] (the planner and its control loop), [`data`]
//! (recordings), [`charts`] (pictures of numbers), [`inspect`] (what recordings hold), [`training`], [`replay`], [`sim`]
//! (the embedded world), [`ros`] (the only room that knows ROS 2 at run time). `tests/architecture.rs` checks who may
//! import whom.

#[cfg(test)]
extern crate self as df_planner; // Unit tests share tests/recordings with those in tests/.

pub mod charts;
pub mod config;
pub mod data;
pub mod diffusion;
pub mod frames;
pub mod guidance;
pub mod inspect;
pub mod message;
pub mod model;
pub mod planning;
pub mod replay;
#[cfg(feature = "ros")]
pub mod ros;
pub mod signal;
pub mod sim;
pub mod training;
