//! What a configured node gets from the running process.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::ros::report::ThrottledLog;
use crate::ros::ros_time::RosTime;
use crate::ros::threads::ThreadPanic;

/// The surroundings of an `Assembly`. They outlive `cleanup`.
#[derive(Clone)]
pub(super) struct NodeContext {
    /// The node's clock.
    pub time: Arc<RosTime>,
    /// Takes log entries.
    pub log: ThrottledLog,
    /// Takes panics of the working threads.
    pub panics: mpsc::Sender<ThreadPanic>,
    /// See `Options::before_plan`.
    pub before_plan: Option<fn(u64)>,
}
