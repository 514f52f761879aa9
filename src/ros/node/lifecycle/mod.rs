//! The managed-node interface of ROS 2: the state machine, its services and its topic.
//!
//! `supervisor.rs` carries out the transitions.

mod machine;
mod services;

pub use machine::{Machine, Outcome, State, Transition, find_request};
pub use services::{Lifecycle, LifecycleRequest};
