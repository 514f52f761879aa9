//! Units to normalised channels and back: one mean and one deviation per channel of a frame, fitted on training data.

use serde::{Deserialize, Serialize};

use super::Layout;

/// `normalised = (value - mean) / deviation`, per channel of a frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normaliser {
    pub mean: Vec<f32>,
    /// Never 0: a constant channel gets 1.
    pub deviation: Vec<f32>,
}

impl Normaliser {
    /// Fits mean and deviation to frames (`[frame][channel]`, a byte per frame and modality, 0 where missing), in one pass.
    ///
    /// Missing values are left out. A channel that was never present or never varies gets deviation 1.
    pub fn fit<'a>(layout: &Layout, frames: impl Iterator<Item = (&'a [f32], &'a [u8])>) -> Self {
        let modality_of = layout.modality_of_channel();
        let channels = layout.frame_channels();
        // Welford's running mean and sum of squares, in f64: no loss of digits over millions of frames.
        let (mut count, mut mean, mut squares) = (vec![0u64; channels], vec![0f64; channels], vec![0f64; channels]);
        for (values, present) in frames {
            for c in (0..channels).filter(|&c| present[modality_of[c]] != 0) {
                count[c] += 1;
                let delta = f64::from(values[c]) - mean[c];
                mean[c] += delta / count[c] as f64;
                squares[c] += delta * (f64::from(values[c]) - mean[c]);
            }
        }
        let deviation = |c: usize| {
            let deviation = (squares[c] / count[c].max(1) as f64).sqrt();
            // Below this share of the mean a spread is rounding of f32, not signal.
            if deviation > 1e-6 * mean[c].abs().max(1.0) { deviation as f32 } else { 1.0 }
        };
        Self { deviation: (0..channels).map(deviation).collect(), mean: mean.iter().map(|&m| m as f32).collect() }
    }

    /// One value of channel `c` of a frame, normalised.
    pub fn apply(&self, c: usize, value: f32) -> f32 {
        (value - self.mean[c]) / self.deviation[c]
    }

    /// One normalised value of channel `c` of a frame, in units.
    pub fn invert(&self, c: usize, normalised: f32) -> f32 {
        normalised * self.deviation[c] + self.mean[c]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fits_present_values_only_and_inverts() {
        let layout = Layout::new(1, [("action".into(), vec!["a".into()]), ("pose".into(), vec!["x".into()])]);
        let frames: Vec<(Vec<f32>, Vec<u8>)> =
            vec![(vec![1.0, 5.0], vec![1, 1]), (vec![3.0, 5.0], vec![1, 1]), (vec![99.0, 5.0], vec![0, 1])];
        let normaliser = Normaliser::fit(&layout, frames.iter().map(|(v, p)| (v.as_slice(), p.as_slice())));
        // Channel a: 1 and 3, mean 2, deviation 1; the missing 99 does not count. Channel x is constant: deviation 1.
        assert_eq!((normaliser.mean.as_slice(), normaliser.deviation.as_slice()), (&[2.0, 5.0][..], &[1.0, 1.0][..]));
        assert_eq!(normaliser.invert(0, normaliser.apply(0, 2.7)), 2.7);
    }
}
