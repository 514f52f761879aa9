//! The control thread: at each tick it asks the control loop for a command and publishes it.
//! It never waits for the planner, except with immediate latency.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::realtime::set_realtime_priority;
use super::shared::Shared;
use super::thread_panic::ThreadPanic;
use super::ticks::Ticks;
use crate::ros::io::ActionError;
use crate::ros::lock::lock;
use crate::ros::report::log_command;
use crate::ros::ros_time::RosTime;
use df_planning::Latency;
use df_planning::{Command, PlanRequest, Tick};

/// The maximum time of [`ramp_down`]. `ros2 launch` kills a process 5 s after its signal.
const MAX_RAMP_DOWN: Duration = Duration::from_secs(4);
const THREAD: &str = "tick";

/// The running control thread.
pub(crate) struct ControlThread {
    stop: Arc<AtomicBool>,
    time: Arc<RosTime>,
    thread: JoinHandle<()>,
}

impl ControlThread {
    /// Starts the thread. `publish` sends the command of each tick.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start(
        shared: Shared,
        period: Duration,
        publish: impl FnMut(&Command) -> Result<(), ActionError> + Send + 'static,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (stop_flag, time) = (stop.clone(), shared.time.clone());
        let ticks = Ticks::new(period, time.is_simulated());
        let thread = std::thread::Builder::new().name(THREAD.into()).spawn(move || {
            set_realtime_priority(&shared.log);
            let result = catch_unwind(AssertUnwindSafe(|| run(&shared, ticks, &stop_flag, publish)));
            ThreadPanic::report(&shared.panics, THREAD, result);
        })?;
        Ok(Self { stop, time, thread })
    }

    /// Ends the thread and waits for it. Does not publish: see [`ramp_down`].
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.time.notify();
        // The thread has caught and reported its panic.
        let _ = self.thread.join();
    }
}

fn run(
    shared: &Shared,
    mut ticks: Ticks,
    stop: &AtomicBool,
    mut publish: impl FnMut(&Command) -> Result<(), ActionError>,
) {
    while let Some(due) = ticks.next(shared, stop) {
        let latency = lock(&shared.control).latency();
        let (command, request) = match latency {
            Latency::Compensated => {
                let Tick { command, request } = lock(&shared.control).tick(due.tick_ns);
                (command, request)
            }
            Latency::Immediate => {
                let request = lock(&shared.control).open(due.tick_ns);
                if let Some(request) = request {
                    request_plan(shared, request);
                    ticks.wait_for_plan(shared, stop, due.tick_ns);
                }
                (lock(&shared.control).close(), None)
            }
        };
        let result = publish(&command);
        let published = Instant::now();
        lock(&shared.telemetry).record_tick(due.deadline, published, due.skipped, &command);
        if let Some(request) = request {
            request_plan(shared, request);
        }
        if let Err(error) = result {
            shared.log.error("publish", error.to_string());
        }
        log_command(&shared.log, &command);
    }
}

fn request_plan(shared: &Shared, request: PlanRequest) {
    shared.is_planning.store(true, Ordering::Relaxed);
    shared.requests.put(request);
}

/// Publishes one command a `period` until the safe action is reached. Each approaches it as fast as
/// the limits allow. Gives up after 4 s with an error in the log.
///
/// # Errors
/// A command cannot be published.
pub(crate) fn ramp_down(
    shared: &Shared,
    period: Duration,
    mut publish: impl FnMut(&Command) -> Result<(), ActionError>,
) -> Result<(), ActionError> {
    let (start, start_ns) = (Instant::now(), shared.time.now_ns());
    loop {
        // Counts on the steady clock, because a simulated clock may stand still.
        let now_ns = start_ns.saturating_add(i64::try_from(start.elapsed().as_nanos()).unwrap_or(i64::MAX));
        let command = lock(&shared.control).safe_command(now_ns);
        publish(&command)?;
        if lock(&shared.control).is_at_rest() {
            return Ok(());
        }
        if start.elapsed() > MAX_RAMP_DOWN {
            let values = &command.values;
            let text =
                format!("the safe action was not reached within {MAX_RAMP_DOWN:?}; the last command is {values:?}");
            shared.log.error("ramp down", text);
            return Ok(());
        }
        std::thread::sleep(period);
    }
}
