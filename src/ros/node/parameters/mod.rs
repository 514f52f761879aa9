//! The node's parameters: the settings that may change while it runs, and the settings of its start.
//!
//! [`Parameters`] is the table with its rules; it does not depend on ROS. [`ParameterServer`] serves it and
//! responds as rclcpp does. A [`Target`] applies a change, or refuses it. [`ParameterUpdates`]
//! hands a change to the planner, the control loop and the goal.

mod entry;
mod server;
mod similar;
mod table;
mod updates;
mod values;

pub(super) use entry::{Change, Given, GoalShape, ParameterError, Target};
pub(super) use server::{ParameterRequest, ParameterServer};
pub(super) use table::Parameters;
pub(super) use updates::{ParameterUpdates, PendingConfig};
pub(super) use values::given;
