//! The denoising error by noise level. The loss alone does not show whether a network fails at high levels only.

use df_diffusion::TokenSpec;
use serde::{Deserialize, Serialize};

use crate::batch::Batch;

const BANDS: usize = 5;

/// The error over the values whose noise level lies in one range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Band {
    /// The lower end of the range, exclusive. So values at level 0 are in no band.
    pub from: f64,
    /// The upper end of the range, inclusive.
    pub to: f64,
    /// The unweighted mean squared error of the prediction, normalised units. `None` without such a value.
    pub error: Option<f64>,
}

/// Accumulates the error of batches: sum and count per band.
#[derive(Default)]
pub(super) struct Bands([(f64, u64); BANDS]);

impl Bands {
    /// Adds a batch. `prediction` is `[batch, token, channel]`, as the batch's target.
    pub(super) fn add(&mut self, batch: &Batch, prediction: &[f32], spec: &TokenSpec) {
        let channels = batch.target.channels;
        for (i, (p, t)) in prediction.iter().zip(&batch.target.data).enumerate() {
            let (token, channel) = (i / channels, i % channels);
            let noise_group = spec.noise_group_of_channel[channel];
            let level = batch.levels.data[token * batch.levels.noise_groups + noise_group];
            // Values at level 0 are inputs. Missing values have no weight and no target.
            if level > 0.0 && batch.weight.data[i] > 0.0 {
                let band = ((level * BANDS as f32).ceil() as usize).clamp(1, BANDS) - 1;
                self.0[band].0 += f64::from(p - t).powi(2);
                self.0[band].1 += 1;
            }
        }
    }

    /// The mean per band.
    pub(super) fn finish(&self) -> Vec<Band> {
        let edge = |band: usize| band as f64 / BANDS as f64;
        let band = |(i, (sum, count)): (usize, &(f64, u64))| Band {
            from: edge(i),
            to: edge(i + 1),
            error: (*count > 0).then(|| sum / *count as f64),
        };
        self.0.iter().enumerate().map(band).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use df_diffusion::{Levels, Tokens};

    #[test]
    fn an_error_counts_in_the_band_of_its_noise_level() {
        // One token of two frames; an action of one channel and a pose of two: noise groups action, pose, action, pose.
        let spec = TokenSpec::new(&[0, 1, 1], 2);
        let tokens = |data: Vec<f32>| Tokens { batch: 1, tokens: 1, channels: 6, data };
        let batch = Batch {
            noisy: tokens(vec![0.0; 6]),
            levels: Levels { batch: 1, tokens: 1, noise_groups: 4, data: vec![0.0, 0.2, 0.21, 1.0] },
            target: tokens(vec![9.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
            // The last channel is missing.
            weight: tokens(vec![1.0, 1.0, 1.0, 1.0, 1.0, 0.0]),
            total_weight: 5.0,
        };
        let mut bands = Bands::default();
        bands.add(&batch, &[0.0; 6], &spec);
        let errors: Vec<Option<f64>> = bands.finish().iter().map(|band| band.error).collect();
        // Level 0 is in no band; 0.2 belongs to the first, with 1 and 2 squared; 0.21 to the second; 1 to the last,
        // with 4 squared.
        assert_eq!(errors, [Some(2.5), Some(9.0), None, None, Some(16.0)]);
        assert_eq!((bands.finish()[1].from, bands.finish()[1].to), (0.2, 0.4));
    }
}
