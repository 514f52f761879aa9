//! What is known of one channel: extremes, moments, percentiles, and the signs of trouble.

use serde::Serialize;

use super::quantile_sketch::Sketch;

/// Percentiles of the report, as shares.
pub(super) const PERCENTILES: [f64; 5] = [0.01, 0.05, 0.5, 0.95, 0.99];
/// More different values than this are not counted.
const MAX_DISTINCT: usize = 64;
/// So many deviations from the mean are an outlier.
pub(super) const OUTLIER_DEVIATIONS: f64 = 10.0;
/// A value nearer to a limit than this share of the range between both is at the limit.
const AT_LIMIT: f64 = 1e-3;
/// A step is a wrap if it is a whole turn give or take this, in turns.
const WRAP_TOLERANCE: f64 = 0.08;

/// The values of a channel, one after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Channel {
    /// Since the first value, so that a large offset costs no digits.
    sum: f64,
    squares: f64,
    first: f64,
    min: f64,
    max: f64,
    /// Values that are the least or the greatest, exactly.
    at_extremes: [u64; 2],
    /// The limits of the contract and how many values are there or beyond.
    limits: Option<[f64; 2]>,
    at_limits: [u64; 2],
    last: Option<f64>,
    /// Values equal to the one before.
    repeats: u64,
    not_finite: u64,
    missing: u64,
    /// Up to [`MAX_DISTINCT`] + 1 different values.
    distinct: Vec<f64>,
    /// Steps of a whole turn, in rad and in degrees.
    wraps: [u64; 2],
    sketch: Sketch,
}

/// A channel in numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ChannelSummary {
    /// The field expression or column.
    pub label: String,
    /// Empty if unknown.
    pub unit: String,
    /// Number of finite values.
    pub count: u64,
    /// Minimum.
    pub min: f64,
    /// Maximum.
    pub max: f64,
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    #[serde(rename = "deviation")]
    pub std: f64,
    /// 1st, 5th, 50th, 95th and 99th percentile.
    pub percentiles: [f64; 5],
    /// Share of the values that are not finite, 0 to 1.
    pub not_finite_share: f64,
    /// Share of the frames or rows without a value, 0 to 1; 0 for messages.
    pub missing_share: f64,
    /// Share of the values equal to the one before, 0 to 1.
    pub repeated_share: f64,
    /// Number of different values; `None` if more than 64.
    pub distinct: Option<usize>,
    /// The smallest difference between two of them.
    pub quantum: Option<f64>,
    /// Steps of a whole turn, in rad or degrees.
    pub wraps: u64,
    /// Shares of the values equal to the minimum and to the maximum.
    pub at_extremes: [f64; 2],
    /// Shares of the values at or beyond the lower and the upper limit of the contract; `None` without limits.
    pub at_limits: Option<[f64; 2]>,
}

impl Channel {
    /// A channel whose values have limits.
    pub(super) fn within(limits: [f64; 2]) -> Self {
        Self { limits: Some(limits), ..Self::default() }
    }

    #[inline]
    pub(super) fn add(&mut self, value: f64) {
        if !(value as f32).is_finite() {
            self.not_finite += 1;
            return;
        }
        if self.sketch.count() == 0 {
            (self.first, self.min, self.max) = (value, value, value);
        }
        if value <= self.min {
            self.at_extremes[0] = if value < self.min { 1 } else { self.at_extremes[0] + 1 };
            self.min = value;
        }
        if value >= self.max {
            self.at_extremes[1] = if value > self.max { 1 } else { self.at_extremes[1] + 1 };
            self.max = value;
        }
        if let Some([low, high]) = self.limits {
            let near = (high - low) * AT_LIMIT;
            self.at_limits[0] += u64::from(value <= low + near);
            self.at_limits[1] += u64::from(value >= high - near);
        }
        let shifted = value - self.first;
        self.sum += shifted;
        self.squares += shifted * shifted;
        self.sketch.add(value);
        if let Some(last) = self.last.replace(value) {
            if last == value {
                self.repeats += 1;
                return;
            }
            self.look_for_wrap((value - last).abs());
        }
        if self.distinct.len() <= MAX_DISTINCT && !self.distinct.contains(&value) {
            self.distinct.push(value);
        }
    }

    #[inline]
    fn look_for_wrap(&mut self, step: f64) {
        for (wraps, turn) in self.wraps.iter_mut().zip([std::f64::consts::TAU, 360.0]) {
            *wraps += u64::from((step / turn - 1.0).abs() < WRAP_TOLERANCE);
        }
    }

    /// A value that is not there.
    pub(super) fn miss(&mut self) {
        self.missing += 1;
    }

    /// What follows is not the next value of what came.
    pub(super) fn interrupt(&mut self) {
        self.last = None;
    }

    pub(super) fn sketch(&self) -> &Sketch {
        &self.sketch
    }

    pub(super) fn summary(&self, label: &str, unit: &str) -> ChannelSummary {
        let count = self.sketch.count();
        let (n, all) = (count.max(1) as f64, count + self.not_finite);
        let mean = self.sum / n;
        let std = (self.squares / n - mean * mean).max(0.0).sqrt();
        let quantile = |share| self.sketch.quantile(share).unwrap_or(0.0).clamp(self.min, self.max);
        let few = (self.distinct.len() <= MAX_DISTINCT).then(|| {
            let mut few = self.distinct.clone();
            few.sort_by(f64::total_cmp);
            few
        });
        let turning = |turn: f64| self.max - self.min < turn * 1.001 && self.max - self.min > turn * 0.9;
        ChannelSummary {
            label: label.into(),
            unit: unit.into(),
            count,
            min: self.min,
            max: self.max,
            mean: self.first + mean,
            std,
            percentiles: PERCENTILES.map(quantile),
            not_finite_share: self.not_finite as f64 / all.max(1) as f64,
            missing_share: self.missing as f64 / (all + self.missing).max(1) as f64,
            repeated_share: self.repeats as f64 / n,
            distinct: few.as_ref().map(Vec::len),
            quantum: few.and_then(|few| few.windows(2).map(|pair| pair[1] - pair[0]).reduce(f64::min)),
            wraps: match [turning(std::f64::consts::TAU), turning(360.0)] {
                [true, _] => self.wraps[0],
                [_, true] => self.wraps[1],
                _ => 0,
            },
            at_extremes: self.at_extremes.map(|at| at as f64 / n),
            at_limits: self.limits.map(|_| self.at_limits.map(|at| at as f64 / n)),
        }
    }
}

impl ChannelSummary {
    /// Clears what depends on the order of the values. For elements of an array their order means nothing.
    pub fn without_order(self) -> Self {
        Self { repeated_share: 0.0, wraps: 0, ..self }
    }

    /// It never changes.
    pub fn is_constant(&self) -> bool {
        self.count > 0 && self.min == self.max
    }

    /// How many deviations the value farthest from the mean is away from it.
    pub fn farthest_deviations(&self) -> f64 {
        let farthest = (self.max - self.mean).max(self.mean - self.min);
        if self.std > 0.0 { farthest / self.std } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(values: impl IntoIterator<Item = f64>) -> ChannelSummary {
        let mut channel = Channel::default();
        values.into_iter().for_each(|value| channel.add(value));
        channel.summary("x", "m")
    }

    #[test]
    fn moments_keep_their_digits_at_a_large_offset() {
        // 1e9 + {1, 2, 3, 4, 5}: mean 3, squared distances 4 + 1 + 0 + 1 + 4 = 10, a fifth of it 2.
        let got = summary((1..=5).map(|k| 1e9 + f64::from(k)));
        assert_eq!((got.count, got.min, got.max, got.mean), (5, 1e9 + 1.0, 1e9 + 5.0, 1e9 + 3.0));
        assert!((got.std - 2f64.sqrt()).abs() < 1e-12);
        assert_eq!(got.percentiles[2], 1e9 + 3.0);
        assert_eq!((got.distinct, got.quantum), (Some(5), Some(1.0)));
    }

    #[test]
    fn non_finite_missing_and_repeated_values_are_counted() {
        let mut channel = Channel::default();
        // As f32, 1e39 is not finite. Of the 4 finite values, 2 are equal to the one before.
        for value in [1.0, f64::NAN, 1.0, 1e39, 2.0, 2.0] {
            channel.add(value);
        }
        (0..4).for_each(|_| channel.miss());
        let got = channel.summary("x", "");
        assert_eq!((got.count, got.not_finite_share, got.missing_share, got.repeated_share), (4, 2.0 / 6.0, 0.4, 0.5));
    }

    #[test]
    fn a_wrap_is_a_step_of_one_turn_in_a_range_of_one_turn() {
        // From -pi to pi in steps of 0.1 rad, round and round: 1000 steps are 100 rad or 15.9 turns; it starts at 0.
        let wrapped = |turn: f64| {
            summary((0..1000).map(move |k| {
                let angle = f64::from(k) * turn / std::f64::consts::TAU * 0.1;
                (angle + turn / 2.0).rem_euclid(turn) - turn / 2.0
            }))
            .wraps
        };
        assert_eq!((wrapped(std::f64::consts::TAU), wrapped(360.0)), (16, 16));
        // The same steps in a range that is no turn are none.
        assert_eq!(summary((0..100).map(|k| f64::from(k % 20) * std::f64::consts::TAU)).wraps, 0);
    }

    #[test]
    fn shares_at_the_extremes_show_saturation() {
        // 30 of 100 at 2, 10 at -2, the others between.
        let values = (0..100).map(|k| match k {
            0..30 => 2.0,
            30..40 => -2.0,
            _ => f64::from(k - 40) / 60.0,
        });
        let values: Vec<f64> = values.collect();
        assert_eq!(summary(values.clone()).at_extremes, [0.1, 0.3]);
        assert_eq!(summary(values.clone()).at_limits, None);
        // Limits of -4 and 2.001: 2 is nearer than 6.001 / 1000.
        let mut limited = Channel::within([-4.0, 2.001]);
        values.into_iter().for_each(|value| limited.add(value));
        assert_eq!(limited.summary("x", "").at_limits, Some([0.0, 0.3]));
        assert_eq!(summary([5.0; 10]).at_extremes, [1.0, 1.0]);
    }

    #[test]
    fn an_outlier_stands_many_deviations_away() {
        // 999 values at +-1 and one of 100: mean 0.1, mean square (999 + 10,000) / 1000 = 11, deviation 3.315; 99.9 /
        // 3.315 = 30.
        let got = summary((0..1000).map(|k| if k == 500 { 100.0 } else { f64::from(k % 2) * 2.0 - 1.0 }));
        assert!((got.farthest_deviations() - 30.1).abs() < 0.1, "{}", got.farthest_deviations());
        assert_eq!(summary([1.0; 5]).farthest_deviations(), 0.0);
    }
}
