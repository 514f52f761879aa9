//! When the tick thread ticks: at deadlines on the steady clock, or in step with `/clock`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::driving::{Shared, lock};
use super::timing::{LockStep, Pacer, system_ns};

/// The longest wait of the tick thread in one piece: how soon a stop is noticed.
const WAIT_MAX: Duration = Duration::from_millis(50);
/// The last part of the wait for a deadline is spent looking at the clock: a sleep ends some 60 us late.
const LOOKING: Duration = Duration::from_micros(200);
/// On simulated time: the longest that a tick waits for its observation or its plan while the clock stands still.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where ticks come from.
pub enum Ticks {
    /// Deadlines on the steady clock.
    Steady(Pacer),
    /// Multiples of the period on `/clock`.
    Simulated(LockStep),
}

/// A tick that is due.
pub struct DueTick {
    /// In ROS time.
    pub tick_ns: i64,
    /// When it was due on this machine's clock.
    pub deadline: Instant,
    /// Ticks that passed unused since the last one.
    pub skipped: u64,
}

impl Ticks {
    pub fn new(period: Duration, is_simulated: bool) -> Self {
        if is_simulated {
            Self::Simulated(LockStep::new(i64::try_from(period.as_nanos()).unwrap_or(i64::MAX)))
        } else {
            Self::Steady(Pacer::new(period, Instant::now() + period))
        }
    }

    /// Waits for the plan of the tick, until the next tick is due.
    pub fn await_plan(&self, shared: &Shared, stop: &AtomicBool, tick_ns: i64) {
        let next = match self {
            Self::Steady(pacer) => pacer.next().saturating_duration_since(Instant::now()),
            Self::Simulated(_) => PATIENCE,
        };
        let is_answered = || stop.load(Ordering::Relaxed) || !shared.is_planning.load(Ordering::Relaxed);
        shared.time.wait(next, |now_ns| {
            let is_over = match self {
                Self::Steady(_) => false,
                Self::Simulated(steps) => now_ns.is_none_or(|now_ns| steps.is_over(tick_ns, now_ns)),
            };
            (is_over || is_answered()).then_some(())
        });
    }

    /// Waits for the next tick; none once a stop is asked for.
    pub fn next(&mut self, shared: &Shared, stop: &AtomicBool) -> Option<DueTick> {
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
        } else if left > LOOKING {
            std::thread::sleep((left - LOOKING).min(WAIT_MAX));
        } else {
            std::hint::spin_loop();
        }
    }
    let due = pacer.due(Instant::now());
    // The tick's time on the system clock: now, less what this thread is late.
    let late_ns = i64::try_from(due.deadline.elapsed().as_nanos()).unwrap_or(0);
    Some(DueTick { tick_ns: system_ns() - late_ns, deadline: due.deadline, skipped: due.skipped })
}

fn next_step(steps: &mut LockStep, shared: &Shared, stop: &AtomicBool) -> Option<DueTick> {
    let mut waits: Option<(i64, Instant)> = None;
    loop {
        let mut waiting_for = None;
        let step = shared.time.wait(WAIT_MAX, |now_ns| {
            if stop.load(Ordering::Relaxed) {
                return Some(None);
            }
            let has_come = |tick_ns| {
                waiting_for = Some(tick_ns);
                !shared.is_planning.load(Ordering::Relaxed) && lock(&shared.control).ready(tick_ns)
            };
            now_ns.and_then(|now_ns| steps.due(now_ns, has_come)).map(Some)
        });
        let step = match (step, waiting_for) {
            (Some(step), _) => step,
            (None, Some(tick_ns)) => {
                let since = waits.filter(|(tick, _)| *tick == tick_ns).map_or_else(Instant::now, |(_, since)| since);
                waits = Some((tick_ns, since));
                let Some(step) = (since.elapsed() > PATIENCE).then(|| steps.give_up()).flatten() else { continue };
                Some(step)
            }
            (None, None) => continue,
        };
        return step.map(|step| DueTick { tick_ns: step.tick_ns, deadline: Instant::now(), skipped: step.skipped });
    }
}
