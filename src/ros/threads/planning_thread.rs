//! The planning thread: makes a plan for the newest request, one at a time. The control thread
//! does not wait for it, however long a plan takes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Instant;

use super::shared::Shared;
use super::thread_panic::{ThreadPanic, panic_message};
use crate::ros::lock::lock;
use df_planning::{Plan, PlanError, PlanRequest};

/// The thread's stack, bytes. Differentiation goes through deep graphs.
const STACK_BYTES: usize = 16 << 20;
const THREAD: &str = "planning";

/// Starts the planning thread. It ends when the requests are closed. `plan` answers a request,
/// `show` draws a plan after the control loop has it.
///
/// A panic of `plan` ends the thread, because the planner's state may be invalid.
///
/// # Errors
/// The system gives no thread.
pub(crate) fn start_planning_thread(
    shared: Shared,
    mut plan: impl FnMut(&PlanRequest) -> Result<Plan, PlanError> + Send + 'static,
    mut show: impl FnMut(&Plan) + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(THREAD.into()).stack_size(STACK_BYTES).spawn(move || {
        while let Some(request) = shared.requests.take() {
            let started = Instant::now();
            let planned = catch_unwind(AssertUnwindSafe(|| plan(&request)));
            let latency = started.elapsed();
            let (planned, result) = match planned {
                Ok(planned) => (planned, Ok(())),
                Err(panic) => (Err(PlanError::Panicked(panic_message(&*panic))), Err(panic)),
            };
            lock(&shared.telemetry).record_plan(latency, planned.as_ref().ok());
            let shown = planned.as_ref().ok().cloned();
            lock(&shared.control).accept(planned);
            shared.is_planning.store(false, Ordering::Relaxed);
            shared.time.notify();
            if let Some(plan) = shown {
                show(&plan);
            }
            if result.is_err() {
                return ThreadPanic::report(&shared.panics, THREAD, result);
            }
        }
    })
}
