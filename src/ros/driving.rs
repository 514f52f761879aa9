//! The two threads that drive: the tick thread, which only asks the control loop and publishes, and the planning thread,
//! which takes as long as it takes.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::bridge::{RawPublisher, RosError, now_ns};
use super::notice::{Notices, Severity};
use super::pacing::Pacer;
use super::slot::Slot;
use super::telemetry::Telemetry;
use crate::message::{Encoder, MessageError};
use crate::planning::{Command, ControlLoop, Plan, PlanError, PlanRequest, Reason, Rung};

/// The longest sleep of the tick thread in one piece: how soon a stop is noticed.
const SLEEP_MAX: Duration = Duration::from_millis(50);

/// What both threads work on.
#[derive(Clone)]
pub struct Shared {
    /// Held for microseconds: to add a sample, to tick, to accept a plan.
    pub control: Arc<Mutex<ControlLoop>>,
    pub telemetry: Arc<Mutex<Telemetry>>,
    pub requests: Arc<Slot<PlanRequest>>,
    pub notices: Notices,
    pub stop: Arc<AtomicBool>,
}

/// Takes the lock also where a thread died holding it: what it guards is replaced as a whole or a plain number.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Commands to message bytes to the action topic.
#[derive(Clone)]
pub struct ActionOut {
    pub publisher: RawPublisher,
    pub encoder: Arc<Encoder>,
}

/// Why a command did not leave.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    #[error("the command cannot be encoded: {0}")]
    Encode(#[from] MessageError),
    #[error("the command cannot be published: {0}")]
    Publish(#[from] RosError),
}

impl ActionOut {
    /// Publishes a command, stamped with its tick.
    ///
    /// # Errors
    /// A value that the message cannot hold, a dead publisher.
    pub fn publish(&self, command: &Command) -> Result<(), ActionError> {
        Ok(self.publisher.publish(&self.encoder.encode(command.tick_ns, "", &command.values)?)?)
    }
}

/// Starts the tick thread.
///
/// # Errors
/// The system gives no thread.
pub fn start_ticking(shared: Shared, action: ActionOut, period: Duration) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("tick".into()).spawn(move || {
        let mut pacer = Pacer::new(period, Instant::now() + period);
        while !shared.stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            if now < pacer.next() {
                std::thread::sleep((pacer.next() - now).min(SLEEP_MAX));
                continue;
            }
            let due = pacer.due(now);
            // The tick's time on the system clock: now, less what this thread is late.
            let tick_ns = now_ns() - i64::try_from(due.deadline.elapsed().as_nanos()).unwrap_or(0);
            let tick = lock(&shared.control).tick(tick_ns);
            let sent = action.publish(&tick.command);
            let published = Instant::now();
            let asks = tick.request.is_some();
            lock(&shared.telemetry).ticked(due.deadline, published, due.skipped, &tick.command, asks);
            if let Some(request) = tick.request {
                shared.requests.put(request);
            }
            if let Err(error) = sent {
                shared.notices.send(Severity::Error, "publish", error.to_string());
            }
            tell(&shared.notices, &tick.command);
        }
    })
}

/// Starts the planning thread: `plan` answers the newest request, one at a time.
///
/// A panic of `plan` counts as a failed plan: the ladder takes over, and the next request is tried again.
///
/// # Errors
/// The system gives no thread.
pub fn start_planning(
    shared: Shared,
    mut plan: impl FnMut(&PlanRequest) -> Result<Plan, PlanError> + Send + 'static,
    mut show: impl FnMut(&Plan) + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("planning".into()).stack_size(PLANNING_STACK).spawn(move || {
        while let Some(request) = shared.requests.take() {
            let started = Instant::now();
            let answer = catch_unwind(AssertUnwindSafe(|| plan(&request)));
            let latency = started.elapsed();
            let answer = answer.unwrap_or_else(|panic| Err(PlanError::Panicked(panic_text(&*panic))));
            lock(&shared.telemetry).planned(latency, answer.is_ok());
            let shown = answer.as_ref().ok().cloned();
            lock(&shared.control).accept(answer);
            if let Some(plan) = shown {
                show(&plan);
            }
        }
    })
}

/// The planning thread differentiates through deep graphs.
const PLANNING_STACK: usize = 16 << 20;

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("for an unknown reason").to_string()
}

/// Says why the robot gets less than a fresh plan. One kind per reason: the throttle keeps it readable.
fn tell(notices: &Notices, command: &Command) {
    let Some(reason) = &command.reason else { return };
    let what = match command.rung {
        Rung::Plan => return,
        Rung::RestOfPlan => "the rest of an older plan is driven",
        Rung::Safe => "the safe action is published",
    };
    let (severity, kind) = match reason {
        Reason::NoGoal => (Severity::Info, "no goal".to_string()),
        Reason::FillingHistory => (Severity::Info, "filling".to_string()),
        Reason::NeverObserved { group } => (Severity::Warning, format!("never observed {group}")),
        Reason::Stale { group, .. } => (Severity::Warning, format!("stale {group}")),
        Reason::DeadlineMissed => (Severity::Warning, "deadline".to_string()),
        Reason::PlannerFailed(_) => (Severity::Error, "planner failed".to_string()),
    };
    notices.send(severity, kind, format!("{what}: {reason}"));
}
