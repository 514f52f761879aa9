//! How good answers are: error of their mean, error of a naive answer, and whether their spread is honest.
//!
//! **Inside.** If the recorded value is drawn from the same distribution as `n` samples, its rank among them is uniform on
//! `n + 1` places, so it lies between the i-th lowest and the i-th highest sample with probability `(n + 1 - 2 i) / (n + 1)`,
//! whatever the distribution. `i` is the number that brings this nearest to 80 %: with 8 samples `i = 1` and 78 %, with 9
//! exactly 80 %.
//!
//! **Spread over error.** The squared error of the mean of `n` samples is then expected to be their variance times `1 + 1 / n`; the
//! root of the ratio is 1 for honest answers, less where they are too sure of themselves.

use serde::Serialize;

/// The central interval that is looked at.
const INTERVAL: f64 = 0.8;

/// The answers to one window; what is written to the output.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answers {
    pub episode: usize,
    /// The tick of the window's first frame, nanoseconds.
    pub tick_ns: i64,
    /// The channels that were asked for.
    pub channels: Vec<Answer>,
}

/// One channel of a window, in its unit: one entry for each value that was asked for and recorded.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Answer {
    /// Label of the channel.
    pub channel: String,
    /// The frames of the window that the entries are for.
    pub frames: Vec<usize>,
    pub recorded: Vec<f32>,
    /// Of the samples.
    pub mean: Vec<f32>,
    /// Standard deviation of the samples.
    pub std: Vec<f32>,
    /// The ends of the central interval.
    pub low: Vec<f32>,
    pub high: Vec<f32>,
    pub naive: Vec<f32>,
}

impl Answer {
    pub fn new(channel: &str) -> Self {
        Self { channel: channel.into(), ..Self::default() }
    }

    /// Adds a frame; `samples`: at least 2.
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

/// The number `i` of the module's text.
fn rank(samples: usize) -> usize {
    let places = samples as f64 + 1.0;
    ((places * (1.0 - INTERVAL) / 2.0).round() as usize).max(1)
}

/// The share of recorded values inside the interval that is expected of honest samples.
pub fn inside_expected(samples: usize) -> f64 {
    1.0 - 2.0 * rank(samples) as f64 / (samples as f64 + 1.0)
}

/// The sums over all windows.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    pub windows: usize,
    /// Windows in which nothing that is asked was recorded.
    pub skipped: usize,
    /// What the answers are compared with: the name of the naive answer.
    pub naive: &'static str,
    /// The channels that were asked for, in the layout's order.
    pub channels: Vec<ChannelScore>,
}

/// One channel, in its unit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChannelScore {
    /// Its place in a frame.
    pub channel: usize,
    /// Values compared.
    pub count: usize,
    squares: f64,
    naive_squares: f64,
    variances: f64,
    inside: usize,
}

impl ChannelScore {
    pub fn new(channel: usize) -> Self {
        Self { channel, ..Self::default() }
    }

    pub fn add(&mut self, answer: &Answer, samples: usize) {
        let square = |a: f32, b: f32| (f64::from(a) - f64::from(b)).powi(2);
        for (i, &recorded) in answer.recorded.iter().enumerate() {
            self.count += 1;
            self.squares += square(answer.mean[i], recorded);
            self.naive_squares += square(answer.naive[i], recorded);
            self.variances += f64::from(answer.std[i]).powi(2) * (1.0 + 1.0 / samples as f64);
            self.inside += usize::from((answer.low[i]..=answer.high[i]).contains(&recorded));
        }
    }

    /// Of the mean of the samples.
    pub fn rmse(&self) -> f64 {
        (self.squares / self.count.max(1) as f64).sqrt()
    }

    /// Of the naive answer, over the same values.
    pub fn naive_rmse(&self) -> f64 {
        (self.naive_squares / self.count.max(1) as f64).sqrt()
    }

    /// Share of the recorded values inside the central interval; compare with [`inside_expected`].
    pub fn inside(&self) -> f64 {
        self.inside as f64 / self.count.max(1) as f64
    }

    /// The error that the spread of the samples promises over the one they have.
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
    fn sums_are_those_done_by_hand() {
        let mut answer = Answer::new("x");
        // Mean 3, squares 4 + 1 + 1 + 4 = 10, variance 10 / 3; the recorded value lies outside.
        answer.push(5, 7.0, vec![5.0, 1.0, 4.0, 2.0], 5.0);
        // Mean 1, variance 4 / 3; the recorded value is the lowest sample: inside, ends count.
        answer.push(6, 0.0, vec![0.0, 0.0, 2.0, 2.0], 1.0);
        assert_eq!((&answer.frames, &answer.mean), (&vec![5, 6], &vec![3.0, 1.0]));
        assert_eq!((&answer.low, &answer.high), (&vec![1.0, 0.0], &vec![5.0, 2.0]));
        let mut score = ChannelScore::new(0);
        score.add(&answer, 4);
        assert_eq!(score.count, 2);
        // Errors -4 and 1: 17 / 2. Naive: -2 and 1: 5 / 2.
        assert!((score.rmse() - 8.5f64.sqrt()).abs() < 1e-6 && (score.naive_rmse() - 2.5f64.sqrt()).abs() < 1e-6);
        assert_eq!(score.inside(), 0.5);
        // Variances 10 / 3 + 4 / 3, times 5 / 4, over 17.
        assert!((score.spread_over_error() - (14.0 / 3.0 * 1.25 / 17.0f64).sqrt()).abs() < 1e-6);
    }

    #[test]
    fn the_interval_leaves_out_as_many_as_come_nearest_to_a_fifth() {
        // 2 of 9 places lie outside of 8 samples; 2 of 10 of 9; 4 of 20 of 19, the second lowest to the second highest.
        assert_eq!([2, 8, 9, 19].map(rank), [1, 1, 1, 2]);
        assert!((inside_expected(8) - 7.0 / 9.0).abs() < 1e-12);
        assert!((inside_expected(9) - 0.8).abs() < 1e-12 && (inside_expected(19) - 0.8).abs() < 1e-12);
        let mut answer = Answer::new("x");
        answer.push(0, 0.0, (0..19).map(|s| s as f32).collect(), 0.0);
        assert_eq!((answer.low[0], answer.high[0]), (1.0, 17.0));
    }

    /// Honest samples of any shape have the promised share and ratio; samples with half the spread have neither.
    #[test]
    fn honest_samples_are_told_from_overconfident_ones() {
        const VALUES: usize = 20_000;
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for samples in [4, 8, 19] {
            let mut score = |shrink: f32| {
                // Skewed: the square of a uniform number.
                let mut draw = || rng.random::<f32>().powi(2);
                let mut answer = Answer::new("x");
                for k in 0..VALUES {
                    // The mean of the square is 1 / 3.
                    let of_samples = (0..samples).map(|_| 1.0 / 3.0 + shrink * (draw() - 1.0 / 3.0)).collect();
                    answer.push(k, draw(), of_samples, 0.0);
                }
                let mut score = ChannelScore::new(0);
                score.add(&answer, samples);
                score
            };
            let (honest, sure) = (score(1.0), score(0.5));
            // Deviation of the share at 20,000 values: at most 0.0035; five of them.
            assert!((honest.inside() - inside_expected(samples)).abs() < 0.018, "{samples}: {}", honest.inside());
            assert!((honest.spread_over_error() - 1.0).abs() < 0.03, "{samples}: {}", honest.spread_over_error());
            assert!(sure.inside() < inside_expected(samples) - 0.1 && sure.spread_over_error() < 0.65);
        }
    }
}
