//! A trained network as a [`Denoiser`]: host buffers in, host buffers out, on any backend.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use super::{Network, level_features};
use crate::diffusion::{Denoiser, DenoiserError, Levels, NoiseSchedule, Objective, TokenSpec, Tokens};

/// The network with all that turns its prediction into clean tokens.
pub struct NetworkDenoiser {
    network: Network,
    /// The same weights where gradients with respect to the input are recorded; the weights themselves are constants.
    differentiable: Network,
    device: Device,
    spec: TokenSpec,
    schedule: NoiseSchedule,
    objective: Objective,
    most_tokens: usize,
}

impl NetworkDenoiser {
    /// `network` lies on `device` (without autodiff).
    pub fn new(
        network: Network,
        device: Device,
        spec: TokenSpec,
        schedule: NoiseSchedule,
        objective: Objective,
        most_tokens: usize,
    ) -> Self {
        let differentiable = network.clone().to_device(&device.clone().autodiff()).no_grad();
        Self { network, differentiable, device, spec, schedule, objective, most_tokens }
    }

    fn check(&self, x: &Tokens) -> Result<(), DenoiserError> {
        if x.tokens > self.most_tokens {
            return Err(DenoiserError::TooLong { tokens: x.tokens, most: self.most_tokens });
        }
        Ok(())
    }

    /// Per value: the clean value is `a x + b prediction`.
    fn coefficients(&self, x: &Tokens, levels: &Levels) -> (Vec<f32>, Vec<f32>) {
        let (mut on_x, mut on_prediction) = (Vec::with_capacity(x.data.len()), Vec::with_capacity(x.data.len()));
        let mut of_slot = vec![(0.0, 0.0); levels.slots];
        let mut memo = (f32::NAN, (0.0, 0.0));
        for token_levels in levels.data.chunks(levels.slots) {
            for (slot, &level) in token_levels.iter().enumerate() {
                if memo.0 != level {
                    let (alpha, sigma) = self.schedule.alpha_sigma(level);
                    // A known value is its own clean value, whatever the network says.
                    let known = (1.0, 0.0);
                    memo = (level, if level <= 0.0 { known } else { self.objective.x0_coefficients(alpha, sigma) });
                }
                of_slot[slot] = memo.1;
            }
            for &slot in &self.spec.slot_of_channel {
                on_x.push(of_slot[slot].0);
                on_prediction.push(of_slot[slot].1);
            }
        }
        (on_x, on_prediction)
    }
}

fn tensor(values: Vec<f32>, like: &Tokens, device: &Device) -> Tensor<3> {
    Tensor::from_data(TensorData::new(values, [like.batch, like.tokens, like.channels]), device)
}

fn host(tensor: Tensor<3>, like: &Tokens) -> Result<Tokens, DenoiserError> {
    let data = tensor.into_data().try_to_vec::<f32>().map_err(|e| DenoiserError::Backend(format!("{e:?}")))?;
    if !data.iter().all(|v| v.is_finite()) {
        return Err(DenoiserError::NotFinite);
    }
    Ok(Tokens { data, ..*like })
}

impl Denoiser for NetworkDenoiser {
    fn denoise(&mut self, x: &Tokens, levels: &Levels) -> Result<Tokens, DenoiserError> {
        self.check(x)?;
        let features = level_features(levels, self.schedule, &self.device);
        let prediction = host(self.network.forward(tensor(x.data.clone(), x, &self.device), features), x)?;
        let (on_x, on_prediction) = self.coefficients(x, levels);
        let mut clean = prediction;
        for (i, value) in clean.data.iter_mut().enumerate() {
            *value = on_x[i] * x.data[i] + on_prediction[i] * *value;
        }
        Ok(clean)
    }

    fn denoise_with_gradient(
        &mut self,
        x: &Tokens,
        levels: &Levels,
        cotangent: &mut dyn FnMut(&Tokens) -> Tokens,
    ) -> Result<(Tokens, Tokens), DenoiserError> {
        self.check(x)?;
        let device = self.device.clone().autodiff();
        let features = level_features(levels, self.schedule, &device);
        let input = tensor(x.data.clone(), x, &device).require_grad();
        let (on_x, on_prediction) = self.coefficients(x, levels);
        let prediction = self.differentiable.forward(input.clone(), features);
        let clean = tensor(on_x, x, &device) * input.clone() + tensor(on_prediction, x, &device) * prediction;
        let clean_host = host(clean.clone().inner(), x)?;
        let cotangent = cotangent(&clean_host);
        let gradients = (clean * tensor(cotangent.data, x, &device)).sum().backward();
        let gradient =
            input.grad(&gradients).ok_or_else(|| DenoiserError::Backend("no gradient was recorded".into()))?;
        Ok((clean_host, host(gradient, x)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{NoiseScheduleKind, ObjectiveKind};
    use crate::model::NetworkConfig;
    use burn::module::{ModuleMapper, Param};
    use burn::tensor::Distribution;

    /// Random weights everywhere, the output layer too: else the prediction is zero.
    struct Randomise;
    impl ModuleMapper for Randomise {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|t| t.random_like(Distribution::Normal(0.0, 0.15)))
        }
    }

    fn denoiser() -> (NetworkDenoiser, Tokens, Levels) {
        let device = Device::flex();
        device.seed(7);
        let spec = TokenSpec::new(&[0, 1, 1], 2);
        let config = NetworkConfig::new(16, 2, 2, spec.channels(), spec.slots(), 5);
        let network = config.init(&device).map(&mut Randomise);
        let x = Tokens { batch: 2, tokens: 4, channels: 6, data: (0..48).map(|i| (i as f32 * 0.7).sin()).collect() };
        let mut levels = Levels::filled(2, 4, 4, 0.4);
        levels.data[..8].fill(0.0);
        levels.data[8..12].fill(1.0);
        let schedule = NoiseSchedule(NoiseScheduleKind::Cosine);
        (NetworkDenoiser::new(network, device, spec, schedule, Objective(ObjectiveKind::V), 5), x, levels)
    }

    #[test]
    fn known_values_are_their_own_clean_values() {
        let (mut denoiser, x, levels) = denoiser();
        let clean = denoiser.denoise(&x, &levels).unwrap();
        assert_eq!(clean.data[..12], x.data[..12]);
        assert_ne!(clean.data[12..], x.data[12..]);
    }

    #[test]
    fn the_gradient_is_that_of_a_finite_difference() {
        let (mut denoiser, x, levels) = denoiser();
        // The scalar: sum of weights * clean.
        let weights: Vec<f32> = (0..48).map(|i| (i as f32 * 1.3).cos()).collect();
        let cotangent = Tokens { data: weights.clone(), ..x.clone() };
        let (clean, gradient) = denoiser.denoise_with_gradient(&x, &levels, &mut |_| cotangent.clone()).unwrap();
        let plain = denoiser.denoise(&x, &levels).unwrap();
        assert!(clean.data.iter().zip(&plain.data).all(|(a, b)| (a - b).abs() < 1e-4));
        let mut scalar = |x: &Tokens| -> f64 {
            let clean = denoiser.denoise(x, &levels).unwrap();
            clean.data.iter().zip(&weights).map(|(c, w)| f64::from(c * w)).sum()
        };
        for i in [0, 5, 13, 20, 30, 47] {
            let step = 1e-2;
            let moved = |by: f32| {
                let mut x = x.clone();
                x.data[i] += by;
                x
            };
            let difference = (scalar(&moved(step)) - scalar(&moved(-step))) / (2.0 * f64::from(step));
            assert!(
                (difference - f64::from(gradient.data[i])).abs() < 2e-2 * difference.abs().max(1.0),
                "value {i}: {difference} by difference, {} by the network",
                gradient.data[i]
            );
        }
    }

    #[test]
    fn a_sequence_longer_than_the_network_is_refused() {
        let (mut denoiser, ..) = denoiser();
        let error = denoiser.denoise(&Tokens::zeros(1, 6, 6), &Levels::filled(1, 6, 4, 1.0)).unwrap_err();
        assert_eq!(error, DenoiserError::TooLong { tokens: 6, most: 5 });
    }
}
