//! Quantiles of durations in constant memory.

use std::time::Duration;

/// Buckets per factor of ten: the upper edge of a bucket is 2.3 % above its lower edge.
const BUCKETS_PER_DECADE: f64 = 100.0;
/// The upper edge of the lowest bucket, seconds.
const LOWEST_S: f64 = 1e-6;
/// Covers [`LOWEST_S`] to 1000 s.
const BUCKETS: usize = 901;

/// Counts durations in buckets of equal ratio. Keeps the maximum exactly.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
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
    /// Counts a duration.
    pub(crate) fn add(&mut self, duration: Duration) {
        let ratio = duration.as_secs_f64().max(LOWEST_S) / LOWEST_S;
        let bucket = (ratio.log10() * BUCKETS_PER_DECADE).ceil() as usize;
        self.counts[bucket.min(BUCKETS - 1)] += 1;
        self.total += 1;
        self.max = self.max.max(duration);
    }

    /// The duration in seconds that a fraction `quantile` (0 to 1) of all durations does not
    /// exceed. At most 2.3 % too high and never above the maximum; 0 if there are no durations.
    pub(crate) fn quantile_s(&self, quantile: f64) -> f64 {
        let rank = (quantile * self.total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let bucket = self.counts.iter().position(|&count| {
            seen += count;
            seen >= rank
        });
        bucket.map_or(0.0, |b| (LOWEST_S * 10f64.powf(b as f64 / BUCKETS_PER_DECADE)).min(self.max_s()))
    }

    /// The longest duration, seconds.
    pub(crate) fn max_s(&self) -> f64 {
        self.max.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_exact_to_the_width_of_a_bucket() {
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
    fn durations_beyond_the_first_and_last_bucket_are_counted() {
        let mut histogram = Histogram::default();
        histogram.add(Duration::ZERO);
        histogram.add(Duration::from_secs(5000));
        assert_eq!(histogram.quantile_s(0.5), LOWEST_S);
        // The last bucket ends at 1000 s.
        assert!((histogram.quantile_s(1.0) - 1000.0).abs() < 1e-6);
        assert_eq!(histogram.max_s(), 5000.0);
    }
}
