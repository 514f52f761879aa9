//! The two threads that drive: the tick thread, which only asks the control loop and publishes, and the planning thread,
//! which takes as long as it takes.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::bridge::{RawPublisher, RosError};
use super::notice::{Notices, Severity};
use super::slot::Slot;
use super::telemetry::Telemetry;
use super::ticks::Ticks;
use super::timing::RosTime;
use super::urgency::hurry;
use crate::config::Latency;
use crate::message::{Encoder, MessageError};
use crate::planning::{Command, ControlLoop, Plan, PlanError, PlanRequest, Reason, Rung, Tick};

/// The longest that a robot is led to its safe action: `ros2 launch` kills what has not ended 5 s after a signal.
const REST_WITHIN: Duration = Duration::from_secs(4);
/// The planning thread differentiates through deep graphs.
const PLANNING_STACK: usize = 16 << 20;

/// What both threads work on.
#[derive(Clone)]
pub struct Shared {
    /// Held for microseconds: to add a sample, to tick, to accept a plan.
    pub control: Arc<Mutex<ControlLoop>>,
    pub telemetry: Arc<Mutex<Telemetry>>,
    pub requests: Arc<Slot<PlanRequest>>,
    /// A request has not been answered yet.
    pub is_planning: Arc<AtomicBool>,
    pub time: Arc<RosTime>,
    pub notices: Notices,
    pub faults: mpsc::Sender<Fault>,
}

/// A thread has died: what the life cycle calls an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {thread} thread died: {what}")]
pub struct Fault {
    pub thread: &'static str,
    pub what: String,
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

/// The running tick thread.
pub struct Ticking {
    stop: Arc<AtomicBool>,
    time: Arc<RosTime>,
    thread: JoinHandle<()>,
}

impl Ticking {
    /// Starts the tick thread: `publish` sends each tick's command.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        shared: Shared,
        period: Duration,
        publish: impl FnMut(&Command) -> Result<(), ActionError> + Send + 'static,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, time) = (stop.clone(), shared.time.clone());
        let ticks = Ticks::new(period, time.is_simulated());
        let thread = std::thread::Builder::new().name("tick".into()).spawn(move || {
            let faults = shared.faults.clone();
            hurry(&shared.notices);
            let driven = catch_unwind(AssertUnwindSafe(|| drive(&shared, ticks, &seen, publish)));
            report_panic(&faults, "tick", driven);
        })?;
        Ok(Self { stop, time, thread })
    }

    /// Ends the thread and waits for it. The last command is wherever the robot was.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.time.ring();
        // A panic was caught and reported inside.
        let _ = self.thread.join();
    }
}

fn drive(
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
                    ask(shared, request);
                    ticks.await_plan(shared, stop, due.tick_ns);
                }
                (lock(&shared.control).close(), None)
            }
        };
        let sent = publish(&command);
        let published = Instant::now();
        lock(&shared.telemetry).ticked(due.deadline, published, due.skipped, &command);
        if let Some(request) = request {
            ask(shared, request);
        }
        if let Err(error) = sent {
            shared.notices.error("publish", error.to_string());
        }
        tell(&shared.notices, &command);
    }
}

fn ask(shared: &Shared, request: PlanRequest) {
    shared.is_planning.store(true, Ordering::Relaxed);
    shared.requests.put(request);
}

/// Sends safe commands, as near to the safe action as the limits allow, until it is reached.
pub fn come_to_rest(
    shared: &Shared,
    period: Duration,
    mut publish: impl FnMut(&Command) -> Result<(), ActionError>,
) -> Result<(), ActionError> {
    let (start, start_ns) = (Instant::now(), shared.time.now_ns());
    loop {
        // By this machine's clock also on simulated time, which may stand still.
        let now_ns = start_ns.saturating_add(i64::try_from(start.elapsed().as_nanos()).unwrap_or(i64::MAX));
        let command = lock(&shared.control).safe_command(now_ns);
        publish(&command)?;
        if lock(&shared.control).is_at_rest() {
            return Ok(());
        }
        if start.elapsed() > REST_WITHIN {
            let last = format!("stopped after {REST_WITHIN:?} on the way to the safe action, at {:?}", command.values);
            shared.notices.error("rest", last);
            return Ok(());
        }
        std::thread::sleep(period);
    }
}

/// Starts the planning thread: `plan` answers the newest request, one at a time, until the slot is closed.
///
/// A panic of `plan` ends it: what it planned with cannot be trusted any more.
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
            let (answer, ended) = match answer {
                Ok(answer) => (answer, Ok(())),
                Err(panic) => (Err(PlanError::Panicked(panic_text(&*panic))), Err(panic)),
            };
            lock(&shared.telemetry).planned(latency, answer.as_ref().ok());
            let shown = answer.as_ref().ok().cloned();
            lock(&shared.control).accept(answer);
            shared.is_planning.store(false, Ordering::Relaxed);
            shared.time.ring();
            if let Some(plan) = shown {
                show(&plan);
            }
            if ended.is_err() {
                return report_panic(&shared.faults, "planning", ended);
            }
        }
    })
}

/// Tells of the panic that ended a thread.
fn report_panic(faults: &mpsc::Sender<Fault>, thread: &'static str, ended: Result<(), Box<dyn Any + Send>>) {
    if let Err(panic) = ended {
        // Full: another thread has died as well, and is being seen to.
        let _ = faults.try_send(Fault { thread, what: panic_text(&*panic) });
    }
}

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
    use super::super::timing::system_ns;
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

    fn shared(simulated: bool) -> (Shared, mpsc::Receiver<notice::Notice>, mpsc::Receiver<Fault>) {
        let config = Config::parse(CONFIG, std::path::Path::new("c.yaml")).unwrap();
        let layout = Layout::new(1, [("action".into(), vec!["u".into()]), ("x".into(), vec!["x".into()])]);
        let (notices, inbox) = notice::channel();
        let (faults, died) = mpsc::channel(1);
        let normaliser = Normaliser::new(vec![0.0; 2], vec![1.0; 2]);
        let mut control = ControlLoop::new(&config, &layout, &normaliser);
        control.observe(0, if simulated { 0 } else { system_ns() }, &[0.0]);
        let shared = Shared {
            control: Arc::new(Mutex::new(control)),
            telemetry: Arc::default(),
            requests: Arc::default(),
            is_planning: Arc::default(),
            time: Arc::new(RosTime::new(simulated)),
            notices,
            faults,
        };
        (shared, inbox, died)
    }

    fn plan(request: &PlanRequest) -> Plan {
        Plan {
            first_tick_ns: request.tick_ns + PERIOD.as_nanos() as i64,
            actions: vec![vec![0.5]; 8],
            ..Plan::default()
        }
    }

    /// Runs both threads while `meanwhile` runs; the stamps and rungs that were published.
    fn run(
        shared: &Shared,
        meanwhile: impl FnOnce(&dyn Fn() -> usize),
        plan: impl FnMut(&PlanRequest) -> Result<Plan, PlanError> + Send + 'static,
    ) -> Vec<(i64, Rung)> {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let published = sent.clone();
        let planning = start_planning(shared.clone(), plan, |_| ()).unwrap();
        let ticking = Ticking::start(shared.clone(), PERIOD, move |command| {
            lock(&published).push((command.tick_ns, command.rung));
            Ok(())
        })
        .unwrap();
        meanwhile(&|| lock(&sent).len());
        ticking.stop();
        shared.requests.close();
        planning.join().unwrap();
        lock(&sent).clone()
    }

    #[test]
    fn ticks_do_not_wait_for_a_planner_that_takes_too_long() {
        let (shared, _inbox, _died) = shared(false);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        let stamps = run(
            &shared,
            |_| std::thread::sleep(Duration::from_secs(1)),
            move |request| {
                lock(&seen).push(request.tick_ns);
                std::thread::sleep(10 * PERIOD);
                Ok(plan(request))
            },
        );
        // 1 s of 20 ms periods: 50 ticks, of which a busy machine may skip some. Behind a planner of 200 ms it were 5.
        assert!(stamps.len() >= 25, "{} ticks", stamps.len());
        let asked = lock(&asked);
        assert!((2..=7).contains(&asked.len()), "{} plans", asked.len());
        // The newest request is taken, not the next in line: between two plans lie many ticks.
        assert!(asked.windows(2).all(|w| w[1] - w[0] >= 5 * PERIOD.as_nanos() as i64), "{asked:?}");
        assert!(lock(&shared.telemetry).deadline_misses > 0);
    }

    #[test]
    fn a_panic_while_planning_is_reported_and_ticks_go_on() {
        let (shared, _inbox, mut died) = shared(false);
        let mut calls = 0;
        let sent = run(
            &shared,
            |_| std::thread::sleep(Duration::from_millis(400)),
            move |request| {
                calls += 1;
                assert_ne!(calls, 2, "the second plan panics: this is part of the test");
                Ok(plan(request))
            },
        );
        let fault = died.try_recv().unwrap();
        assert!(fault.thread == "planning" && fault.what.contains("this is part of the test"), "{fault}");
        let telemetry = lock(&shared.telemetry);
        assert_eq!((telemetry.plans, telemetry.plan_failures), (2, 1));
        assert!(sent.len() > 5, "{} ticks", sent.len());
    }

    #[test]
    fn in_lock_step_every_tick_is_published_once_with_its_plan_however_long_that_takes() {
        let (shared, _inbox, _died) = shared(true);
        let steps = 20;
        let period_ns = PERIOD.as_nanos() as i64;
        let clock = shared.time.clone();
        let sent = run(
            &shared,
            |published| {
                for k in 0..steps {
                    clock.set(k * period_ns);
                    // The simulator: goes on when the action of the tick has come.
                    let until = Instant::now() + Duration::from_secs(10);
                    while published() <= k as usize && Instant::now() < until {
                        std::thread::yield_now();
                    }
                }
            },
            |request| {
                // Longer than a period, which on simulated time is no matter.
                std::thread::sleep(PERIOD + PERIOD / 4);
                Ok(plan(request))
            },
        );
        let stamps: Vec<i64> = sent.iter().map(|(tick_ns, _)| *tick_ns).collect();
        assert_eq!(stamps, (0..steps).map(|k| k * period_ns).collect::<Vec<_>>());
        // The first tick has no plan yet; all others have theirs.
        assert!(sent[0].1 == Rung::Safe && sent[1..].iter().all(|(_, rung)| *rung == Rung::Plan), "{sent:?}");
        assert_eq!(lock(&shared.telemetry).deadline_misses, 0);
    }

    #[test]
    fn a_simulator_that_does_not_wait_gets_its_ticks_in_its_own_time() {
        let (shared, _inbox, _died) = shared(true);
        let clock = shared.time.clone();
        let period_ns = PERIOD.as_nanos() as i64;
        let sent = run(
            &shared,
            |published| {
                clock.set(0);
                // Ten times faster than real, in steps of half a period: a plan takes ten periods of it.
                for k in 1..=400 {
                    std::thread::sleep(PERIOD / 20);
                    clock.set(k * period_ns / 2);
                }
                let until = Instant::now() + Duration::from_secs(10);
                while published() < 150 && Instant::now() < until {
                    std::thread::yield_now();
                }
            },
            |request| {
                std::thread::sleep(PERIOD);
                Ok(plan(request))
            },
        );
        // 200 periods; the last one still waits for its plan. A busy machine may jump over some.
        assert!((150..=201).contains(&sent.len()), "{} ticks", sent.len());
        assert!(sent.windows(2).all(|w| w[1].0 > w[0].0 && w[1].0 % period_ns == 0), "{sent:?}");
        assert!(lock(&shared.telemetry).deadline_misses > 0);
    }
}
