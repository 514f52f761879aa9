//! A trained network as a [`Denoiser`]: host buffers in, host buffers out, on any backend.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use super::native::NativeNetwork;
use super::network::ConditioningFeatures;
use super::{AnyNetwork, Engine};
use df_diffusion::{Denoiser, DenoiserError, Levels, NoiseSchedule, Objective, TokenSpec, Tokens};

/// The network with all that turns its prediction into clean tokens.
pub struct NetworkDenoiser {
    evaluator: Evaluator,
    told: ConditioningFeatures,
    objective: Objective,
    max_tokens: usize,
}

// One per planner: the size of a variant does not matter.
#[expect(clippy::large_enum_variant)]
enum Evaluator {
    Native(NativeNetwork),
    Burn {
        network: AnyNetwork,
        /// The same weights where gradients with respect to the input are recorded; the weights themselves are constants.
        differentiable: AnyNetwork,
        device: Device,
    },
}

/// What stands between values and network: it is given `scale x`, and the clean value is `on_x x + on_prediction prediction`.
struct Around {
    scale: Vec<f32>,
    on_x: Vec<f32>,
    on_prediction: Vec<f32>,
    /// The levels that the network is told.
    told: Option<Levels>,
}

impl NetworkDenoiser {
    /// `network` lies on the engine's device (without autodiff). Our own evaluation knows our own network only: another
    /// is left to `flex`.
    pub fn new(
        network: impl Into<AnyNetwork>,
        engine: &Engine,
        spec: TokenSpec,
        schedule: NoiseSchedule,
        objective: Objective,
        max_tokens: usize,
    ) -> Self {
        let network = network.into();
        let told = ConditioningFeatures { spec, schedule, condition_on_clean_values: network.knows_values() };
        let evaluator = match (engine, network) {
            (Engine::Native, AnyNetwork::Own(network)) => Evaluator::Native(NativeNetwork::new(&network)),
            (engine, network) => {
                let device = engine.device();
                let differentiable = network.clone().to_device(&device.clone().autodiff()).no_grad();
                Evaluator::Burn { network, differentiable, device }
            }
        };
        Self { evaluator, told, objective, max_tokens }
    }

    fn check(&self, x: &Tokens) -> Result<(), DenoiserError> {
        if x.tokens > self.max_tokens {
            return Err(DenoiserError::TooLong { tokens: x.tokens, max: self.max_tokens });
        }
        Ok(())
    }

    fn around(&self, levels: &Levels) -> Around {
        let told = match &self.evaluator {
            Evaluator::Native(_) => None,
            Evaluator::Burn { network, .. } => network.told(levels),
        };
        let values = levels.batch * levels.tokens * self.told.spec.channels();
        let [mut scale, mut on_x, mut on_prediction] = [(); 3].map(|()| Vec::with_capacity(values));
        let mut of_noise_group = vec![[1.0, 0.0, 0.0]; levels.noise_groups];
        let mut memo = ((f32::NAN, f32::NAN), [1.0, 0.0, 0.0]);
        let told_data = told.as_ref().map_or(&levels.data, |told| &told.data);
        for (levels, told) in levels.data.chunks(levels.noise_groups).zip(told_data.chunks(levels.noise_groups)) {
            for ((&level, &told), of_noise_group) in levels.iter().zip(told).zip(&mut of_noise_group) {
                if memo.0 != (level, told) {
                    memo = ((level, told), self.around_level(level, told));
                }
                *of_noise_group = memo.1;
            }
            for &noise_group in &self.told.spec.noise_group_of_channel {
                let [s, a, b] = of_noise_group[noise_group];
                scale.push(s);
                on_x.push(a);
                on_prediction.push(b);
            }
        }
        Around { scale, on_x, on_prediction, told }
    }

    /// Scale, share of x and share of the prediction of a value at `level` that the network is told to be at `told`.
    fn around_level(&self, level: f32, told: f32) -> [f32; 3] {
        let (alpha, sigma) = self.told.schedule.alpha_sigma(told);
        // What is cleaner than its token is told to be gets the token's amplitude, without the noise.
        let scale = if told > level { alpha / self.told.schedule.alpha_sigma(level).0 } else { 1.0 };
        // A known value is its own clean value, whatever the network says.
        if level <= 0.0 {
            return [scale, 1.0, 0.0];
        }
        let (on_x, on_prediction) = self.objective.x0_coefficients(alpha, sigma);
        [scale, on_x * scale, on_prediction]
    }
}

impl Around {
    /// What the network is given of `x`.
    fn given(&self, x: &Tokens) -> Vec<f32> {
        match &self.told {
            None => x.data.clone(),
            Some(_) => x.data.iter().zip(&self.scale).map(|(x, scale)| x * scale).collect(),
        }
    }

    /// The clean value at place `i`.
    fn clean(&self, i: usize, x: f32, prediction: f32) -> f32 {
        self.on_x[i] * x + self.on_prediction[i] * prediction
    }
}

fn tensor(values: Vec<f32>, like: &Tokens, device: &Device) -> Tensor<3> {
    Tensor::from_data(TensorData::new(values, [like.batch, like.tokens, like.channels]), device)
}

fn host(tensor: Tensor<3>) -> Result<Vec<f32>, DenoiserError> {
    tensor.into_data().try_to_vec::<f32>().map_err(|e| DenoiserError::Backend(format!("{e:?}")))
}

fn finite(data: Vec<f32>, like: &Tokens) -> Result<Tokens, DenoiserError> {
    if data.iter().all(|v| v.is_finite()) { Ok(Tokens { data, ..*like }) } else { Err(DenoiserError::NotFinite) }
}

impl Denoiser for NetworkDenoiser {
    fn max_tokens(&self) -> Option<usize> {
        Some(self.max_tokens)
    }

    fn denoise(&mut self, x: &Tokens, levels: &Levels) -> Result<Tokens, DenoiserError> {
        self.check(x)?;
        let around = self.around(levels);
        let mut clean = match &mut self.evaluator {
            Evaluator::Native(network) => network.forward(&x.data, &self.told.features(x, levels), x.tokens),
            Evaluator::Burn { network, device, .. } => {
                let features = network.features(&self.told, x, around.told.as_ref().unwrap_or(levels), device);
                host(network.forward(tensor(around.given(x), x, device), features))?
            }
        };
        for (i, value) in clean.iter_mut().enumerate() {
            *value = around.clean(i, x.data[i], *value);
        }
        finite(clean, x)
    }

    fn denoise_with_gradient(
        &mut self,
        x: &Tokens,
        levels: &Levels,
        cotangent: &mut dyn FnMut(&Tokens) -> Tokens,
    ) -> Result<(Tokens, Tokens), DenoiserError> {
        self.check(x)?;
        let around = self.around(levels);
        let mut clean = Tokens::zeros(x.batch, x.tokens, x.channels);
        let mut direct = Vec::new();
        // The prediction's cotangent, and the part that bypasses the network.
        let mut pull = |prediction: &[f32]| -> Vec<f32> {
            for (i, value) in clean.data.iter_mut().enumerate() {
                *value = around.clean(i, x.data[i], prediction[i]);
            }
            let cotangent = cotangent(&clean).data;
            direct = cotangent.iter().zip(&around.on_x).map(|(c, a)| c * a).collect();
            cotangent.iter().zip(&around.on_prediction).map(|(c, b)| c * b).collect()
        };
        let mut gradient = match &mut self.evaluator {
            Evaluator::Native(network) => {
                network.forward_and_gradient(&x.data, &self.told.features(x, levels), x.tokens, pull).1
            }
            Evaluator::Burn { differentiable, device, .. } => {
                let device = device.clone().autodiff();
                let levels = around.told.as_ref().unwrap_or(levels);
                let features = differentiable.features(&self.told, x, levels, &device);
                let input = tensor(around.given(x), x, &device).require_grad();
                let prediction = differentiable.forward(input.clone(), features);
                let cotangent = pull(&host(prediction.clone().inner())?);
                let gradients = (prediction * tensor(cotangent, x, &device)).sum().backward();
                let missing = || DenoiserError::Backend("no gradient was recorded".into());
                host(input.grad(&gradients).ok_or_else(missing)?)?
            }
        };
        if around.told.is_some() {
            gradient.iter_mut().zip(&around.scale).for_each(|(g, scale)| *g *= scale);
        }
        gradient.iter_mut().zip(&direct).for_each(|(g, d)| *g += d);
        Ok((finite(clean.data, x)?, finite(gradient, x)?))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use df_diffusion::{NoiseScheduleKind, ObjectiveKind};
    use crate::model::NetworkConfig;
    use burn::module::{ModuleMapper, Param};

    /// Weights of some size everywhere, the output layer too: else the prediction is zero.
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

    fn denoiser(engine: &Engine, condition_on_clean_values: bool) -> (NetworkDenoiser, Tokens, Levels) {
        // Burn's generator is one for all tests, which run side by side: the weights come from a sequence of their own.
        let device = Device::flex();
        let spec = TokenSpec::new(&[0, 1, 1], 2);
        let config = NetworkConfig { condition_on_clean_values, ..NetworkConfig::new(16, 2, 2, spec.channels(), spec.noise_groups(), 5) };
        let network = config.init(&device).map(&mut Fill(0.0));
        let x = Tokens { batch: 2, tokens: 4, channels: 6, data: (0..48).map(|i| (i as f32 * 0.7).sin()).collect() };
        let mut levels = Levels::filled(2, 4, 4, 0.4);
        levels.data[..8].fill(0.0);
        levels.data[8..12].fill(1.0);
        let schedule = NoiseSchedule(NoiseScheduleKind::Cosine);
        (NetworkDenoiser::new(network, engine, spec, schedule, Objective(ObjectiveKind::V), 5), x, levels)
    }

    #[test]
    fn known_values_are_their_own_clean_values() {
        let (mut denoiser, x, levels) = denoiser(&Engine::Native, true);
        let clean = denoiser.denoise(&x, &levels).unwrap();
        assert_eq!(clean.data[..12], x.data[..12]);
        assert_ne!(clean.data[12..], x.data[12..]);
    }

    #[test]
    fn both_engines_agree() {
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
    fn the_gradient_is_that_of_a_finite_difference() {
        // Values 0 to 11 are known.
        finite_difference(false, &[0, 5, 13, 20, 30, 47]);
        finite_difference(true, &[13, 20, 30, 47]);
    }

    fn finite_difference(condition_on_clean_values: bool, places: &[usize]) {
        let (mut denoiser, x, levels) = denoiser(&Engine::Native, condition_on_clean_values);
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
        let (mut denoiser, ..) = denoiser(&Engine::Native, false);
        let error = denoiser.denoise(&Tokens::zeros(1, 6, 6), &Levels::filled(1, 6, 4, 1.0)).unwrap_err();
        assert_eq!(error, DenoiserError::TooLong { tokens: 6, max: 5 });
    }
}
