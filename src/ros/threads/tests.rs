//! Both threads together, with a planner of known duration.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::*;
use crate::config::Config;
use crate::ros::lock::lock;
use crate::ros::report::{LogEntry, log_channel};
use crate::ros::ros_time::{RosTime, system_ns};
use df_core::{Layout, Normaliser};
use df_planning::{ControlLoop, FallbackLevel, Plan, PlanError, PlanRequest};

const PERIOD: Duration = Duration::from_millis(20);
const CONFIG: &str = "
period_s: 0.02
frame_stack: 1
observations: {x: {topic: x, type: p/msg/X, fields: [x], max_age_s: 60}}
action: {topic: u, type: p/msg/X, fields: [x], min: [-1], max: [1], safe: [0], max_age_s: 1}
planner: {history: 1, horizon: 8}
";

fn shared(simulated: bool) -> (Shared, mpsc::Receiver<LogEntry>, mpsc::Receiver<ThreadPanic>) {
    let config = Config::parse(CONFIG, std::path::Path::new("c.yaml")).unwrap();
    let layout = Layout::new(1, [("action".into(), vec!["u".into()]), ("x".into(), vec!["x".into()])]);
    let (log, entries) = log_channel();
    let (panics, panicked) = mpsc::channel(1);
    let normaliser = Normaliser::new(vec![0.0; 2], vec![1.0; 2]);
    let mut control = ControlLoop::new(&config.planning(), &layout, &normaliser);
    control.observe(0, if simulated { 0 } else { system_ns() }, &[0.0]);
    let shared = Shared {
        control: Arc::new(Mutex::new(control)),
        telemetry: Arc::default(),
        requests: Arc::default(),
        is_planning: Arc::default(),
        time: Arc::new(RosTime::new(simulated)),
        log,
        panics,
    };
    (shared, entries, panicked)
}

fn plan(request: &PlanRequest) -> Plan {
    Plan { first_tick_ns: request.tick_ns + PERIOD.as_nanos() as i64, actions: vec![vec![0.5]; 8], ..Plan::default() }
}

/// Runs both threads while `meanwhile` runs. Returns stamp and fallback level of each command.
fn run(
    shared: &Shared,
    meanwhile: impl FnOnce(&dyn Fn() -> usize),
    plan: impl FnMut(&PlanRequest) -> Result<Plan, PlanError> + Send + 'static,
) -> Vec<(i64, FallbackLevel)> {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let published = sent.clone();
    let planning = start_planning_thread(shared.clone(), plan, |_| ()).unwrap();
    let control_thread = ControlThread::start(shared.clone(), PERIOD, move |command| {
        lock(&published).push((command.tick_ns, command.level));
        Ok(())
    })
    .unwrap();
    meanwhile(&|| lock(&sent).len());
    control_thread.stop();
    shared.requests.close();
    planning.join().unwrap();
    lock(&sent).clone()
}

#[test]
fn ticks_do_not_wait_for_a_planner_that_takes_too_long() {
    let (shared, _entries, _panicked) = shared(false);
    let requested = Arc::new(Mutex::new(Vec::new()));
    let seen = requested.clone();
    let stamps = run(
        &shared,
        |_| std::thread::sleep(Duration::from_secs(1)),
        move |request| {
            lock(&seen).push(request.tick_ns);
            std::thread::sleep(10 * PERIOD);
            Ok(plan(request))
        },
    );
    // 1 s of 20 ms periods: 50 ticks, of which a busy machine may skip some. If ticks waited for
    // the planner of 200 ms, there would be 5.
    assert!(stamps.len() >= 25, "{} ticks", stamps.len());
    let requested = lock(&requested);
    assert!((2..=7).contains(&requested.len()), "{} plans", requested.len());
    // The newest request is planned, not the next in line: many ticks lie between two plans.
    assert!(requested.windows(2).all(|w| w[1] - w[0] >= 5 * PERIOD.as_nanos() as i64), "{requested:?}");
    assert!(lock(&shared.telemetry).deadline_misses > 0);
}

#[test]
fn a_panic_of_the_planner_is_reported_and_ticks_continue() {
    let (shared, _entries, mut panicked) = shared(false);
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
    let panic = panicked.try_recv().unwrap();
    assert!(panic.thread == "planning" && panic.message.contains("this is part of the test"), "{panic}");
    let telemetry = lock(&shared.telemetry);
    assert_eq!((telemetry.plans, telemetry.plan_failures), (2, 1));
    assert!(sent.len() > 5, "{} ticks", sent.len());
}

#[test]
fn in_lock_step_every_tick_has_one_command_from_its_plan_however_long_planning_takes() {
    let (shared, _entries, _panicked) = shared(true);
    let steps = 20;
    let period_ns = PERIOD.as_nanos() as i64;
    let clock = shared.time.clone();
    let sent = run(
        &shared,
        |published| {
            for k in 0..steps {
                clock.set(k * period_ns);
                // The simulator continues when the command of the tick has arrived.
                let until = Instant::now() + Duration::from_secs(10);
                while published() <= k as usize && Instant::now() < until {
                    std::thread::yield_now();
                }
            }
        },
        |request| {
            // Longer than a period: allowed on simulated time.
            std::thread::sleep(PERIOD + PERIOD / 4);
            Ok(plan(request))
        },
    );
    let stamps: Vec<i64> = sent.iter().map(|(tick_ns, _)| *tick_ns).collect();
    assert_eq!(stamps, (0..steps).map(|k| k * period_ns).collect::<Vec<_>>());
    // The first tick has no plan yet; all others have one.
    assert!(
        sent[0].1 == FallbackLevel::Safe && sent[1..].iter().all(|(_, level)| *level == FallbackLevel::Plan),
        "{sent:?}"
    );
    assert_eq!(lock(&shared.telemetry).deadline_misses, 0);
}

#[test]
fn a_simulator_that_does_not_wait_gets_ticks_on_its_own_clock() {
    let (shared, _entries, _panicked) = shared(true);
    let clock = shared.time.clone();
    let period_ns = PERIOD.as_nanos() as i64;
    let sent = run(
        &shared,
        |published| {
            clock.set(0);
            // Ten times real time, in steps of half a period: planning takes ten simulated periods.
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
    // 200 periods; the last one may still wait for its plan. A busy machine may skip some.
    assert!((150..=201).contains(&sent.len()), "{} ticks", sent.len());
    assert!(sent.windows(2).all(|w| w[1].0 > w[0].0 && w[1].0 % period_ns == 0), "{sent:?}");
    assert!(lock(&shared.telemetry).deadline_misses > 0);
}
