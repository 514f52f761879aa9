//! All layers of the network, packed for products in both directions.
//!
//! What is linear and constant is folded together:
//! - gain and shift of a layer norm into the layer that follows it
//! - the scale of attention, `1 / sqrt(width / heads)`, into the query
//! - the bias of `in_proj` into the position embedding

use super::matrix_product::{Accumulate, Dst, Lhs, Packed, product};
use crate::network_config::{MLP_EXPANSION, NetworkConfig};
use crate::weights::{NamedTensors, WeightsError};

/// `x weight + bias`, and its gradient with respect to `x`.
pub(crate) struct Affine {
    /// `[input, output]`, packed.
    weight: Packed,
    /// `[output, input]`, packed.
    transposed: Packed,
    /// `[output]`.
    bias: Vec<f32>,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
}

/// One block of the transformer: attention, then an MLP, each after a layer norm.
pub(crate) struct BlockWeights {
    /// From `width` to `3 * width`, after the attention's layer norm.
    pub(crate) query_key_value: Affine,
    /// From `width` to `width`: the projection of attention's output.
    pub(crate) attention_out: Affine,
    /// From `width` to `4 * width`, after the MLP's layer norm.
    pub(crate) mlp_up: Affine,
    /// From `4 * width` to `width`.
    pub(crate) mlp_down: Affine,
}

/// The whole network.
pub(crate) struct PackedWeights {
    /// From the channels of a token to `width`.
    pub(crate) values: Affine,
    /// From the conditioning features of a token to `width`.
    pub(crate) levels: Affine,
    /// From `width` to `width`, after the activation of `values + levels`.
    pub(crate) in_proj: Affine,
    /// The position embedding plus the bias of `in_proj`, `[token, width]`.
    pub(crate) position: Vec<f32>,
    pub(crate) blocks: Vec<BlockWeights>,
    /// From `width` to the channels of a token, after the last layer norm.
    pub(crate) output: Affine,
    pub(crate) heads: usize,
}

impl PackedWeights {
    /// Copies and packs the tensors of a network of these sizes.
    ///
    /// # Errors
    /// Sizes that make no network; a tensor that is missing, of another shape, or not part of the network.
    pub(crate) fn new(tensors: &NamedTensors, config: &NetworkConfig) -> Result<Self, WeightsError> {
        // Before anything is allocated: every size is then that of a tensor in memory.
        tensors.check(config)?;
        let NetworkConfig { width, channels, heads, .. } = *config;
        let in_proj = Linear::of(tensors, "in_proj", width, width)?;
        let position = tensors.values("position", &[config.tokens, width])?;
        let position =
            position.chunks(width).flat_map(|row| row.iter().zip(&in_proj.bias).map(|(p, b)| p + b)).collect();
        Ok(Self {
            values: Linear::of(tensors, "values", channels, width)?.packed(),
            levels: Linear::of(tensors, "levels", config.features(), width)?.packed(),
            position,
            in_proj: in_proj.packed(),
            blocks: (0..config.layers)
                .map(|block| BlockWeights::new(tensors, &format!("blocks.{block}"), width, heads))
                .collect::<Result<_, _>>()?,
            output: Linear::of(tensors, "output", width, channels)?.after(tensors, "norm")?.packed(),
            heads,
        })
    }

    /// Channels of a token.
    pub(crate) fn channels(&self) -> usize {
        self.values.inputs
    }

    /// Conditioning features of a token.
    pub(crate) fn features(&self) -> usize {
        self.levels.inputs
    }

    /// Width of the network.
    pub(crate) fn width(&self) -> usize {
        self.in_proj.outputs
    }
}

impl BlockWeights {
    fn new(tensors: &NamedTensors, block: &str, width: usize, heads: usize) -> Result<Self, WeightsError> {
        let name = |layer: &str| format!("{block}.{layer}");
        let linear = |layer: &str, inputs, outputs| Linear::of(tensors, &name(layer), inputs, outputs);
        let mut query_key_value =
            linear("query_key_value", width, 3 * width)?.after(tensors, &name("attention_norm"))?;
        query_key_value.scale_columns(width, 1.0 / ((width / heads) as f32).sqrt());
        Ok(Self {
            query_key_value: query_key_value.packed(),
            attention_out: linear("attention_out", width, width)?.packed(),
            mlp_up: linear("mlp_up", width, MLP_EXPANSION * width)?.after(tensors, &name("mlp_norm"))?.packed(),
            mlp_down: linear("mlp_down", MLP_EXPANSION * width, width)?.packed(),
        })
    }
}

impl Affine {
    /// `out = x weight + bias`; `x` `[row, input]`, `out` `[row, output]`.
    pub(crate) fn forward(&self, x: &[f32], out: &mut [f32]) {
        self.product(x, Accumulate::Bias(&self.bias), out, false);
    }

    /// `out = max(0, x weight + bias)`.
    pub(crate) fn forward_relu(&self, x: &[f32], out: &mut [f32]) {
        self.product(x, Accumulate::Bias(&self.bias), out, true);
    }

    /// `out += x weight + bias`.
    pub(crate) fn add_forward(&self, x: &[f32], out: &mut [f32]) {
        self.product(x, Accumulate::DstAndBias(&self.bias), out, false);
    }

    /// `out += x weight`.
    pub(crate) fn add_forward_without_bias(&self, x: &[f32], out: &mut [f32]) {
        self.product(x, Accumulate::Dst, out, false);
    }

    /// `out = gradient weight^T`: the gradient with respect to the input, `[row, input]`, given that with respect to
    /// the output, `[row, output]`.
    pub(crate) fn backward(&self, gradient: &[f32], out: &mut [f32]) {
        let rows = gradient.len() / self.outputs;
        let lhs = Lhs { values: gradient, rows, inner: self.outputs, stride: self.outputs };
        let dst = Dst { values: out, stride: self.inputs, relu: false };
        product(lhs, self.transposed.rhs(), Accumulate::Zero, dst);
    }

    fn product(&self, x: &[f32], accumulate: Accumulate, out: &mut [f32], relu: bool) {
        let lhs = Lhs { values: x, rows: x.len() / self.inputs, inner: self.inputs, stride: self.inputs };
        product(lhs, self.weight.rhs(), accumulate, Dst { values: out, stride: self.outputs, relu });
    }
}

/// A linear layer before packing.
struct Linear {
    /// `[input, output]`.
    weight: Vec<f32>,
    /// `[output]`.
    bias: Vec<f32>,
    inputs: usize,
    outputs: usize,
}

impl Linear {
    fn of(tensors: &NamedTensors, layer: &str, inputs: usize, outputs: usize) -> Result<Self, WeightsError> {
        let weight = tensors.values(&format!("{layer}.weight"), &[inputs, outputs])?.to_vec();
        let bias = tensors.values(&format!("{layer}.bias"), &[outputs])?.to_vec();
        Ok(Self { weight, bias, inputs, outputs })
    }

    /// With gain g and shift s of the layer norm before: `(n g + s) W + b = n (g W) + (s W + b)`.
    fn after(mut self, tensors: &NamedTensors, norm: &str) -> Result<Self, WeightsError> {
        let gain = tensors.values(&format!("{norm}.gamma"), &[self.inputs])?;
        let shift = tensors.values(&format!("{norm}.beta"), &[self.inputs])?;
        for ((row, gain), shift) in self.weight.chunks_mut(self.outputs).zip(gain).zip(shift) {
            for (weight, bias) in row.iter_mut().zip(&mut self.bias) {
                *bias += shift * *weight;
                *weight *= gain;
            }
        }
        Ok(self)
    }

    /// The first `count` outputs times `factor`.
    fn scale_columns(&mut self, count: usize, factor: f32) {
        for row in self.weight.chunks_mut(self.outputs).chain([self.bias.as_mut_slice()]) {
            row[..count].iter_mut().for_each(|v| *v *= factor);
        }
    }

    fn packed(self) -> Affine {
        let Self { weight, bias, inputs, outputs } = self;
        Affine {
            weight: Packed::of_rows(&weight, inputs, outputs),
            transposed: Packed::of_columns(&weight, outputs, inputs),
            bias,
            inputs,
            outputs,
        }
    }
}
