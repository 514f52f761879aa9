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

/// Starts the tick thread: `publish` sends each tick's command.
///
/// # Errors
/// The system gives no thread.
pub fn start_ticking(
    shared: Shared,
    period: Duration,
    mut publish: impl FnMut(&Command) -> Result<(), ActionError> + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
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
            let sent = publish(&tick.command);
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
            lock(&shared.telemetry).planned(latency, answer.as_ref().ok());
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
        Rung::Hold => "the last command is held",
        Rung::Ramp => "the command goes to the safe action",
        Rung::Safe => "the safe action is published",
    };
    let (severity, kind) = match reason {
        Reason::NoGoal => (Severity::Info, "no goal".to_string()),
        Reason::FillingHistory => (Severity::Info, "filling".to_string()),
        Reason::NeverObserved { group } => (Severity::Warning, format!("never observed {group}")),
        Reason::Stale { group, .. } => (Severity::Warning, format!("stale {group}")),
        Reason::DeadlineMissed => (Severity::Warning, "deadline".to_string()),
        Reason::OutOfDistribution { group, .. } => (Severity::Warning, format!("strange {group}")),
        Reason::Stopping => (Severity::Info, "stopping".to_string()),
        Reason::PlannerFailed(_) | Reason::PlannerPanicked(_) | Reason::NotFinite | Reason::WrongLength { .. } => {
            (Severity::Error, "planner failed".to_string())
        }
    };
    notices.send(severity, kind, format!("{what}: {reason}"));
}

#[cfg(test)]
mod tests {
    use super::super::notice;
    use super::*;
    use crate::config::Config;
    use crate::signal::{Layout, Normaliser};

    const PERIOD: Duration = Duration::from_millis(20);
    const CONFIG: &str = "
period_s: 0.02
frame_stack: 1
observations: {x: {topic: x, type: p/msg/X, fields: [x], max_age_s: 60}}
action: {topic: u, type: p/msg/X, fields: [x], min: [-1], max: [1], safe: [0], max_age_s: 1}
planner: {history: 1, horizon: 8}
";

    fn shared() -> (Shared, tokio::sync::mpsc::Receiver<notice::Notice>) {
        let config = Config::parse(CONFIG, std::path::Path::new("c.yaml")).unwrap();
        let layout = Layout::new(1, [("action".into(), vec!["u".into()]), ("x".into(), vec!["x".into()])]);
        let (notices, inbox) = notice::channel();
        let normaliser = Normaliser { mean: vec![0.0; 2], deviation: vec![1.0; 2] };
        let mut control = ControlLoop::new(&config, &layout, &normaliser);
        control.observe(0, now_ns(), &[0.0]);
        let shared = Shared {
            control: Arc::new(Mutex::new(control)),
            telemetry: Arc::default(),
            requests: Arc::default(),
            notices,
            stop: Arc::default(),
        };
        (shared, inbox)
    }

    fn plan(request: &PlanRequest) -> Plan {
        Plan {
            first_tick_ns: request.tick_ns + PERIOD.as_nanos() as i64,
            actions: vec![vec![0.5]; 8],
            ..Plan::default()
        }
    }

    /// Runs both threads for a while; the stamps that were published.
    fn run(
        shared: &Shared,
        time: Duration,
        plan: impl FnMut(&PlanRequest) -> Result<Plan, PlanError> + Send + 'static,
    ) -> Vec<i64> {
        let stamps = Arc::new(Mutex::new(Vec::new()));
        let published = stamps.clone();
        let planning = start_planning(shared.clone(), plan, |_| ()).unwrap();
        let ticking = start_ticking(shared.clone(), PERIOD, move |command| {
            published.lock().unwrap().push(command.tick_ns);
            Ok(())
        })
        .unwrap();
        std::thread::sleep(time);
        shared.stop.store(true, Ordering::Relaxed);
        ticking.join().unwrap();
        shared.requests.close();
        planning.join().unwrap();
        stamps.lock().unwrap().clone()
    }

    #[test]
    fn ticks_do_not_wait_for_a_planner_that_takes_too_long() {
        let (shared, _inbox) = shared();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        let stamps = run(&shared, Duration::from_secs(1), move |request| {
            seen.lock().unwrap().push(request.tick_ns);
            std::thread::sleep(10 * PERIOD);
            Ok(plan(request))
        });
        // 1 s of 20 ms periods: 50 ticks, of which a busy machine may skip some. Behind a planner of 200 ms it were 5.
        assert!(stamps.len() >= 25, "{} ticks", stamps.len());
        let asked = asked.lock().unwrap();
        assert!((2..=7).contains(&asked.len()), "{} plans", asked.len());
        // The newest request is taken, not the next in line: between two plans lie many ticks.
        assert!(asked.windows(2).all(|w| w[1] - w[0] >= 5 * PERIOD.as_nanos() as i64), "{asked:?}");
        assert!(lock(&shared.telemetry).deadline_misses > 0);
    }

    #[test]
    fn a_panic_while_planning_is_a_failed_plan() {
        let (shared, _inbox) = shared();
        let mut calls = 0;
        run(&shared, Duration::from_millis(400), move |request| {
            calls += 1;
            assert_ne!(calls, 2, "the second plan panics: this is part of the test");
            Ok(plan(request))
        });
        let telemetry = lock(&shared.telemetry);
        assert_eq!(telemetry.plan_failures, 1);
        assert!(telemetry.plans > 2, "{} plans", telemetry.plans);
    }
}
