//! The network evaluated by our own loops around the `gemm` crate: the forward pass and the gradient with respect to the
//! input, for planning on CPUs. The same numbers as [`Network`] to rounding (a test compares them); never used to train.
//!
//! Why it is here: at planning's sizes (some 16 sequences of 16 tokens) the CPU backends spend most of their time between the
//! matrix products. Here a thread takes whole sequences through all layers with their activations in its cache.

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::matrix_product::{Operand, product};
use super::network::{Block, Network};

/// Small enough not to matter, as in the backends' layer norm.
const EPSILON: f32 = 1e-5;

struct Affine {
    /// `[input, output]`.
    weight: Vec<f32>,
    bias: Vec<f32>,
    inputs: usize,
    outputs: usize,
}

struct Norm {
    gamma: Vec<f32>,
    beta: Vec<f32>,
}

struct NativeBlock {
    before_attention: Norm,
    query_key_value: Affine,
    attended: Affine,
    before_hidden: Norm,
    hidden: Affine,
    back: Affine,
}

/// The weights, on the host.
pub struct NativeNetwork {
    values: Affine,
    levels: Affine,
    mixed: Affine,
    /// `[token, width]`.
    position: Vec<f32>,
    blocks: Vec<NativeBlock>,
    norm: Norm,
    output: Affine,
    heads: usize,
}

/// What the backward pass needs of one layer norm: the normalised rows and 1 / deviation of each.
struct Normed {
    rows: Vec<f32>,
    inverse: Vec<f32>,
}

struct BlockTrace {
    attention: Normed,
    query_key_value: Vec<f32>,
    /// Softmax weights, `[sequence, head, query, key]`.
    shares: Vec<f32>,
    hidden_norm: Normed,
    hidden: Vec<f32>,
}

/// A forward pass of some sequences, as far as the backward pass needs it.
struct Trace {
    mixed: Vec<f32>,
    blocks: Vec<BlockTrace>,
    norm: Normed,
}

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec::<f32>().unwrap_or_default()
}

fn affine(linear: &burn::nn::Linear) -> Affine {
    let [inputs, outputs] = linear.weight.dims();
    let bias = linear.bias.as_ref().map_or_else(|| vec![0.0; outputs], |b| host(b.val()));
    Affine { weight: host(linear.weight.val()), bias, inputs, outputs }
}

fn norm(layer: &burn::nn::LayerNorm) -> Norm {
    let gamma = host(layer.gamma.val());
    let beta = layer.beta.as_ref().map_or_else(|| vec![0.0; gamma.len()], |b| host(b.val()));
    Norm { gamma, beta }
}

fn block(block: &Block) -> NativeBlock {
    NativeBlock {
        before_attention: norm(&block.before_attention),
        query_key_value: affine(&block.query_key_value),
        attended: affine(&block.attended),
        before_hidden: norm(&block.before_hidden),
        hidden: affine(&block.hidden),
        back: affine(&block.back),
    }
}

impl NativeNetwork {
    /// Copies the weights of a network.
    pub fn new(network: &Network) -> Self {
        Self {
            values: affine(&network.values),
            levels: affine(&network.levels),
            mixed: affine(&network.mixed),
            position: host(network.position.val()),
            blocks: network.blocks.iter().map(block).collect(),
            norm: norm(&network.norm),
            output: affine(&network.output),
            heads: network.blocks.first().map_or(1, |b| b.heads),
        }
    }

    /// The prediction for `[batch, token, channel]` values and `[batch, token, feature]` level features.
    pub fn forward(&self, x: &[f32], features: &[f32], tokens: usize) -> Vec<f32> {
        self.in_parts(x, features, tokens, |x, features, prediction| {
            let (predicted, _) = self.run(x, features, tokens);
            prediction.copy_from_slice(&predicted);
        })
    }

    /// As [`NativeNetwork::forward`], then the gradient with respect to `x` of a scalar whose gradient with respect to the
    /// prediction `cotangent` returns (for all sequences at once).
    pub fn forward_and_gradient(
        &self,
        x: &[f32],
        features: &[f32],
        tokens: usize,
        cotangent: impl FnOnce(&[f32]) -> Vec<f32>,
    ) -> (Vec<f32>, Vec<f32>) {
        let parts: Vec<_> = self.part_sizes(x.len(), tokens);
        let (of_x, of_features) = (tokens * self.values.inputs, tokens * self.levels.inputs);
        let runs: Vec<(Vec<f32>, Trace)> = parts
            .par_iter()
            .map(|p| {
                self.run(
                    &x[p.start * of_x..p.end * of_x],
                    &features[p.start * of_features..p.end * of_features],
                    tokens,
                )
            })
            .collect();
        let prediction: Vec<f32> = runs.iter().flat_map(|(predicted, _)| predicted.iter().copied()).collect();
        let cotangent = cotangent(&prediction);
        let gradient = parts
            .par_iter()
            .zip(&runs)
            .flat_map_iter(|(p, (_, trace))| self.back(trace, &cotangent[p.start * of_x..p.end * of_x], tokens))
            .collect();
        (prediction, gradient)
    }

    /// Whole sequences, one contiguous part per thread.
    fn part_sizes(&self, values: usize, tokens: usize) -> Vec<std::ops::Range<usize>> {
        let sequences = values / (tokens * self.values.inputs);
        let parts = rayon::current_num_threads().clamp(1, sequences.max(1));
        (0..parts).map(|p| sequences * p / parts..sequences * (p + 1) / parts).collect()
    }

    fn in_parts(
        &self,
        x: &[f32],
        features: &[f32],
        tokens: usize,
        each: impl Fn(&[f32], &[f32], &mut [f32]) + Sync,
    ) -> Vec<f32> {
        let (of_x, of_features) = (tokens * self.values.inputs, tokens * self.levels.inputs);
        let mut out = vec![0.0; x.len()];
        let mut rest = out.as_mut_slice();
        let mut work = Vec::new();
        for p in self.part_sizes(x.len(), tokens) {
            let (own, others) = rest.split_at_mut(p.len() * of_x);
            rest = others;
            work.push((p, own));
        }
        work.into_par_iter().for_each(|(p, own)| {
            each(&x[p.start * of_x..p.end * of_x], &features[p.start * of_features..p.end * of_features], own);
        });
        out
    }

    fn run(&self, x: &[f32], features: &[f32], tokens: usize) -> (Vec<f32>, Trace) {
        let width = self.mixed.outputs;
        let mut mixed = self.values.apply(x);
        self.levels.add(features, &mut mixed);
        let activated: Vec<f32> = mixed.iter().map(|&v| v * sigmoid(v)).collect();
        let mut hidden = self.mixed.apply(&activated);
        for (row, position) in
            hidden.chunks_exact_mut(width).zip(self.position[..tokens * width].chunks_exact(width).cycle())
        {
            row.iter_mut().zip(position).for_each(|(h, p)| *h += p);
        }
        let blocks = self.blocks.iter().map(|block| block.run(&mut hidden, tokens, self.heads)).collect();
        let (normed, norm) = self.norm.apply(&hidden);
        (self.output.apply(&normed), Trace { mixed, blocks, norm })
    }

    fn back(&self, trace: &Trace, cotangent: &[f32], tokens: usize) -> Vec<f32> {
        let mut slope = self.norm.back(&trace.norm, &self.output.back(cotangent));
        for (block, trace) in self.blocks.iter().zip(&trace.blocks).rev() {
            block.back_through(trace, &mut slope, tokens, self.heads);
        }
        let mut slope = self.mixed.back(&slope);
        for (s, &v) in slope.iter_mut().zip(&trace.mixed) {
            let gate = sigmoid(v);
            *s *= gate * (1.0 + v * (1.0 - gate));
        }
        self.values.back(&slope)
    }
}

impl NativeBlock {
    fn run(&self, hidden: &mut [f32], tokens: usize, heads: usize) -> BlockTrace {
        let (normed, attention) = self.before_attention.apply(hidden);
        let query_key_value = self.query_key_value.apply(&normed);
        let (attended, shares) = attend(&query_key_value, self.attended.inputs, tokens, heads);
        self.attended.add(&attended, hidden);
        let (normed, hidden_norm) = self.before_hidden.apply(hidden);
        let mut inner = self.hidden.apply(&normed);
        inner.iter_mut().for_each(|v| *v = v.max(0.0));
        self.back.add(&inner, hidden);
        BlockTrace { attention, query_key_value, shares, hidden_norm, hidden: inner }
    }

    /// Turns the gradient with respect to the block's output into that with respect to its input.
    fn back_through(&self, trace: &BlockTrace, slope: &mut [f32], tokens: usize, heads: usize) {
        let mut inner = self.back.back(slope);
        inner.iter_mut().zip(&trace.hidden).for_each(|(s, &h)| *s = if h > 0.0 { *s } else { 0.0 });
        let through = self.before_hidden.back(&trace.hidden_norm, &self.hidden.back(&inner));
        slope.iter_mut().zip(through).for_each(|(s, t)| *s += t);
        let attended = self.attended.back(slope);
        let inner = attend_back(&trace.query_key_value, &trace.shares, &attended, self.attended.inputs, tokens, heads);
        let through = self.before_attention.back(&trace.attention, &self.query_key_value.back(&inner));
        slope.iter_mut().zip(through).for_each(|(s, t)| *s += t);
    }
}

impl Affine {
    /// `x weight + bias`, rows of `outputs`.
    fn apply(&self, x: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; x.len() / self.inputs * self.outputs];
        self.add(x, &mut out);
        out
    }

    /// Adds `x weight + bias`.
    fn add(&self, x: &[f32], out: &mut [f32]) {
        let rows = x.len() / self.inputs;
        for row in out.chunks_exact_mut(self.outputs) {
            row.iter_mut().zip(&self.bias).for_each(|(o, b)| *o += b);
        }
        product(Operand::plain(x, rows, self.inputs), Operand::plain(&self.weight, self.inputs, self.outputs), out);
    }

    /// `slope weight^T`: the gradient with respect to the input.
    fn back(&self, slope: &[f32]) -> Vec<f32> {
        let rows = slope.len() / self.outputs;
        let mut out = vec![0.0; rows * self.inputs];
        product(
            Operand::plain(slope, rows, self.outputs),
            Operand::transposed(&self.weight, self.inputs, self.outputs),
            &mut out,
        );
        out
    }
}

impl Norm {
    fn apply(&self, x: &[f32]) -> (Vec<f32>, Normed) {
        let width = self.gamma.len();
        let mut out = vec![0.0; x.len()];
        let mut normed = Normed { rows: vec![0.0; x.len()], inverse: Vec::with_capacity(x.len() / width) };
        for ((row, out), kept) in
            x.chunks_exact(width).zip(out.chunks_exact_mut(width)).zip(normed.rows.chunks_exact_mut(width))
        {
            let mean = sum(row.iter().copied()) / width as f32;
            let variance = sum(row.iter().map(|v| (v - mean) * (v - mean))) / width as f32;
            let inverse = 1.0 / (variance + EPSILON).sqrt();
            normed.inverse.push(inverse);
            for i in 0..width {
                kept[i] = (row[i] - mean) * inverse;
                out[i] = kept[i] * self.gamma[i] + self.beta[i];
            }
        }
        (out, normed)
    }

    /// With `y = gamma n + beta`, `n = (x - mean) / deviation`: `dx = (g - mean(g) - n mean(g n)) / deviation`, `g = gamma dy`.
    fn back(&self, normed: &Normed, slope: &[f32]) -> Vec<f32> {
        let width = self.gamma.len();
        let mut out = vec![0.0; slope.len()];
        let rows = out.chunks_exact_mut(width).zip(slope.chunks_exact(width)).zip(normed.rows.chunks_exact(width));
        for (((out, slope), kept), inverse) in rows.zip(&normed.inverse) {
            for i in 0..width {
                out[i] = slope[i] * self.gamma[i];
            }
            let mean = sum(out.iter().copied()) / width as f32;
            let along = sum(out.iter().zip(kept).map(|(g, n)| g * n)) / width as f32;
            for i in 0..width {
                out[i] = (out[i] - mean - kept[i] * along) * inverse;
            }
        }
        out
    }
}

/// Eight partial sums: lets the compiler use vector registers, and is more exact than one.
fn sum(values: impl Iterator<Item = f32>) -> f32 {
    let mut partial = [0.0f32; 8];
    for (i, v) in values.enumerate() {
        partial[i & 7] += v;
    }
    partial.iter().sum()
}

fn sigmoid(v: f32) -> f32 {
    1.0 / (1.0 + (-v).exp())
}

/// Scaled dot-product attention. `all`: `[sequence, token, 3, head, width / heads]`. Returns the attended values,
/// `[sequence, token, width]`, and the softmax weights.
fn attend(all: &[f32], width: usize, tokens: usize, heads: usize) -> (Vec<f32>, Vec<f32>) {
    let head = width / heads;
    let scale = 1.0 / (head as f32).sqrt();
    let sequences = all.len() / (tokens * 3 * width);
    let mut out = vec![0.0; sequences * tokens * width];
    let mut shares = vec![0.0; sequences * heads * tokens * tokens];
    for s in 0..sequences {
        let at = |token: usize, which: usize, h: usize| ((s * tokens + token) * 3 + which) * width + h * head;
        for h in 0..heads {
            for query in 0..tokens {
                let q = &all[at(query, 0, h)..][..head];
                let row = &mut shares[((s * heads + h) * tokens + query) * tokens..][..tokens];
                for (key, share) in row.iter_mut().enumerate() {
                    let k = &all[at(key, 1, h)..][..head];
                    *share = sum(q.iter().zip(k).map(|(a, b)| a * b)) * scale;
                }
                softmax(row);
                let to = &mut out[(s * tokens + query) * width + h * head..][..head];
                for (key, share) in row.iter().enumerate() {
                    let v = &all[at(key, 2, h)..][..head];
                    to.iter_mut().zip(v).for_each(|(t, v)| *t += share * v);
                }
            }
        }
    }
    (out, shares)
}

/// The gradient of [`attend`] with respect to `all`, given that with respect to its output.
fn attend_back(all: &[f32], shares: &[f32], slope: &[f32], width: usize, tokens: usize, heads: usize) -> Vec<f32> {
    let head = width / heads;
    let scale = 1.0 / (head as f32).sqrt();
    let sequences = all.len() / (tokens * 3 * width);
    let mut out = vec![0.0; all.len()];
    let mut of_share = vec![0.0; tokens];
    for s in 0..sequences {
        let at = |token: usize, which: usize, h: usize| ((s * tokens + token) * 3 + which) * width + h * head;
        for h in 0..heads {
            for query in 0..tokens {
                let row = &shares[((s * heads + h) * tokens + query) * tokens..][..tokens];
                let from = &slope[(s * tokens + query) * width + h * head..][..head];
                for key in 0..tokens {
                    let v = &all[at(key, 2, h)..][..head];
                    of_share[key] = sum(from.iter().zip(v).map(|(a, b)| a * b));
                    let share = row[key];
                    out[at(key, 2, h)..][..head].iter_mut().zip(from).for_each(|(o, f)| *o += share * f);
                }
                // Softmax: d score = share (d share - sum of share d share).
                let mean = sum(row.iter().zip(&of_share).map(|(p, d)| p * d));
                for key in 0..tokens {
                    let of_score = row[key] * (of_share[key] - mean) * scale;
                    for i in 0..head {
                        out[at(query, 0, h) + i] += of_score * all[at(key, 1, h) + i];
                        out[at(key, 1, h) + i] += of_score * all[at(query, 0, h) + i];
                    }
                }
            }
        }
    }
    out
}

fn softmax(row: &mut [f32]) {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    row.iter_mut().for_each(|v| *v = (*v - most).exp());
    let total = sum(row.iter().copied());
    row.iter_mut().for_each(|v| *v /= total);
}
