//! The node's parameters: everything that may change while it runs, and what it was started with.
//!
//! [`Parameters`] is the table with its rules, without ROS; [`ParameterServer`] carries it over the six services and
//! `/parameter_events`, and answers as rclcpp does. Who is told of a change, and may refuse it, is the [`Target`].

mod server;
mod table;
mod values;

pub use server::{ParameterCall, ParameterServer};
pub use table::{Change, Given, GoalShape, ParameterError, Parameters, Target};
pub use values::given;
