//! When the control thread ticks: at deadlines on the steady clock, or in lock step with `/clock`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::shared::Shared;
use super::timing::{LockStep, Pacer};
use crate::ros::lock::lock;
use crate::ros::ros_time::system_ns;

/// The longest single wait of the control thread. A stop is noticed as soon as it ends.
const MAX_WAIT: Duration = Duration::from_millis(50);
/// The thread reads the clock in a loop for this time before a deadline: a sleep ends about 60 us
/// late.
const SPIN_BEFORE_DEADLINE: Duration = Duration::from_micros(200);
/// On simulated time: the maximum time that a tick waits for its observation or plan while the
/// clock stands still.
const MAX_STANDSTILL: Duration = Duration::from_secs(1);

/// A source of ticks.
pub(super) enum Ticks {
    /// Deadlines on the steady clock.
    Steady(Pacer),
    /// Multiples of the period on `/clock`.
    Simulated(LockStep),
}

/// A tick that is due.
pub(super) struct DueTick {
    /// Its ROS time, nanoseconds.
    pub tick_ns: i64,
    /// When it was due on the steady clock.
    pub deadline: Instant,
    /// Unused ticks since the last one.
    pub skipped: u64,
}

impl Ticks {
    /// `is_simulated`: the time comes from `/clock`.
    pub(super) fn new(period: Duration, is_simulated: bool) -> Self {
        if is_simulated {
            Self::Simulated(LockStep::new(i64::try_from(period.as_nanos()).unwrap_or(i64::MAX)))
        } else {
            Self::Steady(Pacer::new(period, Instant::now() + period))
        }
    }

    /// Waits for the plan of the tick at `tick_ns`, at most until the next tick is due.
    pub(super) fn wait_for_plan(&self, shared: &Shared, stop: &AtomicBool, tick_ns: i64) {
        let timeout = match self {
            Self::Steady(pacer) => pacer.next().saturating_duration_since(Instant::now()),
            Self::Simulated(_) => MAX_STANDSTILL,
        };
        let is_answered = || stop.load(Ordering::Relaxed) || !shared.is_planning.load(Ordering::Relaxed);
        shared.time.wait(timeout, |now_ns| {
            let is_over = match self {
                Self::Steady(_) => false,
                Self::Simulated(steps) => now_ns.is_none_or(|now_ns| steps.is_over(tick_ns, now_ns)),
            };
            (is_over || is_answered()).then_some(())
        });
    }

    /// Waits for the next tick. Returns None after a stop.
    pub(super) fn next(&mut self, shared: &Shared, stop: &AtomicBool) -> Option<DueTick> {
        match self {
            Self::Steady(pacer) => next_deadline(pacer, stop),
            Self::Simulated(steps) => next_step(steps, shared, stop),
        }
    }
}

fn next_deadline(pacer: &mut Pacer, stop: &AtomicBool) -> Option<DueTick> {
    loop {
        if stop.load(Ordering::Relaxed) {
            return None;
        }
        let left = pacer.next().saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        } else if left > SPIN_BEFORE_DEADLINE {
            std::thread::sleep((left - SPIN_BEFORE_DEADLINE).min(MAX_WAIT));
        } else {
            std::hint::spin_loop();
        }
    }
    let due = pacer.due(Instant::now());
    // The time of the tick on the system's clock: now, less the lateness of this thread.
    let late_ns = i64::try_from(due.deadline.elapsed().as_nanos()).unwrap_or(0);
    Some(DueTick { tick_ns: system_ns() - late_ns, deadline: due.deadline, skipped: due.skipped })
}

fn next_step(steps: &mut LockStep, shared: &Shared, stop: &AtomicBool) -> Option<DueTick> {
    let mut standstill: Option<Standstill> = None;
    loop {
        let mut waiting_for = None;
        let step = shared.time.wait(MAX_WAIT, |now_ns| {
            if stop.load(Ordering::Relaxed) {
                return Some(None);
            }
            let is_ready = |tick_ns| {
                waiting_for = Some(tick_ns);
                !shared.is_planning.load(Ordering::Relaxed) && lock(&shared.control).is_ready(tick_ns)
            };
            now_ns.and_then(|now_ns| steps.due(now_ns, is_ready)).map(Some)
        });
        let step = match (step, waiting_for) {
            (Some(step), _) => step,
            (None, Some(tick_ns)) => {
                let since = standstill.filter(|s| s.tick_ns == tick_ns).map_or_else(Instant::now, |s| s.since);
                standstill = Some(Standstill { tick_ns, since });
                let Some(step) = (since.elapsed() > MAX_STANDSTILL).then(|| steps.give_up()).flatten() else {
                    continue;
                };
                Some(step)
            }
            (None, None) => continue,
        };
        return step.map(|step| DueTick { tick_ns: step.tick_ns, deadline: Instant::now(), skipped: step.skipped });
    }
}

/// A tick that waits while the clock stands still.
#[derive(Clone, Copy)]
struct Standstill {
    tick_ns: i64,
    since: Instant,
}
