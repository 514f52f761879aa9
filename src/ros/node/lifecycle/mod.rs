//! The managed-node interface of ROS 2: the state machine, its services and its topic.
//!
//! `supervisor.rs` carries out the transitions.

mod machine;
mod services;

pub(super) use machine::{Machine, Outcome, State, Transition, find_request};
pub(super) use services::{Lifecycle, LifecycleRequest};
