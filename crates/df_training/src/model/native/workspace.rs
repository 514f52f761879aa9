//! One thread's pass over its sequences: forward, and back to the input. Every intermediate lies in a buffer that lives across
//! calls; those that the way back needs are kept per block.

use super::activation::{relu_back, silu, silu_back};
use super::attention::{Heads, Scratch};
use super::buffer::Buffer;
use super::layer_norm::Normalised;
use super::weights::{BlockWeights, Weights};

/// What the way back needs of one block.
#[derive(Default)]
struct Trace {
    before_attention: Normalised,
    query_key_value: Buffer,
    /// Softmax weights, `[sequence, head, query, key]`, padded.
    shares: Buffer,
    before_hidden: Normalised,
    hidden: Buffer,
}

/// The buffers of one thread.
#[derive(Default)]
pub struct Workspace {
    mixed: Buffer,
    activated: Buffer,
    /// What the blocks add to, `[row, width]`; on the way back its gradient.
    stream: Buffer,
    /// One per block, or one for all where there is no way back.
    traces: Vec<Trace>,
    norm: Normalised,
    inner: Inner,
}

/// Buffers that a block uses for itself.
#[derive(Default)]
struct Inner {
    narrow: Buffer,
    wide: Buffer,
    scratch: Scratch,
}

impl Workspace {
    /// The prediction for some sequences; `keep`: [`Workspace::back`] follows.
    pub fn run(
        &mut self,
        weights: &Weights,
        x: &[f32],
        features: &[f32],
        tokens: usize,
        keep: bool,
        prediction: &mut [f32],
    ) {
        let Self { mixed, activated, stream, traces, norm, inner } = self;
        let width = weights.width();
        let length = x.len() / weights.channels() * width;
        [&mut *mixed, activated, stream].into_iter().for_each(|b| b.resize(length));
        weights.values.set(x, mixed);
        weights.levels.add(features, mixed);
        silu(mixed, activated);
        stream.chunks_exact_mut(tokens * width).for_each(|s| s.copy_from_slice(&weights.position[..tokens * width]));
        weights.mixed.add_without_bias(activated, stream);
        let heads = Heads { width, heads: weights.heads, tokens };
        traces.resize_with(if keep { weights.blocks.len() } else { 1 }, Trace::default);
        for (i, block) in weights.blocks.iter().enumerate() {
            block.run(heads, stream, &mut traces[if keep { i } else { 0 }], inner);
        }
        norm.set(stream, width);
        weights.output.set(&norm.rows, prediction);
    }

    /// After [`Workspace::run`]: the gradient with respect to `x`, given that with respect to the prediction.
    pub fn back(&mut self, weights: &Weights, cotangent: &[f32], tokens: usize, gradient: &mut [f32]) {
        let Self { mixed, activated, stream, traces, norm, inner } = self;
        let width = weights.width();
        let heads = Heads { width, heads: weights.heads, tokens };
        weights.output.back(cotangent, activated);
        stream.fill(0.0);
        norm.back(activated, width, stream);
        for (block, trace) in weights.blocks.iter().zip(traces).rev() {
            block.back(heads, stream, trace, inner);
        }
        weights.mixed.back(stream, activated);
        silu_back(mixed, activated);
        weights.values.back(activated, gradient);
    }
}

impl BlockWeights {
    fn run(&self, heads: Heads, stream: &mut [f32], trace: &mut Trace, inner: &mut Inner) {
        let (width, tokens) = (heads.width, heads.tokens);
        let sequences = stream.len() / (width * tokens);
        trace.before_attention.set(stream, width);
        trace.query_key_value.resize(3 * stream.len());
        self.query_key_value.set(&trace.before_attention.rows, &mut trace.query_key_value);
        trace.shares.resize(sequences * heads.shares());
        inner.narrow.resize(stream.len());
        let own = trace.query_key_value.chunks_exact(3 * width * tokens);
        let outs = trace.shares.chunks_exact_mut(heads.shares()).zip(inner.narrow.chunks_exact_mut(width * tokens));
        for (all, (shares, attended)) in own.zip(outs) {
            heads.attend(all, shares, attended, &mut inner.scratch);
        }
        self.attended.add(&inner.narrow, stream);
        trace.before_hidden.set(stream, width);
        trace.hidden.resize(stream.len() / width * self.hidden.outputs);
        self.hidden.set_relu(&trace.before_hidden.rows, &mut trace.hidden);
        self.back.add(&trace.hidden, stream);
    }

    /// Turns the gradient with respect to the block's output into that with respect to its input.
    fn back(&self, heads: Heads, slope: &mut [f32], trace: &Trace, inner: &mut Inner) {
        let (width, tokens) = (heads.width, heads.tokens);
        let Inner { narrow, wide, scratch } = inner;
        narrow.resize(slope.len());
        wide.resize(trace.hidden.len());
        self.back.back(slope, wide);
        relu_back(&trace.hidden, wide);
        self.hidden.back(wide, narrow);
        trace.before_hidden.back(narrow, width, slope);

        self.attended.back(slope, narrow);
        wide.resize(trace.query_key_value.len());
        let own = trace.query_key_value.chunks_exact(3 * width * tokens).zip(trace.shares.chunks_exact(heads.shares()));
        let slopes = narrow.chunks_exact(width * tokens).zip(wide.chunks_exact_mut(3 * width * tokens));
        for ((all, shares), (slope, out)) in own.zip(slopes) {
            heads.back(all, shares, slope, out, scratch);
        }
        self.query_key_value.back(wide, narrow);
        trace.before_attention.back(narrow, width, slope);
    }
}
