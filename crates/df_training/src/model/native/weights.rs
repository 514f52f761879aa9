//! The weights on the host, packed for products in both directions. What is linear and constant is folded together:
//! gain and shift of a layer norm into the layer that follows it, the scale of attention into the query, the position
//! into a bias per token.

use burn::nn::{LayerNorm, Linear};
use burn::tensor::Tensor;

use super::matrix_product::{Left, Out, Packed, Start, product};
use crate::model::network::{Block, Network};

/// `x weight + bias`, and the way back.
pub struct Affine {
    weight: Packed,
    transposed: Packed,
    bias: Vec<f32>,
    pub inputs: usize,
    pub outputs: usize,
}

/// One block of the transformer.
pub struct BlockWeights {
    pub query_key_value: Affine,
    pub attended: Affine,
    pub hidden: Affine,
    pub back: Affine,
}

/// The whole network.
pub struct Weights {
    pub values: Affine,
    pub levels: Affine,
    pub mixed: Affine,
    /// The bias of `mixed` and the position, `[token, width]`.
    pub position: Vec<f32>,
    pub blocks: Vec<BlockWeights>,
    pub output: Affine,
    pub heads: usize,
}

impl Weights {
    /// Copies those of a network.
    pub fn new(network: &Network) -> Self {
        let mixed = Raw::of(&network.mixed);
        let position = host(network.position.val());
        let position = position.chunks(mixed.outputs).flat_map(|row| row.iter().zip(&mixed.bias).map(|(p, b)| p + b));
        Self {
            values: Raw::of(&network.values).packed(),
            levels: Raw::of(&network.levels).packed(),
            position: position.collect(),
            mixed: mixed.packed(),
            blocks: network.blocks.iter().map(BlockWeights::new).collect(),
            output: Raw::of(&network.output).after(&network.norm).packed(),
            heads: network.blocks.first().map_or(1, |b| b.heads),
        }
    }

    /// Channels of a token.
    pub fn channels(&self) -> usize {
        self.values.inputs
    }

    /// Level features of a token.
    pub fn features(&self) -> usize {
        self.levels.inputs
    }

    /// Width of the network.
    pub fn width(&self) -> usize {
        self.mixed.outputs
    }
}

impl BlockWeights {
    fn new(block: &Block) -> Self {
        let mut query_key_value = Raw::of(&block.query_key_value).after(&block.before_attention);
        let width = query_key_value.outputs / 3;
        query_key_value.scale_columns(width, 1.0 / ((width / block.heads) as f32).sqrt());
        Self {
            query_key_value: query_key_value.packed(),
            attended: Raw::of(&block.attended).packed(),
            hidden: Raw::of(&block.hidden).after(&block.before_hidden).packed(),
            back: Raw::of(&block.back).packed(),
        }
    }
}

impl Affine {
    /// `out = x weight + bias`.
    pub fn set(&self, x: &[f32], out: &mut [f32]) {
        self.product(x, Start::Bias(&self.bias), out, false);
    }

    /// `out = max(0, x weight + bias)`.
    pub fn set_relu(&self, x: &[f32], out: &mut [f32]) {
        self.product(x, Start::Bias(&self.bias), out, true);
    }

    /// `out += x weight + bias`.
    pub fn add(&self, x: &[f32], out: &mut [f32]) {
        self.product(x, Start::OldAndBias(&self.bias), out, false);
    }

    /// `out += x weight`.
    pub fn add_without_bias(&self, x: &[f32], out: &mut [f32]) {
        self.product(x, Start::Old, out, false);
    }

    /// `out = slope weight^T`: the gradient with respect to the input.
    pub fn back(&self, slope: &[f32], out: &mut [f32]) {
        let left = Left { values: slope, rows: slope.len() / self.outputs, inner: self.outputs, stride: self.outputs };
        let out = Out { values: out, stride: self.inputs, relu: false };
        product(left, self.transposed.right(), Start::Zero, out);
    }

    fn product(&self, x: &[f32], start: Start, out: &mut [f32], relu: bool) {
        let left = Left { values: x, rows: x.len() / self.inputs, inner: self.inputs, stride: self.inputs };
        product(left, self.weight.right(), start, Out { values: out, stride: self.outputs, relu });
    }
}

/// A linear layer as it comes, `[input, output]`.
struct Raw {
    weight: Vec<f32>,
    bias: Vec<f32>,
    inputs: usize,
    outputs: usize,
}

impl Raw {
    fn of(linear: &Linear) -> Self {
        let [inputs, outputs] = linear.weight.dims();
        let bias = linear.bias.as_ref().map_or_else(|| vec![0.0; outputs], |b| host(b.val()));
        Self { weight: host(linear.weight.val()), bias, inputs, outputs }
    }

    /// With gain g and shift s of the layer norm before: `(n g + s) W + b = n (g W) + (s W + b)`.
    fn after(mut self, norm: &LayerNorm) -> Self {
        let gain = host(norm.gamma.val());
        let shift = norm.beta.as_ref().map_or_else(|| vec![0.0; gain.len()], |b| host(b.val()));
        for ((row, gain), shift) in self.weight.chunks_mut(self.outputs).zip(gain).zip(shift) {
            for (weight, bias) in row.iter_mut().zip(&mut self.bias) {
                *bias += shift * *weight;
                *weight *= gain;
            }
        }
        self
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

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec::<f32>().unwrap_or_default()
}
