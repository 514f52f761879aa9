//! What is measured while the node runs: lateness of ticks, planning latency, missed deadlines.
//! The tick thread and the planning thread write it, diagnostics read it.

use std::time::{Duration, Instant};

use super::histogram::Histogram;
use df_planning::{Command, FallbackLevel, Plan, Reason};

/// Counts and distributions since `configure`.
#[derive(Debug, Default)]
pub(crate) struct Telemetry {
    /// Published commands.
    pub ticks: u64,
    /// Ticks that passed while the tick thread did not run.
    pub skipped_ticks: u64,
    /// Ticks at which the requested plan was not ready.
    pub deadline_misses: u64,
    /// Requests that ended with a plan or an error.
    pub plans: u64,
    /// Requests that ended with an error.
    pub plan_failures: u64,
    /// Plans that skipped work to be in time.
    pub plans_cut_short: u64,
    /// From a tick's deadline until its command was handed to the middleware.
    pub tick_jitter: Histogram,
    /// The difference between the time from command to command and that from tick to tick.
    pub period_error: Histogram,
    /// From taking a request until its plan is ready.
    pub planning_latency: Histogram,
    /// The newest command, if there was one.
    pub last_command: Option<CommandState>,
    first_tick: Option<Instant>,
    last_tick: Option<Instant>,
    last_deadline: Option<Instant>,
    window: Option<Window>,
}

/// Where a command comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CommandState {
    /// The fallback level.
    pub level: FallbackLevel,
    /// Why it is not a fresh plan; None if it is.
    pub reason: Option<Reason>,
}

/// The begin of the time over which the recent rate is taken.
#[derive(Clone, Copy, Debug)]
struct Window {
    begin: Instant,
    ticks: u64,
}

impl Telemetry {
    /// Records a published command. `skipped`: unused ticks since the one before.
    pub(crate) fn record_tick(&mut self, deadline: Instant, published: Instant, skipped: u64, command: &Command) {
        self.ticks += 1;
        self.skipped_ticks += skipped;
        self.deadline_misses += u64::from(command.reason == Some(Reason::DeadlineMissed));
        self.tick_jitter.add(published.saturating_duration_since(deadline));
        if let Some((last_published, last_deadline)) = self.last_tick.zip(self.last_deadline.replace(deadline)) {
            let (passed, wanted) = (published - last_published, deadline - last_deadline);
            self.period_error.add(passed.abs_diff(wanted));
        }
        self.last_command = Some(CommandState { level: command.level, reason: command.reason.clone() });
        self.first_tick.get_or_insert(published);
        self.last_tick = Some(published);
    }

    /// Records the result of a request: a plan, or None for an error.
    pub(crate) fn record_plan(&mut self, latency: Duration, plan: Option<&Plan>) {
        self.plans += 1;
        self.plan_failures += u64::from(plan.is_none());
        self.plans_cut_short += u64::from(plan.is_some_and(|plan| !plan.skipped.is_nothing()));
        self.planning_latency.add(latency);
    }

    /// Ticks per second since the first tick; 0 before the second tick.
    pub(crate) fn achieved_rate_hz(&self) -> f64 {
        let span = self.first_tick.zip(self.last_tick).map(|(first, last)| last.duration_since(first).as_secs_f64());
        span.filter(|&s| s > 0.0).map_or(0.0, |s| (self.ticks - 1) as f64 / s)
    }

    /// Ticks per second since the last call; 0 at the first call.
    pub(crate) fn recent_rate_hz(&mut self) -> f64 {
        let Some(last) = self.last_tick else { return 0.0 };
        let now = Window { begin: last, ticks: self.ticks };
        let before = self.window.replace(now).unwrap_or(now);
        let span = last.duration_since(before.begin).as_secs_f64();
        if span > 0.0 { (self.ticks - before.ticks) as f64 / span } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_jitter_and_missed_deadlines_are_measured() {
        let mut telemetry = Telemetry::default();
        let start = Instant::now();
        let command = |reason| Command { tick_ns: 0, values: vec![0.0], level: FallbackLevel::Safe, reason };
        assert_eq!(telemetry.achieved_rate_hz(), 0.0);
        for k in 0..5 {
            let reason = (k == 2).then_some(Reason::DeadlineMissed);
            let at = start + Duration::from_millis(50 * k);
            telemetry.record_tick(at, at, 0, &command(reason));
        }
        // Five ticks, four periods of 50 ms: 20 Hz.
        assert!((telemetry.achieved_rate_hz() - 20.0).abs() < 1e-9);
        assert_eq!(telemetry.recent_rate_hz(), 0.0);
        let at = start + Duration::from_millis(300);
        telemetry.record_tick(at, at, 1, &command(None));
        // One tick 100 ms after the fifth: 10 Hz.
        assert!((telemetry.recent_rate_hz() - 10.0).abs() < 1e-9);
        assert_eq!((telemetry.deadline_misses, telemetry.skipped_ticks), (1, 1));
        // The next deadline is 50 ms later and met 3 ms late.
        let due = at + Duration::from_millis(50);
        telemetry.record_tick(due, due + Duration::from_millis(3), 0, &command(None));
        assert_eq!((telemetry.period_error.max_s(), telemetry.tick_jitter.max_s()), (3e-3, 3e-3));
    }
}
