//! Layer norm without its gain and shift (those are part of the next layer's weights), and its gradient, vectorised at run time.

use super::buffer::Buffer;
use super::dispatch::dispatched;
use super::sum::{dot, sum};

/// Small enough not to matter, as in the backends' layer norm.
const EPSILON: f32 = 1e-5;

/// Normalised rows, and what the gradient needs beside them.
#[derive(Default)]
pub struct Normalised {
    pub rows: Buffer,
    /// 1 / deviation of each row.
    inverse: Buffer,
}

impl Normalised {
    /// Normalises the rows of `x`.
    pub fn set(&mut self, x: &[f32], width: usize) {
        self.rows.resize(x.len());
        self.inverse.resize(x.len() / width);
        normalise(x, width, &mut self.rows, &mut self.inverse);
    }

    /// Adds to `out` the gradient with respect to the rows that were normalised, given that with respect to the result.
    ///
    /// With `n = (x - mean) / deviation`: `dx = (dn - mean(dn) - n mean(dn n)) / deviation`.
    pub fn back(&self, slope: &[f32], width: usize, out: &mut [f32]) {
        normalise_back(&self.rows, &self.inverse, slope, width, out);
    }
}

dispatched! {
    pub fn normalise = normalise_rows(x: &'a [f32], width: usize, rows: &'a mut [f32], inverse: &'a mut [f32])
}

dispatched! {
    pub fn normalise_back =
        add_gradient(rows: &'a [f32], inverse: &'a [f32], slope: &'a [f32], width: usize, out: &'a mut [f32])
}

#[inline(always)]
fn normalise_rows(x: &[f32], width: usize, rows: &mut [f32], inverse: &mut [f32]) {
    let of_mean = 1.0 / width as f32;
    for ((x, row), inverse) in x.chunks_exact(width).zip(rows.chunks_exact_mut(width)).zip(inverse) {
        let mean = sum(x) * of_mean;
        row.iter_mut().zip(x).for_each(|(r, x)| *r = x - mean);
        *inverse = 1.0 / (dot(row, row) * of_mean + EPSILON).sqrt();
        row.iter_mut().for_each(|r| *r *= *inverse);
    }
}

#[inline(always)]
fn add_gradient(rows: &[f32], inverse: &[f32], slope: &[f32], width: usize, out: &mut [f32]) {
    let of_mean = 1.0 / width as f32;
    let rows = rows.chunks_exact(width).zip(inverse);
    for (((row, inverse), slope), out) in rows.zip(slope.chunks_exact(width)).zip(out.chunks_exact_mut(width)) {
        let (mean, along) = (sum(slope) * of_mean, dot(slope, row) * of_mean);
        for ((out, slope), row) in out.iter_mut().zip(slope).zip(row) {
            *out += (slope - mean - row * along) * inverse;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_mean_zero_and_deviation_one() {
        // Mean 3, variance (4 + 0 + 4 + 0) / 4 = 2: (-2, 0, 2, 0) / sqrt 2.
        let mut normalised = Normalised::default();
        normalised.set(&[1.0, 3.0, 5.0, 3.0, 7.0, 7.0, 7.0, 7.0], 4);
        let (root, rows) = (2.0f32.sqrt(), &normalised.rows);
        assert!(rows.iter().zip([-root, 0.0, root, 0.0, 0.0, 0.0, 0.0, 0.0]).all(|(a, b)| (a - b).abs() < 1e-5));
    }

    #[test]
    fn the_gradient_is_that_of_a_finite_difference() {
        let width = 21;
        let x: Vec<f32> = (0..width).map(|i| (i as f32 * 1.7).sin()).collect();
        let weights: Vec<f32> = (0..width).map(|i| (i as f32 * 0.9).cos()).collect();
        let scalar = |x: &[f32]| {
            let mut normalised = Normalised::default();
            normalised.set(x, width);
            normalised.rows.iter().zip(&weights).map(|(r, w)| f64::from(r * w)).sum::<f64>()
        };
        let mut normalised = Normalised::default();
        normalised.set(&x, width);
        let mut gradient = vec![1.0; width];
        normalised.back(&weights, width, &mut gradient);
        for (i, &got) in gradient.iter().enumerate() {
            let moved =
                |by: f32| x.iter().enumerate().map(|(j, v)| v + if i == j { by } else { 0.0 }).collect::<Vec<_>>();
            let difference = (scalar(&moved(1e-2)) - scalar(&moved(-1e-2))) / 2e-2;
            // Added to the ones that were there.
            assert!((difference + 1.0 - f64::from(got)).abs() < 2e-3, "{i}: {difference} {got}");
        }
    }
}
