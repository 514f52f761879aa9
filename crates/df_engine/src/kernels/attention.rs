//! Scaled dot-product attention (Vaswani et al. 2017, eq. 1) and its gradient as small matrix products, one head of
//! one sequence at a time.
//!
//! Layouts, per sequence:
//! - query, key and value: `[token, 3, head, width / heads]`, as the projection before writes them: rows of one head
//!   are `3 * width` apart
//! - probabilities (the softmax of the scores): `[head, query, key]`; a row of keys is padded with zeros to whole
//!   vectors
//! - output: `[token, head, width / heads]`, which is `[token, width]`
//!
//! The scale `1 / sqrt(width / heads)` is not applied here: it is part of the query's weights (`packed_weights`).

use super::activation::exp;
use super::buffer::Buffer;
use super::dispatch::dispatched;
use super::matrix_product::{Accumulate, Dst, Lhs, Rhs, product};
use super::sum::{dot, max, sum};

/// Rows of probabilities are padded to whole vectors of AVX-512.
const PAD: usize = 16;

const QUERY: usize = 0;
const KEY: usize = 1;
const VALUE: usize = 2;

/// Sizes of the attention of all heads over one sequence.
#[derive(Clone, Copy)]
pub(crate) struct Heads {
    /// Width of the network, of all heads together.
    pub(crate) width: usize,
    pub(crate) heads: usize,
    pub(crate) tokens: usize,
}

/// Buffers for one head.
#[derive(Default)]
pub(crate) struct Scratch {
    transposed: Buffer,
    scores_gradient: Buffer,
}

impl Heads {
    /// Width of one head.
    fn head_width(self) -> usize {
        self.width / self.heads
    }

    /// Between rows of probabilities.
    fn padded(self) -> usize {
        self.tokens.next_multiple_of(PAD)
    }

    /// How many values the probabilities of one sequence take, with their padding.
    pub(crate) fn probabilities(self) -> usize {
        self.heads * self.tokens * self.padded()
    }

    /// Where query, key or value of head `h` begin in `[token, 3, head, width / heads]`.
    fn at(self, which: usize, h: usize) -> usize {
        which * self.width + h * self.head_width()
    }

    /// The rows of one head as the left operand, `[token, width / heads]`.
    fn lhs(self, values: &[f32], stride: usize) -> Lhs<'_> {
        Lhs { values, rows: self.tokens, inner: self.head_width(), stride }
    }

    /// The rows of one head as the right operand, `[token, width / heads]`.
    fn rhs(self, values: &[f32], stride: usize) -> Rhs<'_> {
        Rhs::in_place(values, self.tokens, self.head_width(), stride)
    }

    /// Padded rows of one head as the left operand, `[token, token]`.
    fn padded_lhs(self, values: &[f32]) -> Lhs<'_> {
        Lhs { values, rows: self.tokens, inner: self.tokens, stride: self.padded() }
    }

    /// `out = lhs rhs^T`, `[token, token]`, padded: the products of one head's rows with another's.
    fn pairs(self, lhs: Lhs, rhs: &[f32], stride: usize, transposed: &mut Buffer, out: &mut [f32]) {
        let (head_width, padded) = (self.head_width(), self.padded());
        transposed.resize(head_width * padded);
        transpose(rhs, stride, self.tokens, head_width, transposed, padded);
        let rhs = Rhs::in_place(transposed, head_width, padded, padded);
        product(lhs, rhs, Accumulate::Zero, Dst { values: out, stride: padded, relu: false });
    }

    /// The attention of one sequence: writes `probabilities` and `out` from `query_key_value`.
    ///
    /// # Shapes
    /// - `query_key_value`: `[token, 3, head, width / heads]`
    /// - `probabilities`: `[head, query, key]`, padded
    /// - `out`: `[token, width]`
    pub(crate) fn forward(
        self,
        query_key_value: &[f32],
        probabilities: &mut [f32],
        out: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let (stride, block) = (3 * self.width, self.tokens * self.padded());
        for (h, probabilities) in probabilities.chunks_exact_mut(block).enumerate() {
            let query = self.lhs(&query_key_value[self.at(QUERY, h)..], stride);
            let key = &query_key_value[self.at(KEY, h)..];
            self.pairs(query, key, stride, &mut scratch.transposed, probabilities);
            softmax(probabilities, self.tokens, self.padded());
            let value = self.rhs(&query_key_value[self.at(VALUE, h)..], stride);
            let dst = Dst { values: &mut out[h * self.head_width()..], stride: self.width, relu: false };
            product(self.padded_lhs(probabilities), value, Accumulate::Zero, dst);
        }
    }

    /// The gradient with respect to query, key and value, given that with respect to the output of [`Heads::forward`].
    ///
    /// # Shapes
    /// - `query_key_value`, `out`: `[token, 3, head, width / heads]`
    /// - `probabilities`: `[head, query, key]`, padded
    /// - `gradient`: `[token, width]`
    pub(crate) fn backward(
        self,
        query_key_value: &[f32],
        probabilities: &[f32],
        gradient: &[f32],
        out: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let (stride, tokens, padded) = (3 * self.width, self.tokens, self.padded());
        let Scratch { transposed, scores_gradient } = scratch;
        scores_gradient.resize(tokens * padded);
        for (h, probabilities) in probabilities.chunks_exact(tokens * padded).enumerate() {
            let gradient = &gradient[h * self.head_width()..];
            let mut put = |which: usize, lhs: Lhs, rhs: Rhs| {
                let dst = Dst { values: &mut out[self.at(which, h)..], stride, relu: false };
                product(lhs, rhs, Accumulate::Zero, dst);
            };
            // With P = softmax(Q K^T) and O = P V: dP = dO V^T, dV = P^T dO, dQ = dS K, dK = dS^T Q.
            let of_output = self.lhs(gradient, self.width);
            self.pairs(of_output, &query_key_value[self.at(VALUE, h)..], stride, transposed, scores_gradient);
            transposed.resize(tokens * padded);
            transpose(probabilities, padded, tokens, tokens, transposed, padded);
            put(VALUE, self.padded_lhs(transposed), self.rhs(gradient, self.width));
            softmax_backward(probabilities, scores_gradient, padded);
            let key = self.rhs(&query_key_value[self.at(KEY, h)..], stride);
            put(QUERY, self.padded_lhs(scores_gradient), key);
            transpose(scores_gradient, padded, tokens, tokens, transposed, padded);
            let query = self.rhs(&query_key_value[self.at(QUERY, h)..], stride);
            put(KEY, self.padded_lhs(transposed), query);
        }
    }
}

/// `out[c][r] = from[r][c]`; rows of `out` end in zeros.
fn transpose(from: &[f32], stride: usize, rows: usize, columns: usize, out: &mut [f32], out_stride: usize) {
    for (c, out) in out.chunks_exact_mut(out_stride).take(columns).enumerate() {
        for (r, out) in out[..rows].iter_mut().enumerate() {
            *out = from[r * stride + c];
        }
        out[rows..].fill(0.0);
    }
}

dispatched! {
    /// Per row of `stride`: the softmax of the first `count` values, then zeros.
    fn softmax = softmax_rows(values: &'a mut [f32], count: usize, stride: usize)
}

dispatched! {
    /// Turns the gradient with respect to probabilities into that with respect to the scores, in place.
    fn softmax_backward = softmax_gradient(probabilities: &'a [f32], gradient: &'a mut [f32], stride: usize)
}

#[inline(always)]
fn softmax_rows(values: &mut [f32], count: usize, stride: usize) {
    for row in values.chunks_exact_mut(stride) {
        row[count..].fill(f32::NEG_INFINITY);
        let max = max(row);
        row.iter_mut().for_each(|v| *v = exp(*v - max));
        row[count..].fill(0.0);
        let inverse = 1.0 / sum(row);
        row.iter_mut().for_each(|v| *v *= inverse);
    }
}

/// `dS = P (dP - sum of P dP)`, per row.
#[inline(always)]
fn softmax_gradient(probabilities: &[f32], gradient: &mut [f32], stride: usize) {
    for (probabilities, gradient) in probabilities.chunks_exact(stride).zip(gradient.chunks_exact_mut(stride)) {
        let mean = dot(probabilities, gradient);
        gradient.iter_mut().zip(probabilities).for_each(|(g, p)| *g = p * (*g - mean));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_rows_sum_to_one_and_end_in_zeros() {
        // e^0 : e^ln 3 = 1 : 3; the second row is far from zero.
        let mut values = [5.0; 32];
        (values[0], values[1], values[16], values[17]) = (0.0, 3.0f32.ln(), -1000.0, -1000.0);
        softmax(&mut values, 2, 16);
        let near = |a: f32, b: f32| (a - b).abs() < 1e-6;
        assert!(near(values[0], 0.25) && near(values[1], 0.75) && near(values[16], 0.5) && near(values[17], 0.5));
        assert!(values[2..16].iter().chain(&values[18..]).all(|v| *v == 0.0));
    }

    #[test]
    fn attention_of_equal_keys_is_the_mean_of_the_values() {
        // One head of width 2, two tokens: query, key, value each; equal keys give probabilities of one half.
        let query_key_value = [1.0, 2.0, 3.0, 3.0, 10.0, 20.0, -1.0, 0.5, 3.0, 3.0, 30.0, 60.0];
        let heads = Heads { width: 2, heads: 1, tokens: 2 };
        let (mut probabilities, mut out) = (vec![0.0; heads.probabilities()], [0.0; 4]);
        heads.forward(&query_key_value, &mut probabilities, &mut out, &mut Scratch::default());
        assert!(out.iter().zip([20.0, 40.0, 20.0, 40.0]).all(|(a, b)| (a - b).abs() < 1e-5), "{out:?}");
    }

    #[test]
    fn the_gradient_equals_a_finite_difference() {
        let heads = Heads { width: 6, heads: 2, tokens: 5 };
        let query_key_value: Vec<f32> = (0..90).map(|i| (i as f32 * 0.77).sin()).collect();
        let weights: Vec<f32> = (0..30).map(|i| (i as f32 * 1.3).cos()).collect();
        let run = |query_key_value: &[f32]| {
            let (mut probabilities, mut out) = (vec![0.0; heads.probabilities()], vec![0.0; 30]);
            heads.forward(query_key_value, &mut probabilities, &mut out, &mut Scratch::default());
            (probabilities, out.iter().zip(&weights).map(|(a, w)| f64::from(a * w)).sum::<f64>())
        };
        let mut gradient = vec![9.0; 90];
        let (probabilities, _) = run(&query_key_value);
        heads.backward(&query_key_value, &probabilities, &weights, &mut gradient, &mut Scratch::default());
        for (i, &got) in gradient.iter().enumerate() {
            let moved = |by: f32| {
                let mut moved = query_key_value.clone();
                moved[i] += by;
                moved
            };
            let difference = (run(&moved(1e-2)).1 - run(&moved(-1e-2)).1) / 2e-2;
            assert!((difference - f64::from(got)).abs() < 1e-3, "{i}: {difference} {got}");
        }
    }
}
