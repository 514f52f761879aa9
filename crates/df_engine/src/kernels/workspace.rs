//! One thread's pass over its sequences: forward through all layers, then backward to the input.
//!
//! All buffers live across calls. A row is one token of one sequence: row `s * tokens + t`. What the backward pass
//! needs is kept per block in a [`Trace`].

use super::activation::{relu_backward, silu, silu_backward};
use super::attention::{Heads, Scratch};
use super::buffer::Buffer;
use super::layer_norm::Normalised;
use super::packed_weights::{BlockWeights, PackedWeights};

/// What the backward pass needs of one block.
#[derive(Default)]
struct Trace {
    /// `[row, width]`.
    attention_norm: Normalised,
    /// `[row, 3, head, width / heads]`.
    query_key_value: Buffer,
    /// `[sequence, head, query, key]`, padded, see `attention`.
    probabilities: Buffer,
    /// `[row, width]`.
    mlp_norm: Normalised,
    /// After the ReLU, `[row, 4 * width]`.
    mlp_hidden: Buffer,
}

/// The buffers of one thread.
#[derive(Default)]
pub(crate) struct Workspace {
    /// Before the first activation, `[row, width]`.
    embedded: Buffer,
    /// After it, `[row, width]`.
    activated: Buffer,
    /// The residual stream that blocks add to, `[row, width]`; in the backward pass its gradient.
    residual: Buffer,
    /// One per block, or one for all where no backward pass follows.
    traces: Vec<Trace>,
    /// The last layer norm, `[row, width]`.
    norm: Normalised,
    inner: Inner,
}

/// Buffers that a block uses for itself.
#[derive(Default)]
struct Inner {
    /// `[row, width]`.
    narrow: Buffer,
    /// `[row, 3 * width]` or `[row, 4 * width]`.
    wide: Buffer,
    scratch: Scratch,
}

impl Workspace {
    /// The prediction for some sequences. With `keep`, [`Workspace::backward`] may follow.
    ///
    /// # Shapes
    /// - `x`, `prediction`: `[sequence, token, channel]`
    /// - `features`: `[sequence, token, feature]`
    pub(crate) fn forward(
        &mut self,
        weights: &PackedWeights,
        x: &[f32],
        features: &[f32],
        tokens: usize,
        keep: bool,
        prediction: &mut [f32],
    ) {
        let Self { embedded, activated, residual, traces, norm, inner } = self;
        let width = weights.width();
        let length = x.len() / weights.channels() * width;
        [&mut *embedded, activated, residual].into_iter().for_each(|b| b.resize(length));
        weights.values.forward(x, embedded);
        weights.levels.add_forward(features, embedded);
        silu(embedded, activated);
        let position = &weights.position[..tokens * width];
        residual.chunks_exact_mut(tokens * width).for_each(|sequence| sequence.copy_from_slice(position));
        weights.in_proj.add_forward_without_bias(activated, residual);
        let heads = Heads { width, heads: weights.heads, tokens };
        traces.resize_with(if keep { weights.blocks.len() } else { 1 }, Trace::default);
        for (i, block) in weights.blocks.iter().enumerate() {
            block.forward(heads, residual, &mut traces[if keep { i } else { 0 }], inner);
        }
        norm.forward(residual, width);
        weights.output.forward(&norm.rows, prediction);
    }

    /// After [`Workspace::forward`] with `keep`: the gradient with respect to `x`, given that with respect to the
    /// prediction.
    ///
    /// # Shapes
    /// - `cotangent`, `gradient`: `[sequence, token, channel]`
    pub(crate) fn backward(&mut self, weights: &PackedWeights, cotangent: &[f32], tokens: usize, gradient: &mut [f32]) {
        let Self { embedded, activated, residual, traces, norm, inner } = self;
        let width = weights.width();
        let heads = Heads { width, heads: weights.heads, tokens };
        weights.output.backward(cotangent, activated);
        residual.fill(0.0);
        norm.backward(activated, width, residual);
        for (block, trace) in weights.blocks.iter().zip(traces).rev() {
            block.backward(heads, residual, trace, inner);
        }
        weights.in_proj.backward(residual, activated);
        silu_backward(embedded, activated);
        weights.values.backward(activated, gradient);
    }
}

impl BlockWeights {
    /// Adds attention's output, then the MLP's, to the residual stream.
    fn forward(&self, heads: Heads, residual: &mut [f32], trace: &mut Trace, inner: &mut Inner) {
        let (width, tokens) = (heads.width, heads.tokens);
        let sequences = residual.len() / (width * tokens);
        trace.attention_norm.forward(residual, width);
        trace.query_key_value.resize(3 * residual.len());
        self.query_key_value.forward(&trace.attention_norm.rows, &mut trace.query_key_value);
        trace.probabilities.resize(sequences * heads.probabilities());
        inner.narrow.resize(residual.len());
        let inputs = trace.query_key_value.chunks_exact(3 * width * tokens);
        let probabilities = trace.probabilities.chunks_exact_mut(heads.probabilities());
        let outputs = inner.narrow.chunks_exact_mut(width * tokens);
        for ((query_key_value, probabilities), out) in inputs.zip(probabilities).zip(outputs) {
            heads.forward(query_key_value, probabilities, out, &mut inner.scratch);
        }
        self.attention_out.add_forward(&inner.narrow, residual);
        trace.mlp_norm.forward(residual, width);
        trace.mlp_hidden.resize(residual.len() / width * self.mlp_up.outputs);
        self.mlp_up.forward_relu(&trace.mlp_norm.rows, &mut trace.mlp_hidden);
        self.mlp_down.add_forward(&trace.mlp_hidden, residual);
    }

    /// Turns the gradient with respect to the block's output into that with respect to its input, in place.
    fn backward(&self, heads: Heads, gradient: &mut [f32], trace: &Trace, inner: &mut Inner) {
        let (width, tokens) = (heads.width, heads.tokens);
        let Inner { narrow, wide, scratch } = inner;
        narrow.resize(gradient.len());
        wide.resize(trace.mlp_hidden.len());
        self.mlp_down.backward(gradient, wide);
        relu_backward(&trace.mlp_hidden, wide);
        self.mlp_up.backward(wide, narrow);
        trace.mlp_norm.backward(narrow, width, gradient);

        self.attention_out.backward(gradient, narrow);
        wide.resize(trace.query_key_value.len());
        let kept = trace
            .query_key_value
            .chunks_exact(3 * width * tokens)
            .zip(trace.probabilities.chunks_exact(heads.probabilities()));
        let gradients = narrow.chunks_exact(width * tokens).zip(wide.chunks_exact_mut(3 * width * tokens));
        for ((query_key_value, probabilities), (gradient, out)) in kept.zip(gradients) {
            heads.backward(query_key_value, probabilities, gradient, out, scratch);
        }
        self.query_key_value.backward(wide, narrow);
        trace.attention_norm.backward(narrow, width, gradient);
    }
}
