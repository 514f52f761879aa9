//! A network as a [`Denoiser`] on a Burn device, with host buffers as input and output.
//!
//! [`Preconditioning`] maps the noisy tokens to the network's input and its prediction to clean tokens (c_in, c_skip,
//! c_out of Karras et al. 2022, "Elucidating the design space of diffusion-based generative models", table 1).

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use df_diffusion::{Denoiser, DenoiserError, Levels, Objective, Tokens};
use df_engine::preconditioning::{Preconditioning, finite};
use df_engine::{CheckpointDescription, ConditioningFeatures};

use crate::AnyNetwork;

/// A network with the preconditioning of its objective.
pub struct BurnDenoiser {
    network: AnyNetwork,
    /// The same network on the autodiff device. Only the input has gradients; the weights are constants.
    differentiable: AnyNetwork,
    device: Device,
    features: ConditioningFeatures,
    objective: Objective,
    max_tokens: usize,
}

impl BurnDenoiser {
    /// The denoiser of a checkpoint. `network` must be on `device`, without autodiff.
    pub fn new(network: AnyNetwork, device: &Device, description: &CheckpointDescription) -> Self {
        let (features, objective) = (description.conditioning_features(), description.objective());
        Self::with_features(network, device, features, objective, description.network.tokens)
    }

    /// The denoiser of a network without a checkpoint, for sequences of at most `max_tokens` tokens.
    pub fn with_features(
        network: AnyNetwork,
        device: &Device,
        features: ConditioningFeatures,
        objective: Objective,
        max_tokens: usize,
    ) -> Self {
        let differentiable = network.clone().to_device(&device.clone().autodiff()).no_grad();
        Self { network, differentiable, device: device.clone(), features, objective, max_tokens }
    }

    fn check(&self, x: &Tokens) -> Result<(), DenoiserError> {
        if x.tokens > self.max_tokens {
            return Err(DenoiserError::TooLong { tokens: x.tokens, max: self.max_tokens });
        }
        Ok(())
    }

    fn preconditioning(&self, levels: &Levels, network_levels: Option<&Levels>) -> Preconditioning {
        let ConditioningFeatures { spec, schedule, .. } = &self.features;
        Preconditioning::new(spec, *schedule, self.objective, levels, network_levels)
    }
}

impl Denoiser for BurnDenoiser {
    fn max_tokens(&self) -> Option<usize> {
        Some(self.max_tokens)
    }

    fn denoise(&mut self, x: &Tokens, levels: &Levels) -> Result<Tokens, DenoiserError> {
        self.check(x)?;
        let network_levels = self.network.network_levels(levels);
        let preconditioning = self.preconditioning(levels, network_levels.as_ref());
        let features =
            self.network.features(&self.features, x, network_levels.as_ref().unwrap_or(levels), &self.device);
        let input = tensor(preconditioning.network_input(x).into_owned(), x, &self.device);
        let prediction = host(self.network.forward(input, features))?;
        finite(preconditioning.clean(x, &prediction))
    }

    fn denoise_with_gradient(
        &mut self,
        x: &Tokens,
        levels: &Levels,
        cotangent: &mut dyn FnMut(&Tokens) -> Tokens,
    ) -> Result<(Tokens, Tokens), DenoiserError> {
        self.check(x)?;
        let network_levels = self.network.network_levels(levels);
        let preconditioning = self.preconditioning(levels, network_levels.as_ref());
        let device = self.device.clone().autodiff();
        let of_levels = network_levels.as_ref().unwrap_or(levels);
        let features = self.differentiable.features(&self.features, x, of_levels, &device);
        let input = tensor(preconditioning.network_input(x).into_owned(), x, &device).require_grad();
        let prediction = self.differentiable.forward(input.clone(), features);
        let clean = preconditioning.clean(x, &host(prediction.clone().inner())?);
        let clean_cotangent = cotangent(&clean).data;
        let of_prediction = preconditioning.prediction_cotangent(&clean_cotangent);
        let gradients = (prediction * tensor(of_prediction, x, &device)).sum().backward();
        let missing = || DenoiserError::Backend("no gradient was recorded".into());
        let network_gradient = host(input.grad(&gradients).ok_or_else(missing)?)?;
        let gradient = preconditioning.input_gradient(network_gradient, &clean_cotangent);
        Ok((finite(clean)?, finite(Tokens { data: gradient, ..*x })?))
    }
}

fn tensor(values: Vec<f32>, like: &Tokens, device: &Device) -> Tensor<3> {
    Tensor::from_data(TensorData::new(values, [like.batch, like.tokens, like.channels]), device)
}

fn host(tensor: Tensor<3>) -> Result<Vec<f32>, DenoiserError> {
    tensor.into_data().try_to_vec::<f32>().map_err(|e| DenoiserError::Backend(format!("{e:?}")))
}

#[cfg(test)]
pub(crate) mod tests {
    use burn::module::{ModuleMapper, Param};
    use df_diffusion::{NoiseSchedule, NoiseScheduleKind, ObjectiveKind, TokenSpec};
    use df_engine::{CpuDenoiser, CpuNetwork, NetworkConfig};

    use super::*;
    use crate::Engine;
    use crate::native_network::{InitNetwork, named_tensors};

    /// Fills all weights with a fixed sequence. The initial output layer is zero, so the prediction would be zero.
    pub(crate) struct Fill(pub f32);
    impl ModuleMapper for Fill {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|t| {
                let shape = t.dims();
                let mut next = || {
                    self.0 += 1.0;
                    0.25 * (self.0 * self.0 * 0.37).sin()
                };
                let values = (0..shape.iter().product()).map(|_| next()).collect();
                Tensor::from_data(TensorData::new(values, shape), &t.device())
            })
        }
    }

    fn denoiser(engine: &Engine, condition_on_clean_values: bool) -> (Box<dyn Denoiser>, Tokens, Levels) {
        // Tests run in parallel and share Burn's random generator. So the weights come from a fixed sequence.
        let device = Device::flex();
        let spec = TokenSpec::new(&[0, 1, 1], 2);
        let config = NetworkConfig {
            condition_on_clean_values,
            ..NetworkConfig::new(16, 2, 2, spec.channels(), spec.noise_groups(), 5)
        };
        let network = config.init(&device).map(&mut Fill(0.0));
        let x = Tokens { batch: 2, tokens: 4, channels: 6, data: (0..48).map(|i| (i as f32 * 0.7).sin()).collect() };
        let mut levels = Levels::filled(2, 4, 4, 0.4);
        levels.data[..8].fill(0.0);
        levels.data[8..12].fill(1.0);
        let schedule = NoiseSchedule(NoiseScheduleKind::Cosine);
        let (features, objective) =
            (ConditioningFeatures { spec, schedule, condition_on_clean_values }, Objective(ObjectiveKind::V));
        let denoiser: Box<dyn Denoiser> = match engine {
            Engine::Native => {
                let network = CpuNetwork::new(&named_tensors(&network), &config).unwrap();
                Box::new(CpuDenoiser::new(network, features, objective))
            }
            Engine::Burn(_) => Box::new(BurnDenoiser::with_features(network.into(), &device, features, objective, 5)),
        };
        (denoiser, x, levels)
    }

    #[test]
    fn values_at_level_0_are_returned_unchanged() {
        let (mut denoiser, x, levels) = denoiser(&Engine::Burn(Device::flex()), true);
        let clean = denoiser.denoise(&x, &levels).unwrap();
        assert_eq!(clean.data[..12], x.data[..12]);
        assert_ne!(clean.data[12..], x.data[12..]);
    }

    #[test]
    fn the_native_engine_and_burn_give_equal_results() {
        for condition_on_clean_values in [false, true] {
            engines_agree(condition_on_clean_values);
        }
    }

    fn engines_agree(condition_on_clean_values: bool) {
        let (mut native, x, levels) = denoiser(&Engine::Native, condition_on_clean_values);
        let (mut burn, ..) = denoiser(&Engine::Burn(Device::flex()), condition_on_clean_values);
        let cotangent = Tokens { data: (0..48).map(|i| (i as f32 * 1.3).cos()).collect(), ..x.clone() };
        let (clean, gradient) = native.denoise_with_gradient(&x, &levels, &mut |_| cotangent.clone()).unwrap();
        let (clean_burn, gradient_burn) = burn.denoise_with_gradient(&x, &levels, &mut |_| cotangent.clone()).unwrap();
        for (a, b) in
            [(&clean, &clean_burn), (&gradient, &gradient_burn), (&native.denoise(&x, &levels).unwrap(), &clean)]
        {
            let size = a.data.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            assert!(a.data.iter().zip(&b.data).all(|(a, b)| (a - b).abs() < 1e-5 * size), "{a:?}\n{b:?}");
        }
    }

    #[test]
    fn the_gradient_equals_a_finite_difference() {
        // Values 0 to 11 are at level 0.
        finite_difference(false, &[0, 5, 13, 20, 30, 47]);
        finite_difference(true, &[13, 20, 30, 47]);
    }

    fn finite_difference(condition_on_clean_values: bool, places: &[usize]) {
        let (mut denoiser, x, levels) = denoiser(&Engine::Burn(Device::flex()), condition_on_clean_values);
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
        for &i in places {
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
        let (mut denoiser, ..) = denoiser(&Engine::Burn(Device::flex()), false);
        let error = denoiser.denoise(&Tokens::zeros(1, 6, 6), &Levels::filled(1, 6, 4, 1.0)).unwrap_err();
        assert_eq!(error, DenoiserError::TooLong { tokens: 6, max: 5 });
    }
}
