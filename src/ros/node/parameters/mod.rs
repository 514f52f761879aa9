//! The node's parameters: the settings that may change while it runs, and what it was started with.
//!
//! [`Parameters`] is the table with its rules; it knows no ROS. [`ParameterServer`] serves it and
//! responds as rclcpp does. A [`Target`] applies a change, or refuses it. [`ParameterUpdates`]
//! hands a change to the planner, the control loop and the goal.

mod entry;
mod server;
mod similar;
mod table;
mod updates;
mod values;

pub use entry::{Change, Given, GoalShape, ParameterError, Target};
pub use server::{ParameterRequest, ParameterServer};
pub use table::Parameters;
pub use updates::{ParameterUpdates, PendingConfig};
pub use values::given;
