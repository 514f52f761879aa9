//! Scores of answers to queries: error of their mean, error of a naive answer, and calibration of their spread.
//!
//! **Inside.** Let the recorded value have the same distribution as the `n` samples. Its rank among them is then
//! uniform on `n + 1` places. So it lies between the i-th lowest and the i-th highest sample with probability `(n + 1 -
//! 2 i) / (n + 1)`, for any distribution. `i` is chosen to bring this nearest to 80 %: with 8 samples `i = 1` and 78 %,
//! with 9 exactly 80 %.
//!
//! **Spread over error.** The expected squared error of the mean of `n` samples is then their variance times `1 + 1 /
//! n`. The root of expected over actual squared error is 1 for calibrated answers, and below 1 for overconfident ones.

use serde::Serialize;

/// Wanted probability of the central interval.
const INTERVAL: f64 = 0.8;

/// The answers to the query of one window, as they are written to the output.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WindowResults {
    /// Number of the episode, from 0.
    pub episode: usize,
    /// The tick of the window's first frame, nanoseconds.
    pub tick_ns: i64,
    /// The queried channels.
    pub channels: Vec<ChannelResult>,
}

/// The answer for one channel of a window, in its unit: one entry for each value that is queried and recorded.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ChannelResult {
    /// Label of the channel.
    pub channel: String,
    /// The frames of the window that the entries are for.
    pub frames: Vec<usize>,
    /// Recorded values.
    pub recorded: Vec<f32>,
    /// Means of the samples.
    pub mean: Vec<f32>,
    /// Standard deviations of the samples; the key in the output is `deviation`.
    #[serde(rename = "deviation")]
    pub std: Vec<f32>,
    /// Lower ends of the central interval.
    pub low: Vec<f32>,
    /// Upper ends of the central interval.
    pub high: Vec<f32>,
    /// Naive answers.
    pub naive: Vec<f32>,
}

impl ChannelResult {
    /// An answer without entries for the channel with this label.
    pub fn new(channel: &str) -> Self {
        Self { channel: channel.into(), ..Self::default() }
    }

    /// Adds the entry of frame `frame` of the window; `samples`: at least 2.
    pub fn push(&mut self, frame: usize, recorded: f32, mut samples: Vec<f32>, naive: f32) {
        samples.sort_by(f32::total_cmp);
        let count = samples.len() as f64;
        let mean = samples.iter().map(|&s| f64::from(s)).sum::<f64>() / count;
        let squares: f64 = samples.iter().map(|&s| (f64::from(s) - mean).powi(2)).sum();
        let outside = rank(samples.len()) - 1;
        self.frames.push(frame);
        self.recorded.push(recorded);
        self.mean.push(mean as f32);
        self.std.push((squares / (count - 1.0)).sqrt() as f32);
        self.low.push(samples[outside]);
        self.high.push(samples[samples.len() - 1 - outside]);
        self.naive.push(naive);
    }
}

/// The `i` of the central interval, see the top of this file.
fn rank(samples: usize) -> usize {
    let places = samples as f64 + 1.0;
    ((places * (1.0 - INTERVAL) / 2.0).round() as usize).max(1)
}

/// The share of recorded values inside the central interval that calibrated samples have.
pub fn inside_expected(samples: usize) -> f64 {
    1.0 - 2.0 * rank(samples) as f64 / (samples as f64 + 1.0)
}

/// The scores over all windows.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryScore {
    /// Windows with answers.
    pub windows: usize,
    /// Windows without any recorded value of the queried part.
    pub skipped: usize,
    /// Name of the naive answer that the answers are compared with.
    pub naive: &'static str,
    /// The queried channels, in the order of the layout.
    pub channels: Vec<ChannelScore>,
}

/// The score of one channel, in its unit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChannelScore {
    /// Index of the channel in a frame.
    pub channel: usize,
    /// Number of compared values.
    pub count: usize,
    squares: f64,
    naive_squares: f64,
    variances: f64,
    inside: usize,
}

impl ChannelScore {
    /// A score without values.
    pub fn new(channel: usize) -> Self {
        Self { channel, ..Self::default() }
    }

    /// Adds the answer of one window, made of so many `samples`.
    pub fn add(&mut self, result: &ChannelResult, samples: usize) {
        let square = |a: f32, b: f32| (f64::from(a) - f64::from(b)).powi(2);
        for (i, &recorded) in result.recorded.iter().enumerate() {
            self.count += 1;
            self.squares += square(result.mean[i], recorded);
            self.naive_squares += square(result.naive[i], recorded);
            self.variances += f64::from(result.std[i]).powi(2) * (1.0 + 1.0 / samples as f64);
            self.inside += usize::from((result.low[i]..=result.high[i]).contains(&recorded));
        }
    }

    /// Root mean square error of the means of the samples.
    pub fn rmse(&self) -> f64 {
        (self.squares / self.count.max(1) as f64).sqrt()
    }

    /// Root mean square error of the naive answers, over the same values.
    pub fn naive_rmse(&self) -> f64 {
        (self.naive_squares / self.count.max(1) as f64).sqrt()
    }

    /// Share of the recorded values inside the central interval; compare with [`inside_expected`].
    pub fn inside(&self) -> f64 {
        self.inside as f64 / self.count.max(1) as f64
    }

    /// Root of expected over actual squared error, see the top of this file.
    pub fn spread_over_error(&self) -> f64 {
        (self.variances / self.squares.max(f64::MIN_POSITIVE)).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn scores_match_values_computed_by_hand() {
        let mut result = ChannelResult::new("x");
        // Mean 3, squares 4 + 1 + 1 + 4 = 10, variance 10 / 3; the recorded value lies outside.
        result.push(5, 7.0, vec![5.0, 1.0, 4.0, 2.0], 5.0);
        // Mean 1, variance 4 / 3; the recorded value is the lowest sample: inside, ends count.
        result.push(6, 0.0, vec![0.0, 0.0, 2.0, 2.0], 1.0);
        assert_eq!((&result.frames, &result.mean), (&vec![5, 6], &vec![3.0, 1.0]));
        assert_eq!((&result.low, &result.high), (&vec![1.0, 0.0], &vec![5.0, 2.0]));
        let mut score = ChannelScore::new(0);
        score.add(&result, 4);
        assert_eq!(score.count, 2);
        // Errors -4 and 1: 17 / 2. Naive: -2 and 1: 5 / 2.
        assert!((score.rmse() - 8.5f64.sqrt()).abs() < 1e-6 && (score.naive_rmse() - 2.5f64.sqrt()).abs() < 1e-6);
        assert_eq!(score.inside(), 0.5);
        // Variances 10 / 3 + 4 / 3, times 5 / 4, over 17.
        assert!((score.spread_over_error() - (14.0 / 3.0 * 1.25 / 17.0f64).sqrt()).abs() < 1e-6);
    }

    #[test]
    fn the_central_interval_leaves_out_the_share_nearest_to_a_fifth() {
        // 2 of 9 places lie outside of 8 samples; 2 of 10 of 9; 4 of 20 of 19, the second lowest to the second highest.
        assert_eq!([2, 8, 9, 19].map(rank), [1, 1, 1, 2]);
        assert!((inside_expected(8) - 7.0 / 9.0).abs() < 1e-12);
        assert!((inside_expected(9) - 0.8).abs() < 1e-12 && (inside_expected(19) - 0.8).abs() < 1e-12);
        let mut result = ChannelResult::new("x");
        result.push(0, 0.0, (0..19).map(|s| s as f32).collect(), 0.0);
        assert_eq!((result.low[0], result.high[0]), (1.0, 17.0));
    }

    #[test]
    fn calibrated_samples_score_as_expected_and_overconfident_ones_do_not() {
        const VALUES: usize = 20_000;
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for samples in [4, 8, 19] {
            let mut score = |shrink: f32| {
                // Skewed: the square of a uniform number.
                let mut draw = || rng.random::<f32>().powi(2);
                let mut result = ChannelResult::new("x");
                for k in 0..VALUES {
                    // The mean of the square is 1 / 3.
                    let of_samples = (0..samples).map(|_| 1.0 / 3.0 + shrink * (draw() - 1.0 / 3.0)).collect();
                    result.push(k, draw(), of_samples, 0.0);
                }
                let mut score = ChannelScore::new(0);
                score.add(&result, samples);
                score
            };
            let (calibrated, overconfident) = (score(1.0), score(0.5));
            // Standard deviation of the share at 20,000 values: at most 0.0035. Five of them are allowed.
            assert!(
                (calibrated.inside() - inside_expected(samples)).abs() < 0.018,
                "{samples}: {}",
                calibrated.inside()
            );
            assert!(
                (calibrated.spread_over_error() - 1.0).abs() < 0.03,
                "{samples}: {}",
                calibrated.spread_over_error()
            );
            assert!(
                overconfident.inside() < inside_expected(samples) - 0.1 && overconfident.spread_over_error() < 0.65
            );
        }
    }
}
