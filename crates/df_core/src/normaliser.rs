//! Normalisation of channels: mean, standard deviation and noise scale per channel of a frame, fitted on training data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::layout::Layout;

/// `normalised = (value - mean) / noise_scale`, per channel of a frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct Normaliser {
    /// Mean of the data, `[channel]`, in the units of the contract.
    pub mean: Vec<f32>,
    /// Standard deviation of the data, `[channel]`. A constant channel has 1.
    pub std: Vec<f32>,
    /// Standard deviation of unit noise, `[channel]`, in the units of the contract. That of the data, unless
    /// [`Normaliser::scaled`] sets it.
    pub noise_scale: Vec<f32>,
}

/// The stored form. Old checkpoints have no `noise_scale`.
#[derive(Deserialize)]
struct Stored {
    mean: Vec<f32>,
    #[serde(alias = "deviation")]
    std: Vec<f32>,
    noise_scale: Option<Vec<f32>>,
}

impl From<Stored> for Normaliser {
    fn from(Stored { mean, std, noise_scale }: Stored) -> Self {
        let noise_scale = noise_scale.unwrap_or_else(|| std.clone());
        Self { mean, std, noise_scale }
    }
}

impl Normaliser {
    /// A normaliser from the mean and standard deviation of each channel. The noise scale is the standard deviation.
    pub fn new(mean: Vec<f32>, std: Vec<f32>) -> Self {
        Self { mean, noise_scale: std.clone(), std }
    }

    /// Sets the noise scale of whole modalities by name, in the units of the contract.
    pub fn scaled(mut self, layout: &Layout, noise_scale: &BTreeMap<String, f64>) -> Self {
        for modality in &layout.modalities {
            if let Some(&scale) = noise_scale.get(&modality.name) {
                self.noise_scale[modality.channels.clone()].fill(scale as f32);
            }
        }
        self
    }

    /// True if the noise scale of a channel differs from its standard deviation.
    pub fn is_scaled(&self) -> bool {
        self.noise_scale != self.std
    }

    /// Fits mean and standard deviation to frames in one pass. `frames`: values `[channel]`, and one byte per modality,
    /// 0 where it is missing.
    ///
    /// Missing values are left out. A channel that is never present or never varies gets a standard deviation of 1.
    pub fn fit<'a>(layout: &Layout, frames: impl Iterator<Item = (&'a [f32], &'a [u8])>) -> Self {
        let modality_of = layout.modality_of_channel();
        let channels = layout.frame_channels();
        // Welford's running mean and sum of squares in f64 lose no digits over millions of frames.
        let (mut count, mut mean, mut squares) = (vec![0u64; channels], vec![0f64; channels], vec![0f64; channels]);
        for (values, present) in frames {
            for c in (0..channels).filter(|&c| present[modality_of[c]] != 0) {
                count[c] += 1;
                let delta = f64::from(values[c]) - mean[c];
                mean[c] += delta / count[c] as f64;
                squares[c] += delta * (f64::from(values[c]) - mean[c]);
            }
        }
        let std = |c: usize| {
            let std = (squares[c] / count[c].max(1) as f64).sqrt();
            // Below this fraction of the mean, the standard deviation is rounding of f32.
            if std > 1e-6 * mean[c].abs().max(1.0) { std as f32 } else { 1.0 }
        };
        Self::new(mean.iter().map(|&m| m as f32).collect(), (0..channels).map(std).collect())
    }

    /// Normalises one value of channel `c` of a frame.
    pub fn apply(&self, c: usize, value: f32) -> f32 {
        (value - self.mean[c]) / self.noise_scale[c]
    }

    /// The value of channel `c` of a frame, in its unit, from the normalised one.
    pub fn invert(&self, c: usize, normalised: f32) -> f32 {
        normalised * self.noise_scale[c] + self.mean[c]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fit_uses_present_values_only_and_invert_undoes_apply() {
        let layout = Layout::new(1, [("action".into(), vec!["a".into()]), ("pose".into(), vec!["x".into()])]);
        let frames: Vec<(Vec<f32>, Vec<u8>)> =
            vec![(vec![1.0, 5.0], vec![1, 1]), (vec![3.0, 5.0], vec![1, 1]), (vec![99.0, 5.0], vec![0, 1])];
        let normaliser = Normaliser::fit(&layout, frames.iter().map(|(v, p)| (v.as_slice(), p.as_slice())));
        // Channel a: 1 and 3, mean 2, standard deviation 1; the missing 99 does not count. Channel x is constant: standard deviation 1.
        assert_eq!((normaliser.mean.as_slice(), normaliser.std.as_slice()), (&[2.0, 5.0][..], &[1.0, 1.0][..]));
        assert_eq!(normaliser.invert(0, normaliser.apply(0, 2.7)), 2.7);
        // Noise of 4 units on x: 2 units are half of it; a is as it was.
        let scaled = normaliser.clone().scaled(&layout, &[("pose".to_string(), 4.0)].into());
        assert_eq!((scaled.apply(1, 7.0), scaled.invert(1, 0.5), scaled.apply(0, 3.0)), (0.5, 7.0, 1.0));
        assert!(scaled.is_scaled() && !normaliser.is_scaled() && scaled.std == normaliser.std);
    }

    #[test]
    fn a_stored_normaliser_without_noise_scale_uses_the_standard_deviation() {
        let before = r#"{"mean": [0, 1], "deviation": [2, 3]}"#;
        assert_eq!(
            serde_json::from_str::<Normaliser>(before).unwrap(),
            Normaliser::new(vec![0.0, 1.0], vec![2.0, 3.0])
        );
        let scaled = Normaliser { noise_scale: vec![2.0, 0.5], ..Normaliser::new(vec![0.0, 1.0], vec![2.0, 3.0]) };
        let text = serde_json::to_string(&scaled).unwrap();
        assert_eq!(serde_json::from_str::<Normaliser>(&text).unwrap(), scaled);
    }
}
