//! The native denoising network: a pre-norm transformer encoder over tokens, conditioned on the noise level of every
//! noise group (Chen et al. 2024).
//!
//! `h = in_proj(silu(values(x) + levels(features))) + position`, then blocks of
//! `h += attention_out(attention(norm(h)))` and `h += mlp_down(relu(mlp_up(norm(h))))`, then `output(norm(h))`.

use burn::module::{Module, Param};
use burn::nn::{Initializer, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::store::{ModuleSnapshot, bridge};
use burn::tensor::{DType, Device, FloatDType, Tensor, TensorData, activation};
use df_diffusion::{Levels, Tokens};
use df_engine::network_config::MLP_EXPANSION;
use df_engine::{ConditioningFeatures, NamedTensor, NamedTensors, NetworkConfig};

use crate::fused_layers::{attention, layer_norm, linear, relu};
use crate::{DeviceError, Precision};

/// Standard deviation of the initial position embedding (Devlin et al. 2019).
const POSITION_STD: f64 = 0.02;

/// Predicts the objective's target for every channel of every token.
#[derive(Module, Debug)]
pub struct Network {
    pub(crate) values: Linear,
    pub(crate) levels: Linear,
    pub(crate) in_proj: Linear,
    pub(crate) position: Param<Tensor<2>>,
    pub(crate) blocks: Vec<Block>,
    pub(crate) norm: LayerNorm,
    pub(crate) output: Linear,
    /// True if the features contain the clean values.
    #[module(skip)]
    pub condition_on_clean_values: bool,
    #[module(skip)]
    precision: Precision,
}

#[derive(Module, Debug)]
pub(crate) struct Block {
    pub(crate) attention_norm: LayerNorm,
    pub(crate) query_key_value: Linear,
    pub(crate) attention_out: Linear,
    pub(crate) mlp_norm: LayerNorm,
    pub(crate) mlp_up: Linear,
    pub(crate) mlp_down: Linear,
    #[module(skip)]
    pub(crate) heads: usize,
    #[module(skip)]
    precision: Precision,
}

/// Initialises a network of a configuration.
pub trait InitNetwork {
    /// A network with random weights on `device`. Its output layer is zero, so that its first prediction is zero.
    fn init(&self, device: &Device) -> Network;
}

impl InitNetwork for NetworkConfig {
    fn init(&self, device: &Device) -> Network {
        Network {
            values: LinearConfig::new(self.channels, self.width).init(device),
            levels: LinearConfig::new(self.features(), self.width).init(device),
            in_proj: LinearConfig::new(self.width, self.width).init(device),
            position: Initializer::Normal { mean: 0.0, std: POSITION_STD }.init([self.tokens, self.width], device),
            blocks: (0..self.layers).map(|_| Block::new(self.width, self.heads, device)).collect(),
            norm: LayerNormConfig::new(self.width).init(device),
            output: LinearConfig::new(self.width, self.channels).with_initializer(Initializer::Zeros).init(device),
            condition_on_clean_values: self.condition_on_clean_values,
            precision: Precision::F32,
        }
    }
}

impl Network {
    /// The same network with its products with weights in another precision. Weights, layer norms, attention and
    /// residual sums stay f32.
    ///
    /// # Errors
    /// [`DeviceError::Precision`] if the device does not support it; `name` is its name.
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
    /// - `features`: `[batch, token, feature]`, see [`ConditioningFeatures`]
    /// - output: `[batch, token, channel]`
    pub fn forward(&self, x: Tensor<3>, features: Tensor<3>) -> Tensor<3> {
        let [batch, tokens, _] = x.dims();
        // All tokens are the rows of one matrix, so that each layer is one product, and the gradient of its weights
        // another. For batches of matrices, Burn computes a gradient of the weights per matrix and adds them.
        let [x, features] = [x, features].map(|tensor| tensor.flatten::<2>(0, 1));
        let position = self.position.val().narrow(0, 0, tokens).unsqueeze::<3>();
        let embedded = activation::silu(self.apply(&self.values, x) + self.apply(&self.levels, features));
        let embedded = self.apply(&self.in_proj, embedded);
        let width = embedded.dims()[1];
        let mut hidden = (embedded.reshape([batch, tokens, width]) + position).flatten(0, 1);
        for block in &self.blocks {
            hidden = block.forward(hidden, batch);
        }
        let output = self.apply(&self.output, layer_norm(&self.norm, hidden));
        let channels = output.dims()[1];
        output.reshape([batch, tokens, channels])
    }

    fn apply(&self, layer: &Linear, rows: Tensor<2>) -> Tensor<2> {
        product(layer, rows, self.precision)
    }
}

impl Block {
    fn new(width: usize, heads: usize, device: &Device) -> Self {
        Self {
            attention_norm: LayerNormConfig::new(width).init(device),
            query_key_value: LinearConfig::new(width, 3 * width).init(device),
            attention_out: LinearConfig::new(width, width).init(device),
            mlp_norm: LayerNormConfig::new(width).init(device),
            mlp_up: LinearConfig::new(width, MLP_EXPANSION * width).init(device),
            mlp_down: LinearConfig::new(MLP_EXPANSION * width, width).init(device),
            heads,
            precision: Precision::F32,
        }
    }

    /// One block, `[batch * token, width]` to `[batch * token, width]`.
    fn forward(&self, x: Tensor<2>, batch: usize) -> Tensor<2> {
        let x = x.clone() + self.attend(layer_norm(&self.attention_norm, x), batch);
        // ReLU and its gradient are by far the cheapest activation on the CPU backends.
        let hidden = relu(self.apply(&self.mlp_up, layer_norm(&self.mlp_norm, x.clone())));
        x + self.apply(&self.mlp_down, hidden)
    }

    fn attend(&self, x: Tensor<2>, batch: usize) -> Tensor<2> {
        self.apply(&self.attention_out, attention(self.apply(&self.query_key_value, x), batch, self.heads))
    }

    fn apply(&self, layer: &Linear, rows: Tensor<2>) -> Tensor<2> {
        product(layer, rows, self.precision)
    }
}

/// A linear layer with its product in a precision, `[row, in]` to `[row, out]`. Input, output and weights are f32.
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

/// The [`ConditioningFeatures`] of tokens `[batch, token, channel]` on a device, `[batch, token, feature]`.
pub fn features_tensor(features: &ConditioningFeatures, x: &Tokens, levels: &Levels, device: &Device) -> Tensor<3> {
    let values = features.evaluate(x, levels);
    let per_token = values.len() / (levels.batch * levels.tokens).max(1);
    Tensor::from_data(TensorData::new(values, [levels.batch, levels.tokens, per_token]), device)
}

/// The weights on the host, by their names in checkpoints.
pub fn named_tensors(network: &Network) -> NamedTensors {
    let tensors = network.collect(None, None, false).into_iter().map(|tensor| {
        let name = tensor.name.clone();
        let shape = tensor.shape.to_vec();
        let data: Option<TensorData> = bridge::into_data(tensor).ok();
        let values = data.and_then(|data| data.convert_dtype(DType::F32).try_to_vec::<f32>().ok()).unwrap_or_default();
        (name, NamedTensor { shape, values })
    });
    tensors.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::burn_denoiser::tests::Fill;
    use burn::optim::GradientsParams;

    /// The gradient of one weight matrix with products in a precision.
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
        let weight = &network.blocks[0].mlp_up.weight;
        gradients.get::<2>(weight.id).unwrap().into_data().try_to_vec::<f32>().unwrap()
    }

    /// Rounding to 8 significant bits changes a number by at most 2^-8 of it. A product rounds both factors and the
    /// result. So the error of a sum is at most 3 2^-8 of the sum of the absolute terms, plus terms of higher order.
    #[test]
    fn the_error_of_a_bf16_product_is_within_its_rounding_bound() {
        const ROWS: usize = 6;
        const INPUTS: usize = 16;
        const OUTPUTS: usize = 5;
        let device = Device::flex().autodiff();
        let wave = |count: usize, step: f32| (0..count).map(|i| (i as f32 * step).sin()).collect::<Vec<_>>();
        let (x, weights, cotangent) =
            (wave(ROWS * INPUTS, 0.7), wave(INPUTS * OUTPUTS, 1.3), wave(ROWS * OUTPUTS, 1.1));
        let tensor = |values: &[f32], shape: [usize; 2]| {
            Tensor::<2>::from_data(TensorData::new(values.to_vec(), shape), &device)
        };
        let computed = |precision| {
            let mut layer = LinearConfig::new(INPUTS, OUTPUTS).with_bias(false).init(&device);
            layer.weight = Param::from_data(TensorData::new(weights.clone(), [INPUTS, OUTPUTS]), &device);
            let y = product(&layer, tensor(&x, [ROWS, INPUTS]), precision);
            let gradients = (y.clone() * tensor(&cotangent, [ROWS, OUTPUTS])).sum().backward();
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
        // y[r, o] = sum over i of x[r, i] w[i, o]; the gradient of w[i, o] is the sum over r of x[r, i] cotangent[r,
        // o].
        within(&exact.0, &rounded.0, &|at| {
            let (r, o) = (at / OUTPUTS, at % OUTPUTS);
            (0..INPUTS).map(|i| (x[r * INPUTS + i] * weights[i * OUTPUTS + o]).abs()).sum()
        });
        within(&exact.1, &rounded.1, &|at| {
            let (i, o) = (at / OUTPUTS, at % OUTPUTS);
            (0..ROWS).map(|r| (x[r * INPUTS + i] * cotangent[r * OUTPUTS + o]).abs()).sum()
        });
    }

    #[test]
    fn bf16_products_change_the_gradient_by_a_few_percent_at_most() {
        if !Device::flex().supports_dtype(FloatDType::BF16) {
            println!("skipped: flex has no bf16");
            return;
        }
        let (exact, rounded) = (gradient(Precision::F32), gradient(Precision::Bf16));
        let norm = |v: &mut dyn Iterator<Item = f32>| v.map(|v| v * v).sum::<f32>().sqrt();
        let off = norm(&mut exact.iter().zip(&rounded).map(|(a, b)| a - b)) / norm(&mut exact.iter().copied());
        // Some ten products follow each other, each with an error as bounded in the test above. Cancellation in sums
        // and a ReLU that changes its sign add to it without a bound: 1 to 4 % were measured. A wrong gradient differs
        // by its own size.
        assert!((1e-4..0.1).contains(&off), "{off}");
    }

    #[test]
    fn the_configuration_counts_the_weights_of_the_network() {
        let sizes = NetworkConfig::new(8, 2, 2, 3, 5, 7);
        for sizes in [
            NetworkConfig { condition_on_clean_values: true, ..sizes.clone() },
            sizes,
            NetworkConfig::new(6, 1, 3, 4, 2, 1),
        ] {
            assert_eq!(sizes.weights(), sizes.init(&Device::flex()).num_params() as f64);
        }
    }
}
