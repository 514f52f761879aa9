//! The managed-node interface of ROS 2: the state machine, and the services and the topic that show it.
//!
//! What the states mean for this node stands in `supervisor.rs`.

mod machine;
mod services;

pub use machine::{Machine, Outcome, State, Transition, request};
pub use services::{Lifecycle, Question};
