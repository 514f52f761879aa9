//! Layer norm (Ba et al. 2016) without its gain and shift, and its gradient, vectorised at run time. Gain and shift
//! are part of the next layer's weights (`packed_weights`).
//!
//! Layouts: inputs, outputs and gradients are `[row, width]`; `inverse_std` is `[row]`.

use super::buffer::Buffer;
use super::dispatch::dispatched;
use super::sum::{dot, sum};

/// Added to the variance so that a constant row does not divide by zero: the value of Burn's and PyTorch's layer norm.
const EPSILON: f32 = 1e-5;

/// Normalised rows and their inverse standard deviations, which the gradient needs.
#[derive(Default)]
pub(crate) struct Normalised {
    /// `[row, width]`, each row with mean 0 and standard deviation 1.
    pub(crate) rows: Buffer,
    /// 1 / standard deviation, `[row]`.
    inverse_std: Buffer,
}

impl Normalised {
    /// Normalises the rows of `x`, `[row, width]`.
    pub(crate) fn forward(&mut self, x: &[f32], width: usize) {
        self.rows.resize(x.len());
        self.inverse_std.resize(x.len() / width);
        normalise(x, width, &mut self.rows, &mut self.inverse_std);
    }

    /// Adds to `out` the gradient with respect to the input of [`Normalised::forward`], given that with respect to its
    /// result.
    ///
    /// With `n = (x - mean) / std`: `dx = (dn - mean(dn) - n mean(dn n)) / std`.
    pub(crate) fn backward(&self, gradient: &[f32], width: usize, out: &mut [f32]) {
        normalise_backward(&self.rows, &self.inverse_std, gradient, width, out);
    }
}

dispatched! {
    /// Writes normalised `rows`, `[row, width]`, and `inverse_std`, `[row]`.
    fn normalise = normalise_rows(x: &'a [f32], width: usize, rows: &'a mut [f32], inverse_std: &'a mut [f32])
}

dispatched! {
    /// Adds the gradient with respect to the input to `out`, `[row, width]`.
    fn normalise_backward =
        add_gradient(rows: &'a [f32], inverse_std: &'a [f32], gradient: &'a [f32], width: usize, out: &'a mut [f32])
}

#[inline(always)]
fn normalise_rows(x: &[f32], width: usize, rows: &mut [f32], inverse_std: &mut [f32]) {
    let per_value = 1.0 / width as f32;
    for ((x, row), inverse) in x.chunks_exact(width).zip(rows.chunks_exact_mut(width)).zip(inverse_std) {
        let mean = sum(x) * per_value;
        row.iter_mut().zip(x).for_each(|(r, x)| *r = x - mean);
        *inverse = 1.0 / (dot(row, row) * per_value + EPSILON).sqrt();
        row.iter_mut().for_each(|r| *r *= *inverse);
    }
}

#[inline(always)]
fn add_gradient(rows: &[f32], inverse_std: &[f32], gradient: &[f32], width: usize, out: &mut [f32]) {
    let per_value = 1.0 / width as f32;
    let rows = rows.chunks_exact(width).zip(inverse_std);
    for (((row, inverse), gradient), out) in rows.zip(gradient.chunks_exact(width)).zip(out.chunks_exact_mut(width)) {
        let (mean, along) = (sum(gradient) * per_value, dot(gradient, row) * per_value);
        for ((out, gradient), row) in out.iter_mut().zip(gradient).zip(row) {
            *out += (gradient - mean - row * along) * inverse;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_mean_zero_and_standard_deviation_one() {
        // Mean 3, variance (4 + 0 + 4 + 0) / 4 = 2: (-2, 0, 2, 0) / sqrt 2.
        let mut normalised = Normalised::default();
        normalised.forward(&[1.0, 3.0, 5.0, 3.0, 7.0, 7.0, 7.0, 7.0], 4);
        let (root, rows) = (2.0f32.sqrt(), &normalised.rows);
        assert!(rows.iter().zip([-root, 0.0, root, 0.0, 0.0, 0.0, 0.0, 0.0]).all(|(a, b)| (a - b).abs() < 1e-5));
    }

    #[test]
    fn the_gradient_equals_a_finite_difference_and_is_added_to_the_buffer() {
        let width = 21;
        let x: Vec<f32> = (0..width).map(|i| (i as f32 * 1.7).sin()).collect();
        let weights: Vec<f32> = (0..width).map(|i| (i as f32 * 0.9).cos()).collect();
        let scalar = |x: &[f32]| {
            let mut normalised = Normalised::default();
            normalised.forward(x, width);
            normalised.rows.iter().zip(&weights).map(|(r, w)| f64::from(r * w)).sum::<f64>()
        };
        let mut normalised = Normalised::default();
        normalised.forward(&x, width);
        let mut gradient = vec![1.0; width];
        normalised.backward(&weights, width, &mut gradient);
        for (i, &got) in gradient.iter().enumerate() {
            let moved =
                |by: f32| x.iter().enumerate().map(|(j, v)| v + if i == j { by } else { 0.0 }).collect::<Vec<_>>();
            let difference = (scalar(&moved(1e-2)) - scalar(&moved(-1e-2))) / 2e-2;
            // Added to the ones that `out` held.
            assert!((difference + 1.0 - f64::from(got)).abs() < 2e-3, "{i}: {difference} {got}");
        }
    }
}
