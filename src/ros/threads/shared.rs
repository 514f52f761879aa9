//! What the control thread and the planning thread share.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use super::thread_panic::ThreadPanic;
use crate::ros::io::Mailbox;
use crate::ros::report::{Telemetry, ThrottledLog};
use crate::ros::ros_time::RosTime;
use df_planning::{ControlLoop, PlanRequest};

/// The state of a configured node. All clones share it.
#[derive(Clone)]
pub(crate) struct Shared {
    /// Locked for microseconds: to add a sample, to tick, to accept a plan.
    pub control: Arc<Mutex<ControlLoop>>,
    /// What is measured.
    pub telemetry: Arc<Mutex<Telemetry>>,
    /// The newest request for a plan.
    pub requests: Arc<Mailbox<PlanRequest>>,
    /// True while a request waits for its plan or is being planned.
    pub is_planning: Arc<AtomicBool>,
    /// The node's clock.
    pub time: Arc<RosTime>,
    /// Takes log entries.
    pub log: ThrottledLog,
    /// Takes the panics of both threads.
    pub panics: mpsc::Sender<ThreadPanic>,
}
