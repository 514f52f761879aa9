//! The denoising network: a pre-norm transformer encoder over tokens, told the noise level of every noise group.

use burn::module::{Module, Param};
use burn::nn::{Initializer, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, FloatDType, Tensor, TensorData, activation};
use serde::{Deserialize, Serialize};

use super::DeviceError;
use super::fused_layers::{attention, layer_norm, linear, relu};
use crate::Precision;
use df_diffusion::{Levels, NoiseSchedule, RecentLevels, TokenSpec, Tokens};

/// Features that describe one level: the level itself, alpha, sigma, and whether it is exactly known.
const FEATURES: usize = 4;
/// Width of the hidden layer of a block, in widths of the network.
const EXPANSION: usize = 4;
/// Deviation of the initial position embedding (Devlin et al. 2019).
const POSITION_DEVIATION: f64 = 0.02;

/// Sizes of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkConfig {
    pub width: usize,
    pub layers: usize,
    pub heads: usize,
    /// Channels of a token.
    pub channels: usize,
    /// Noise levels of a token.
    pub noise_groups: usize,
    /// The longest sequence.
    pub tokens: usize,
    /// Whether known values are told a second time, beside the levels ([`ConditioningFeatures`]). Checkpoints before this say nothing.
    #[serde(default)]
    pub condition_on_clean_values: bool,
}

/// Predicts the objective's target for every channel of every token.
#[derive(Module, Debug)]
pub struct Network {
    pub(super) values: Linear,
    pub(super) levels: Linear,
    pub(super) mixed: Linear,
    pub(super) position: Param<Tensor<2>>,
    pub(super) blocks: Vec<Block>,
    pub(super) norm: LayerNorm,
    pub(super) output: Linear,
    #[module(skip)]
    pub(super) condition_on_clean_values: bool,
    #[module(skip)]
    precision: Precision,
}

#[derive(Module, Debug)]
pub(super) struct Block {
    pub(super) before_attention: LayerNorm,
    pub(super) query_key_value: Linear,
    pub(super) attended: Linear,
    pub(super) before_hidden: LayerNorm,
    pub(super) hidden: Linear,
    pub(super) back: Linear,
    #[module(skip)]
    pub(super) heads: usize,
    #[module(skip)]
    precision: Precision,
}

impl NetworkConfig {
    /// Of these sizes, in the order of the fields; known values are not told a second time.
    pub fn new(width: usize, layers: usize, heads: usize, channels: usize, noise_groups: usize, tokens: usize) -> Self {
        Self { width, layers, heads, channels, noise_groups, tokens, condition_on_clean_values: false }
    }

    /// Numbers by which a token is told of its levels.
    fn features(&self) -> usize {
        self.noise_groups * FEATURES + if self.condition_on_clean_values { self.channels } else { 0 }
    }

    /// How many weights it has; of any sizes, so not exact beyond 2^53.
    pub(super) fn weights(&self) -> f64 {
        let [width, layers, channels, noise_groups, tokens] =
            [self.width, self.layers, self.channels, self.noise_groups, self.tokens].map(|size| size as f64);
        let features = noise_groups * FEATURES as f64 + if self.condition_on_clean_values { channels } else { 0.0 };
        let expansion = EXPANSION as f64;
        // A matrix and its bias, from so many to so many.
        let linear = |from: f64, to: f64| (from + 1.0) * to;
        let norm = 2.0 * width;
        let attention = linear(width, 3.0 * width) + linear(width, width);
        let hidden = linear(width, expansion * width) + linear(expansion * width, width);
        let ends = linear(channels, width) + linear(features, width) + linear(width, channels);
        ends + linear(width, width) + tokens * width + layers * (attention + hidden + 2.0 * norm) + norm
    }

    /// A network with random weights; its output layer is zero, so that it starts by predicting zero.
    pub fn init(&self, device: &Device) -> Network {
        Network {
            values: LinearConfig::new(self.channels, self.width).init(device),
            levels: LinearConfig::new(self.features(), self.width).init(device),
            mixed: LinearConfig::new(self.width, self.width).init(device),
            position: Initializer::Normal { mean: 0.0, std: POSITION_DEVIATION }
                .init([self.tokens, self.width], device),
            blocks: (0..self.layers).map(|_| Block::new(self.width, self.heads, device)).collect(),
            norm: LayerNormConfig::new(self.width).init(device),
            output: LinearConfig::new(self.width, self.channels).with_initializer(Initializer::Zeros).init(device),
            condition_on_clean_values: self.condition_on_clean_values,
            precision: Precision::F32,
        }
    }
}

impl Network {
    /// What it is told beside the values of tokens of this kind.
    pub fn told(&self, spec: TokenSpec, schedule: NoiseSchedule) -> ConditioningFeatures {
        ConditioningFeatures { spec, schedule, condition_on_clean_values: self.condition_on_clean_values }
    }

    /// The same network, its products with weights computed in another precision. The weights stay as they are, and so do
    /// layer norms, attention and the sums between the layers.
    ///
    /// # Errors
    /// The device, which is called `name`, has no such numbers.
    pub fn in_precision(mut self, precision: Precision, device: &Device, name: &str) -> Result<Self, DeviceError> {
        if precision == Precision::Bf16 && !device.supports_dtype(FloatDType::BF16) {
            return Err(DeviceError::Precision { got: name.into() });
        }
        self.precision = precision;
        self.blocks.iter_mut().for_each(|block| block.precision = precision);
        Ok(self)
    }

    /// The prediction for every channel.
    ///
    /// # Shapes
    /// - `x`: `[batch, token, channel]`
    /// - `features`: `[batch, token, feature]`, see [`ConditioningFeatures::features`]
    /// - output: `[batch, token, channel]`
    pub fn forward(&self, x: Tensor<3>, features: Tensor<3>) -> Tensor<3> {
        let [batch, tokens, _] = x.dims();
        // All tokens are the rows of one matrix, so that each layer is one product, and the gradient of its weights another: of
        // batches of matrices Burn makes a gradient of the weights for each, and adds them up.
        let [x, features] = [x, features].map(|tensor| tensor.flatten::<2>(0, 1));
        let position = self.position.val().narrow(0, 0, tokens).unsqueeze::<3>();
        let mixed = activation::silu(self.of(&self.values, x) + self.of(&self.levels, features));
        let mixed = self.of(&self.mixed, mixed);
        let width = mixed.dims()[1];
        let mut hidden = (mixed.reshape([batch, tokens, width]) + position).flatten(0, 1);
        for block in &self.blocks {
            hidden = block.forward(hidden, batch);
        }
        let output = self.of(&self.output, layer_norm(&self.norm, hidden));
        let channels = output.dims()[1];
        output.reshape([batch, tokens, channels])
    }

    fn of(&self, layer: &Linear, rows: Tensor<2>) -> Tensor<2> {
        product(layer, rows, self.precision)
    }
}

impl Block {
    fn new(width: usize, heads: usize, device: &Device) -> Self {
        Self {
            before_attention: LayerNormConfig::new(width).init(device),
            query_key_value: LinearConfig::new(width, 3 * width).init(device),
            attended: LinearConfig::new(width, width).init(device),
            before_hidden: LayerNormConfig::new(width).init(device),
            hidden: LinearConfig::new(width, EXPANSION * width).init(device),
            back: LinearConfig::new(EXPANSION * width, width).init(device),
            heads,
            precision: Precision::F32,
        }
    }

    /// `[batch * token, width]` to the same.
    fn forward(&self, x: Tensor<2>, batch: usize) -> Tensor<2> {
        let x = x.clone() + self.attend(layer_norm(&self.before_attention, x), batch);
        // ReLU: on the CPU backends the cheapest activation by far, and its gradient too.
        let hidden = relu(self.of(&self.hidden, layer_norm(&self.before_hidden, x.clone())));
        x + self.of(&self.back, hidden)
    }

    fn attend(&self, x: Tensor<2>, batch: usize) -> Tensor<2> {
        self.of(&self.attended, attention(self.of(&self.query_key_value, x), batch, self.heads))
    }

    fn of(&self, layer: &Linear, rows: Tensor<2>) -> Tensor<2> {
        product(layer, rows, self.precision)
    }
}

/// A linear layer, evaluated in some precision; input, output and weights are f32.
fn product(layer: &Linear, rows: Tensor<2>, precision: Precision) -> Tensor<2> {
    match precision {
        Precision::F32 => linear(layer, rows),
        Precision::Bf16 => {
            let weight = layer.weight.val().cast(FloatDType::BF16);
            let product = burn::tensor::module::linear(rows.cast(FloatDType::BF16), weight, None).cast(FloatDType::F32);
            match &layer.bias {
                Some(bias) => product + bias.val().unsqueeze(),
                None => product,
            }
        }
    }
}

/// What a network is told beside the values of its tokens.
#[derive(Clone, Debug)]
pub struct ConditioningFeatures {
    pub spec: TokenSpec,
    pub schedule: NoiseSchedule,
    pub condition_on_clean_values: bool,
}

impl ConditioningFeatures {
    /// Level, alpha, sigma and "known" (1 at level 0) of every noise group. Then, if told, the values of the known noise groups, and 0 in place of
    /// the others: so that what is known need not be told from noise by a product of value and level, which layers that add up are
    /// slow to learn. `[batch, token, noise_group * 4 (+ channel)]`.
    pub fn features(&self, x: &Tokens, levels: &Levels) -> Vec<f32> {
        let values = if self.condition_on_clean_values { x.data.len() } else { 0 };
        let mut features = Vec::with_capacity(levels.data.len() * FEATURES + values);
        let mut schedule = RecentLevels::new(self.schedule);
        for (of_token, x) in levels.data.chunks(levels.noise_groups).zip(x.data.chunks(x.channels)) {
            for &level in of_token {
                let (alpha, sigma) = schedule.alpha_sigma(level);
                features.extend([level, alpha, sigma, if level <= 0.0 { 1.0 } else { 0.0 }]);
            }
            if self.condition_on_clean_values {
                let known = self.spec.noise_group_of_channel.iter().map(|&noise_group| of_token[noise_group] <= 0.0);
                features.extend(x.iter().zip(known).map(|(&value, known)| if known { value } else { 0.0 }));
            }
        }
        features
    }

    /// [`ConditioningFeatures::features`] on a device.
    pub fn tensor(&self, x: &Tokens, levels: &Levels, device: &Device) -> Tensor<3> {
        let features = self.features(x, levels);
        let of_token = features.len() / (levels.batch * levels.tokens).max(1);
        Tensor::from_data(TensorData::new(features, [levels.batch, levels.tokens, of_token]), device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use df_diffusion::NoiseScheduleKind;
    use crate::model::network_denoiser::tests::Fill;
    use burn::optim::GradientsParams;
    use burn::tensor::TensorData;

    /// The gradient of one weight matrix, in some precision.
    fn gradient(precision: Precision) -> Vec<f32> {
        let device = Device::flex().autodiff();
        let network = NetworkConfig::new(32, 2, 2, 3, 1, 4).init(&Device::flex()).map(&mut Fill(0.0)).train();
        let network = network.in_precision(precision, &device, "flex").unwrap();
        let wave = |count: usize, step: f32| (0..count).map(|i| (i as f32 * step).sin()).collect::<Vec<_>>();
        let x = Tensor::from_data(TensorData::new(wave(24, 0.7), [2, 4, 3]), &device);
        let features = Tensor::from_data(TensorData::new(wave(32, 1.1), [2, 4, 4]), &device);
        let output = network.forward(x, features);
        assert_eq!(output.dtype(), burn::tensor::DType::F32);
        let gradients = GradientsParams::from_grads((output.clone() * output).mean().backward(), &network);
        let weight = &network.blocks[0].hidden.weight;
        gradients.get::<2>(weight.id).unwrap().into_data().try_to_vec::<f32>().unwrap()
    }

    /// Rounding to 8 significant bits is off by at most 2^-8 of a number; in a product both factors and the result are rounded. So
    /// each sum is off by at most 3 2^-8 (and a little of higher order) of the sum of what it adds up, without signs.
    #[test]
    fn a_product_in_half_precision_is_off_by_its_rounding() {
        const ROWS: usize = 6;
        const INPUTS: usize = 16;
        const OUTPUTS: usize = 5;
        let device = Device::flex().autodiff();
        let wave = |count: usize, step: f32| (0..count).map(|i| (i as f32 * step).sin()).collect::<Vec<_>>();
        let (x, weights, pull) = (wave(ROWS * INPUTS, 0.7), wave(INPUTS * OUTPUTS, 1.3), wave(ROWS * OUTPUTS, 1.1));
        let tensor = |values: &[f32], shape: [usize; 2]| {
            Tensor::<2>::from_data(TensorData::new(values.to_vec(), shape), &device)
        };
        let computed = |precision| {
            let mut layer = LinearConfig::new(INPUTS, OUTPUTS).with_bias(false).init(&device);
            layer.weight = Param::from_data(TensorData::new(weights.clone(), [INPUTS, OUTPUTS]), &device);
            let y = product(&layer, tensor(&x, [ROWS, INPUTS]), precision);
            let gradients = (y.clone() * tensor(&pull, [ROWS, OUTPUTS])).sum().backward();
            let host = |tensor: TensorData| tensor.try_to_vec::<f32>().unwrap();
            (host(y.into_data()), host(layer.weight.val().grad(&gradients).unwrap().into_data()))
        };
        let (exact, rounded) = (computed(Precision::F32), computed(Precision::Bf16));
        let within = |exact: &[f32], rounded: &[f32], terms: &dyn Fn(usize) -> f32| {
            for (i, (a, b)) in exact.iter().zip(rounded).enumerate() {
                assert!((a - b).abs() <= 3.1 / 256.0 * terms(i), "{i}: {a}, {b}");
            }
            assert!(exact != rounded, "nothing was rounded");
        };
        // y[r, o] = sum over i of x[r, i] w[i, o]; the gradient of w[i, o] is the sum over r of x[r, i] pull[r, o].
        within(&exact.0, &rounded.0, &|at| {
            let (r, o) = (at / OUTPUTS, at % OUTPUTS);
            (0..INPUTS).map(|i| (x[r * INPUTS + i] * weights[i * OUTPUTS + o]).abs()).sum()
        });
        within(&exact.1, &rounded.1, &|at| {
            let (i, o) = (at / OUTPUTS, at % OUTPUTS);
            (0..ROWS).map(|r| (x[r * INPUTS + i] * pull[r * OUTPUTS + o]).abs()).sum()
        });
    }

    #[test]
    fn half_precision_changes_the_gradient_of_f32_weights_by_its_rounding_only() {
        if !Device::flex().supports_dtype(FloatDType::BF16) {
            println!("skipped: flex has no bf16");
            return;
        }
        let (exact, rounded) = (gradient(Precision::F32), gradient(Precision::Bf16));
        let norm = |v: &mut dyn Iterator<Item = f32>| v.map(|v| v * v).sum::<f32>().sqrt();
        let off = norm(&mut exact.iter().zip(&rounded).map(|(a, b)| a - b)) / norm(&mut exact.iter().copied());
        // Some ten products in a row, each off as the test below bounds it; what their sums cancel and a ReLU that flips add has no
        // bound: 1 to 4 % by the order of the sums. Another gradient would be off by its own size.
        assert!((1e-4..0.1).contains(&off), "{off}");
    }

    #[test]
    fn known_values_are_told_apart_from_noisy_ones() {
        // Two frames a token, two modalities of one and two channels.
        let spec = TokenSpec::new(&[0, 1, 1], 2);
        let x = Tokens { batch: 1, tokens: 2, channels: 6, data: (1..=12).map(|v| v as f32).collect() };
        let levels = Levels { data: vec![0.0, 1.0, 0.5, 0.0, 1.0, 1.0, 1.0, 1.0], ..Levels::filled(1, 2, 4, 0.0) };
        let told = |condition_on_clean_values| ConditioningFeatures {
            spec: spec.clone(),
            schedule: NoiseSchedule(NoiseScheduleKind::Linear),
            condition_on_clean_values,
        };
        let (without, with) = (told(false).features(&x, &levels), told(true).features(&x, &levels));
        assert_eq!((without.len(), with.len()), (2 * 16, 2 * 22));
        for token in 0..2 {
            assert_eq!(with[22 * token..22 * token + 16], without[16 * token..16 * (token + 1)]);
        }
        assert_eq!(without[..8], [0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0]);
        assert_eq!(with[16..22], [1.0, 0.0, 0.0, 0.0, 5.0, 6.0]);
        assert_eq!(with[38..], [0.0; 6]);
    }

    #[test]
    fn weights_are_counted_as_they_are_made() {
        let sizes = NetworkConfig::new(8, 2, 2, 3, 5, 7);
        for sizes in
            [NetworkConfig { condition_on_clean_values: true, ..sizes.clone() }, sizes, NetworkConfig::new(6, 1, 3, 4, 2, 1)]
        {
            assert_eq!(sizes.weights(), sizes.init(&Device::flex()).num_params() as f64);
        }
    }
}
