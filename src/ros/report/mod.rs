//! The output for people: the node's log, its diagnostics and drawings of its plans.

mod command_log;
mod diagnostics;
mod display;
mod guidance;
mod histogram;
mod telemetry;
mod throttled_log;

pub use command_log::log_command;
pub use diagnostics::{Diagnostics, Identity, NodeState, Work};
pub use display::Display;
pub use telemetry::Telemetry;
pub use throttled_log::{LogEntry, Severity, Throttle, ThrottledLog, log_channel};
