//! The times of a topic: rate, jitter, silences, ages, and clocks that jump.

use serde::Serialize;

use super::quantile_sketch::Sketch;

const NS_PER_S: f64 = 1e9;
/// A period of so many medians is a silence.
const SILENCE_PERIODS: f64 = 10.0;

/// The stamps of a topic, in the order of recording.
#[derive(Clone, Debug, Default)]
pub(super) struct RateStats {
    messages: u64,
    first_ns: Option<i64>,
    /// Greatest stamp.
    newest_ns: i64,
    last_ns: Option<i64>,
    last_log_ns: Option<i64>,
    periods_s: Sketch,
    ages_s: Sketch,
    longest: Option<(i64, i64)>,
    backward: u64,
    farthest_back_ns: i64,
    log_backward: u64,
    duplicates: u64,
    has_stamps: bool,
}

/// The times of a topic in numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RateSummary {
    /// Number of messages.
    pub messages: u64,
    /// The messages carry stamps; if not, log times are used.
    pub has_stamps: bool,
    /// The earliest stamp, nanoseconds.
    pub first_ns: i64,
    /// The latest stamp, nanoseconds.
    pub last_ns: i64,
    /// One over the median period, hertz.
    pub rate_hz: f64,
    /// Median time between two stamps, seconds.
    pub median_period_s: f64,
    /// 5th percentile of the periods that are not silences, seconds.
    pub period_p5_s: f64,
    /// 95th percentile of them, seconds.
    pub period_p95_s: f64,
    /// 99.9th percentile of them, seconds.
    pub period_p999_s: f64,
    /// Periods longer than ten medians.
    pub silences: u64,
    /// The longest period, seconds.
    pub longest_silence_s: f64,
    /// When it begins, seconds since the first stamp.
    pub longest_silence_at_s: f64,
    /// Log time minus stamp, seconds: median, 1st and 99th percentile. `None` without stamps.
    pub age_s: Option<[f64; 3]>,
    /// Stamps earlier than the one before.
    pub backward: u64,
    /// The largest step back, seconds.
    pub farthest_back_s: f64,
    /// Log times earlier than the one before.
    pub log_backward: u64,
    /// Stamps equal to the one before.
    pub duplicates: u64,
}

impl RateStats {
    /// Takes the next message's stamp, if it has one, and when it was recorded.
    pub(super) fn add(&mut self, stamp_ns: Option<i64>, log_ns: i64) {
        if self.last_log_ns.replace(log_ns).is_some_and(|last| log_ns < last) {
            self.log_backward += 1;
        }
        if let Some(stamp_ns) = stamp_ns {
            self.has_stamps = true;
            self.ages_s.add(log_ns.saturating_sub(stamp_ns) as f64 / NS_PER_S);
        }
        self.stamp(stamp_ns.unwrap_or(log_ns));
    }

    /// Takes the next stamp.
    pub(super) fn stamp(&mut self, stamp_ns: i64) {
        self.messages += 1;
        self.first_ns = Some(self.first_ns.map_or(stamp_ns, |first| first.min(stamp_ns)));
        match self.last_ns.replace(stamp_ns) {
            None => self.newest_ns = stamp_ns,
            Some(last) if stamp_ns < last => {
                self.backward += 1;
                self.farthest_back_ns = self.farthest_back_ns.max(last.saturating_sub(stamp_ns));
            }
            Some(last) if stamp_ns == last => self.duplicates += 1,
            Some(last) => {
                let period_ns = stamp_ns.saturating_sub(last);
                self.periods_s.add(period_ns as f64 / NS_PER_S);
                if self.longest.is_none_or(|(longest, _)| period_ns > longest) {
                    self.longest = Some((period_ns, last));
                }
            }
        }
        self.newest_ns = self.newest_ns.max(stamp_ns);
    }

    /// Time starts anew.
    pub(super) fn restart(&mut self) {
        self.last_ns = None;
    }

    pub(super) fn summary(&self) -> RateSummary {
        let periods = &self.periods_s;
        let median = periods.quantile(0.5).unwrap_or(0.0);
        let ordinary = periods.share_up_to(SILENCE_PERIODS * median);
        let quantile = |share: f64| periods.quantile(share * ordinary).unwrap_or(0.0);
        let first_ns = self.first_ns.unwrap_or(0);
        let (longest_ns, after_ns) = self.longest.unwrap_or((0, first_ns));
        let ages = |share| self.ages_s.quantile(share).unwrap_or(0.0);
        RateSummary {
            messages: self.messages,
            has_stamps: self.has_stamps,
            first_ns,
            last_ns: self.newest_ns,
            rate_hz: if median > 0.0 { 1.0 / median } else { 0.0 },
            median_period_s: median,
            period_p5_s: quantile(0.05),
            period_p95_s: quantile(0.95),
            period_p999_s: quantile(0.999),
            silences: ((1.0 - ordinary) * periods.count() as f64).round() as u64,
            longest_silence_s: longest_ns as f64 / NS_PER_S,
            longest_silence_at_s: after_ns.saturating_sub(first_ns) as f64 / NS_PER_S,
            age_s: self.has_stamps.then(|| [ages(0.5), ages(0.01), ages(0.99)]),
            backward: self.backward,
            farthest_back_s: self.farthest_back_ns as f64 / NS_PER_S,
            log_backward: self.log_backward,
            duplicates: self.duplicates,
        }
    }
}

impl RateSummary {
    /// From the earliest to the latest stamp, seconds.
    pub fn duration_s(&self) -> f64 {
        self.last_ns.saturating_sub(self.first_ns) as f64 / NS_PER_S
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;
    const START: i64 = 1_700_000_000_000 * MS;

    #[test]
    fn rate_jitter_silences_and_ages_are_measured() {
        let mut clock = RateStats::default();
        // Every 20 ms give or take 2 ms by turns, so periods of 18 and 22 ms... and 3 s of silence after message 500.
        let stamp =
            |k: i64| START + 20 * MS * k + if k % 2 == 0 { 0 } else { 2 * MS } + if k > 500 { 3000 * MS } else { 0 };
        for k in 0..1000 {
            clock.add(Some(stamp(k)), stamp(k) + 5 * MS);
        }
        let got = clock.summary();
        // From even to odd 22 ms, from odd to even 18 ms.
        assert!((0.018..=0.0221).contains(&got.median_period_s), "{got:?}");
        assert!((got.period_p5_s - 0.018).abs() < 1e-4 && (got.period_p95_s - 0.022).abs() < 1e-4, "{got:?}");
        assert!(got.period_p999_s < 0.0222);
        assert_eq!(got.silences, 1);
        // Message 500 is even: 22 ms and 3 s; it is stamped 500 * 20 ms = 10 s after the first.
        assert_eq!((got.longest_silence_s, got.longest_silence_at_s), (3.022, 10.0));
        assert_eq!(got.age_s.unwrap().map(|age| (age * 1e3).round()), [5.0; 3]);
        assert_eq!((got.backward, got.log_backward, got.duplicates), (0, 0, 0));
        // 999 * 20 + 2 + 3000 ms.
        assert!((got.duration_s() - 22.982).abs() < 1e-9);
    }

    #[test]
    fn clocks_that_go_back_are_counted() {
        let mut clock = RateStats::default();
        for (stamp, log) in [(0, 0), (10, 10), (5, 20), (5, 15), (30, 30)] {
            clock.add(Some(START + stamp * MS), START + log * MS);
        }
        let got = clock.summary();
        assert_eq!((got.backward, got.farthest_back_s, got.log_backward, got.duplicates), (1, 0.005, 1, 1));
        // Without stamps the recorder's clock counts.
        let mut clock = RateStats::default();
        (0..3).for_each(|k| clock.add(None, START + 100 * MS * k));
        let got = clock.summary();
        assert_eq!((got.has_stamps, got.age_s, got.median_period_s, got.rate_hz), (false, None, 0.1, 10.0));
    }
}
