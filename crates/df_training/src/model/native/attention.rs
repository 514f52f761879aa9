//! Scaled dot-product attention and its gradient as small matrix products, one head of one sequence at a time.
//!
//! The scale is part of the query's weights.

use super::activation::exp;
use super::buffer::Buffer;
use super::dispatch::dispatched;
use super::matrix_product::{Left, Out, Right, Start, product};
use super::sum::{dot, greatest, sum};

/// Rows of softmax weights are padded to whole vectors of AVX-512.
const PAD: usize = 16;

const QUERY: usize = 0;
const KEY: usize = 1;
const VALUE: usize = 2;

/// Sizes of the attention of all heads over one sequence.
#[derive(Clone, Copy)]
pub struct Heads {
    pub width: usize,
    pub heads: usize,
    pub tokens: usize,
}

/// Buffers for one head.
#[derive(Default)]
pub struct Scratch {
    transposed: Buffer,
    of_shares: Buffer,
}

impl Heads {
    fn head(self) -> usize {
        self.width / self.heads
    }

    /// Between rows of softmax weights.
    fn padded(self) -> usize {
        self.tokens.next_multiple_of(PAD)
    }

    /// Softmax weights of one sequence.
    pub fn shares(self) -> usize {
        self.heads * self.tokens * self.padded()
    }

    /// Where query, key or value of a head lie in `[token, 3, head, width / heads]`.
    fn at(self, which: usize, h: usize) -> usize {
        which * self.width + h * self.head()
    }

    fn left(self, values: &[f32], stride: usize) -> Left<'_> {
        Left { values, rows: self.tokens, inner: self.head(), stride }
    }

    /// Per token the values of one head, on the right side.
    fn right(self, values: &[f32], stride: usize) -> Right<'_> {
        Right::in_place(values, self.tokens, self.head(), stride)
    }

    fn left_shares(self, values: &[f32]) -> Left<'_> {
        Left { values, rows: self.tokens, inner: self.tokens, stride: self.padded() }
    }

    /// A product of one head's rows with another's: `[token, token]`, padded.
    fn pairs(self, left: Left, right: &[f32], stride: usize, transposed: &mut Buffer, out: &mut [f32]) {
        let (head, padded) = (self.head(), self.padded());
        transposed.resize(head * padded);
        transpose(right, stride, self.tokens, head, transposed, padded);
        let right = Right::in_place(transposed, head, padded, padded);
        product(left, right, Start::Zero, Out { values: out, stride: padded, relu: false });
    }

    /// One sequence. `all`: `[token, 3, head, width / heads]`; gives the attended values, `[token, width]`, and the softmax
    /// weights, `[head, query, key]`, padded.
    pub fn attend(self, all: &[f32], shares: &mut [f32], attended: &mut [f32], scratch: &mut Scratch) {
        let (stride, block) = (3 * self.width, self.tokens * self.padded());
        for (h, shares) in shares.chunks_exact_mut(block).enumerate() {
            let query = self.left(&all[self.at(QUERY, h)..], stride);
            self.pairs(query, &all[self.at(KEY, h)..], stride, &mut scratch.transposed, shares);
            softmax(shares, self.tokens, self.padded());
            let values = self.right(&all[self.at(VALUE, h)..], stride);
            let out = Out { values: &mut attended[h * self.head()..], stride: self.width, relu: false };
            product(self.left_shares(shares), values, Start::Zero, out);
        }
    }

    /// The gradient with respect to `all`, given that with respect to the attended values.
    pub fn back(self, all: &[f32], shares: &[f32], slope: &[f32], out: &mut [f32], scratch: &mut Scratch) {
        let (stride, tokens, padded) = (3 * self.width, self.tokens, self.padded());
        let Scratch { transposed, of_shares } = scratch;
        of_shares.resize(tokens * padded);
        for (h, shares) in shares.chunks_exact(tokens * padded).enumerate() {
            let slope = &slope[h * self.head()..];
            let mut put = |which: usize, left: Left, right: Right| {
                let out = Out { values: &mut out[self.at(which, h)..], stride, relu: false };
                product(left, right, Start::Zero, out);
            };
            let attended = self.left(slope, self.width);
            self.pairs(attended, &all[self.at(VALUE, h)..], stride, transposed, of_shares);
            transposed.resize(tokens * padded);
            transpose(shares, padded, tokens, tokens, transposed, padded);
            put(VALUE, self.left_shares(transposed), self.right(slope, self.width));
            softmax_back(shares, of_shares, padded);
            put(QUERY, self.left_shares(of_shares), self.right(&all[self.at(KEY, h)..], stride));
            transpose(of_shares, padded, tokens, tokens, transposed, padded);
            put(KEY, self.left_shares(transposed), self.right(&all[self.at(QUERY, h)..], stride));
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
    pub fn softmax = softmax_rows(values: &'a mut [f32], count: usize, stride: usize)
}

dispatched! {
    /// Turns the gradient with respect to softmax weights into that with respect to the scores.
    pub fn softmax_back = softmax_gradient(shares: &'a [f32], slope: &'a mut [f32], stride: usize)
}

#[inline(always)]
fn softmax_rows(values: &mut [f32], count: usize, stride: usize) {
    for row in values.chunks_exact_mut(stride) {
        row[count..].fill(f32::NEG_INFINITY);
        let most = greatest(row);
        row.iter_mut().for_each(|v| *v = exp(*v - most));
        row[count..].fill(0.0);
        let inverse = 1.0 / sum(row);
        row.iter_mut().for_each(|v| *v *= inverse);
    }
}

/// `d score = share (d share - sum of share d share)`.
#[inline(always)]
fn softmax_gradient(shares: &[f32], slope: &mut [f32], stride: usize) {
    for (shares, slope) in shares.chunks_exact(stride).zip(slope.chunks_exact_mut(stride)) {
        let mean = dot(shares, slope);
        slope.iter_mut().zip(shares).for_each(|(s, share)| *s = share * (*s - mean));
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
        // One head of width 2, two tokens: query, key, value each; equal keys give shares of one half.
        let all = [1.0, 2.0, 3.0, 3.0, 10.0, 20.0, -1.0, 0.5, 3.0, 3.0, 30.0, 60.0];
        let heads = Heads { width: 2, heads: 1, tokens: 2 };
        let (mut shares, mut attended) = (vec![0.0; heads.shares()], [0.0; 4]);
        heads.attend(&all, &mut shares, &mut attended, &mut Scratch::default());
        assert!(attended.iter().zip([20.0, 40.0, 20.0, 40.0]).all(|(a, b)| (a - b).abs() < 1e-5), "{attended:?}");
    }

    #[test]
    fn the_gradient_is_that_of_a_finite_difference() {
        let heads = Heads { width: 6, heads: 2, tokens: 5 };
        let all: Vec<f32> = (0..90).map(|i| (i as f32 * 0.77).sin()).collect();
        let weights: Vec<f32> = (0..30).map(|i| (i as f32 * 1.3).cos()).collect();
        let run = |all: &[f32]| {
            let (mut shares, mut attended) = (vec![0.0; heads.shares()], vec![0.0; 30]);
            heads.attend(all, &mut shares, &mut attended, &mut Scratch::default());
            (shares, attended.iter().zip(&weights).map(|(a, w)| f64::from(a * w)).sum::<f64>())
        };
        let mut gradient = vec![9.0; 90];
        heads.back(&all, &run(&all).0, &weights, &mut gradient, &mut Scratch::default());
        for (i, &got) in gradient.iter().enumerate() {
            let moved =
                |by: f32| all.iter().enumerate().map(|(j, v)| v + if i == j { by } else { 0.0 }).collect::<Vec<_>>();
            let difference = (run(&moved(1e-2)).1 - run(&moved(-1e-2)).1) / 2e-2;
            assert!((difference - f64::from(got)).abs() < 1e-3, "{i}: {difference} {got}");
        }
    }
}
