//! What is measured while the node runs: lateness of ticks, planning latency, misses. Written by the tick and the
//! planning thread, read by diagnostics.

use std::time::{Duration, Instant};

use crate::planning::{Command, Plan, Reason, Rung};

/// Counts and distributions of one run.
#[derive(Debug, Default)]
pub struct Telemetry {
    pub ticks: u64,
    /// Ticks whose time passed while the tick thread did not run.
    pub skipped_ticks: u64,
    /// Ticks at which the plan that had been asked for was not ready.
    pub deadline_misses: u64,
    pub plans: u64,
    pub plan_failures: u64,
    /// Plans that left something out to be in time.
    pub plans_cut_short: u64,
    /// From the tick's deadline until its command was handed to the middleware.
    pub tick_jitter: Histogram,
    /// How much the time between two published commands differs from that between their ticks.
    pub period_error: Histogram,
    pub planning_latency: Histogram,
    /// Where on the ladder the newest command stands, and why.
    pub command: Option<(Rung, Option<Reason>)>,
    first_tick: Option<Instant>,
    last_tick: Option<Instant>,
    last_deadline: Option<Instant>,
    window: Option<(Instant, u64)>,
}

impl Telemetry {
    /// A command was published.
    pub fn ticked(&mut self, deadline: Instant, published: Instant, skipped: u64, command: &Command) {
        self.ticks += 1;
        self.skipped_ticks += skipped;
        self.deadline_misses += u64::from(command.reason == Some(Reason::DeadlineMissed));
        self.tick_jitter.add(published.saturating_duration_since(deadline));
        if let Some((last_published, last_deadline)) = self.last_tick.zip(self.last_deadline.replace(deadline)) {
            let (passed, wanted) = (published - last_published, deadline - last_deadline);
            self.period_error.add(passed.abs_diff(wanted));
        }
        self.command = Some((command.rung, command.reason.clone()));
        self.first_tick.get_or_insert(published);
        self.last_tick = Some(published);
    }

    /// A plan was asked for and answered after `latency`.
    pub fn planned(&mut self, latency: Duration, plan: Option<&Plan>) {
        self.plans += 1;
        self.plan_failures += u64::from(plan.is_none());
        self.plans_cut_short += u64::from(plan.is_some_and(|plan| !plan.left_out.is_nothing()));
        self.planning_latency.add(latency);
    }

    /// Ticks per second over the whole run; 0 before the second tick.
    pub fn achieved_rate_hz(&self) -> f64 {
        let span = self.first_tick.zip(self.last_tick).map(|(first, last)| last.duration_since(first).as_secs_f64());
        span.filter(|&s| s > 0.0).map_or(0.0, |s| (self.ticks - 1) as f64 / s)
    }

    /// Ticks per second between this call and the one before; 0 at the first call.
    pub fn recent_rate_hz(&mut self) -> f64 {
        let Some(last) = self.last_tick else { return 0.0 };
        let (since, counted) = self.window.replace((last, self.ticks)).unwrap_or((last, self.ticks));
        let span = last.duration_since(since).as_secs_f64();
        if span > 0.0 { (self.ticks - counted) as f64 / span } else { 0.0 }
    }
}

/// Buckets per factor of ten: the upper edge of a bucket is 2.3 % above its lower one.
const BUCKETS_PER_DECADE: f64 = 100.0;
/// The upper edge of the lowest bucket, seconds.
const LOWEST_S: f64 = 1e-6;
/// From [`LOWEST_S`] to 1000 s.
const BUCKETS: usize = 901;

/// Durations of a whole run in constant memory: buckets of equal ratio, the maximum exactly.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, max: Duration::ZERO }
    }
}

impl Histogram {
    pub fn add(&mut self, duration: Duration) {
        let ratio = duration.as_secs_f64().max(LOWEST_S) / LOWEST_S;
        let bucket = (ratio.log10() * BUCKETS_PER_DECADE).ceil() as usize;
        self.counts[bucket.min(BUCKETS - 1)] += 1;
        self.total += 1;
        self.max = self.max.max(duration);
    }

    /// The duration that a share `quantile` (0 to 1) of the durations does not exceed, seconds: at most 2.3 % above
    /// the true one, never above the maximum. 0 while empty.
    pub fn quantile_s(&self, quantile: f64) -> f64 {
        let wanted = (quantile * self.total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let bucket = self.counts.iter().position(|&count| {
            seen += count;
            seen >= wanted
        });
        bucket.map_or(0.0, |b| (LOWEST_S * 10f64.powf(b as f64 / BUCKETS_PER_DECADE)).min(self.max_s()))
    }

    pub fn max_s(&self) -> f64 {
        self.max.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_bucket() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile_s(0.5), 0.0);
        // 1 ms to 1000 ms: the median is the 500th, 500 ms; p99 the 990th.
        (1..=1000).for_each(|ms| histogram.add(Duration::from_millis(ms)));
        for (quantile, exact) in [(0.5, 0.5), (0.99, 0.99), (0.001, 0.001)] {
            let got = histogram.quantile_s(quantile);
            assert!(got >= exact * 0.9999 && got <= exact * 1.0235, "{quantile}: {got}");
        }
        assert_eq!(histogram.quantile_s(1.0), 1.0);
        assert_eq!(histogram.max_s(), 1.0);
    }

    #[test]
    fn durations_beyond_the_ends_are_kept() {
        let mut histogram = Histogram::default();
        histogram.add(Duration::ZERO);
        histogram.add(Duration::from_secs(5000));
        assert_eq!(histogram.quantile_s(0.5), LOWEST_S);
        // The last bucket ends at 1000 s.
        assert!((histogram.quantile_s(1.0) - 1000.0).abs() < 1e-6);
        assert_eq!(histogram.max_s(), 5000.0);
    }

    #[test]
    fn rates_and_misses_are_counted() {
        let mut telemetry = Telemetry::default();
        let start = Instant::now();
        let command = |reason| Command { tick_ns: 0, values: vec![0.0], rung: Rung::Safe, reason };
        assert_eq!(telemetry.achieved_rate_hz(), 0.0);
        for k in 0..5 {
            let reason = (k == 2).then_some(Reason::DeadlineMissed);
            let at = start + Duration::from_millis(50 * k);
            telemetry.ticked(at, at, 0, &command(reason));
        }
        // Five ticks, four periods of 50 ms: 20 Hz.
        assert!((telemetry.achieved_rate_hz() - 20.0).abs() < 1e-9);
        assert_eq!(telemetry.recent_rate_hz(), 0.0);
        let at = start + Duration::from_millis(300);
        telemetry.ticked(at, at, 1, &command(None));
        // One tick 100 ms after the fifth: 10 Hz.
        assert!((telemetry.recent_rate_hz() - 10.0).abs() < 1e-9);
        assert_eq!((telemetry.deadline_misses, telemetry.skipped_ticks), (1, 1));
        // The next deadline is 50 ms later and met 3 ms late.
        let due = at + Duration::from_millis(50);
        telemetry.ticked(due, due + Duration::from_millis(3), 0, &command(None));
        assert_eq!((telemetry.period_error.max_s(), telemetry.tick_jitter.max_s()), (3e-3, 3e-3));
    }
}
