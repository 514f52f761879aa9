//! The output for people: the node's log, its diagnostics and drawings of its plans.

mod command_log;
mod diagnostics;
mod display;
mod guidance;
mod histogram;
mod telemetry;
mod throttled_log;

pub(super) use command_log::log_command;
pub(super) use diagnostics::{Diagnostics, Identity, NodeState, Work};
pub(super) use display::Display;
pub(super) use telemetry::Telemetry;
pub(super) use throttled_log::{LogEntry, Severity, Throttle, ThrottledLog, log_channel};
