//! Activations and their gradients, vectorised at run time. Every function works element by element on slices of one
//! length.

use super::dispatch::dispatched;

dispatched! {
    /// `out = x sigmoid(x)`.
    fn silu = silu_of(x: &'a [f32], out: &'a mut [f32])
}

dispatched! {
    /// Turns the gradient with respect to [`silu`]'s output into that with respect to its input `x`, in place.
    fn silu_backward = silu_derivative(x: &'a [f32], gradient: &'a mut [f32])
}

dispatched! {
    /// Turns the gradient with respect to a ReLU's output into that with respect to its input, in place: zero where
    /// `output` is.
    fn relu_backward = relu_derivative(output: &'a [f32], gradient: &'a mut [f32])
}

#[inline(always)]
fn silu_of(x: &[f32], out: &mut [f32]) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = x * sigmoid(x);
    }
}

#[inline(always)]
fn silu_derivative(x: &[f32], gradient: &mut [f32]) {
    for (gradient, &x) in gradient.iter_mut().zip(x) {
        let gate = sigmoid(x);
        *gradient *= gate * (1.0 + x * (1.0 - gate));
    }
}

#[inline(always)]
fn relu_derivative(output: &[f32], gradient: &mut [f32]) {
    for (gradient, &output) in gradient.iter_mut().zip(output) {
        *gradient = if output > 0.0 { *gradient } else { 0.0 };
    }
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `e^x` without branches or calls, so that loops over it become vector code.
///
/// Method and coefficients: `expf` of the Cephes library (S. L. Moshier, 1989, `single/expf.c`): `x = n ln 2 + r` with
/// `ln 2` in two parts, then a polynomial in `r`. Relative error below 2e-7 (a test). `x` is clamped to the range
/// whose results are normal numbers; NaN stays NaN.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const MIN_X: f32 = -87.0;
    const MAX_X: f32 = 88.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    /// 1.5 * 2^23: added, it leaves the nearest whole number in the last bits.
    const ROUND: f32 = 12_582_912.0;
    const EXPONENT_BITS: u32 = 23;
    const EXPONENT_BIAS: u32 = 127;
    // Not `max` and `min`, which would turn NaN into a number.
    let x = x.clamp(MIN_X, MAX_X);
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    let mut p = 1.987_569_1e-4;
    for coefficient in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p * r + coefficient;
    }
    let power_of_two = f32::from_bits(rounded.to_bits().wrapping_add(EXPONENT_BIAS) << EXPONENT_BITS);
    (p * r * r + r + 1.0) * power_of_two
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_has_a_relative_error_below_2e_7() {
        for i in -870_000..880_000 {
            let x = i as f32 * 1e-4;
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) / exact - 1.0).abs() < 2e-7, "{x}: {} instead of {exact}", exp(x));
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(f32::NEG_INFINITY) < 2e-38 && exp(1e9) > 1e38 && exp(1e9).is_finite());
    }

    #[test]
    fn silu_and_its_derivative_have_the_exact_values() {
        // silu(1) = 1 / (1 + 1/e) = 0.7310586; its derivative there: 0.7310586 (1 + 0.2689414) = 0.9276706; at 0: 0
        // and 1/2.
        let x = [1.0, 0.0, -100.0];
        let (mut out, mut gradient) = ([9.0; 3], [2.0; 3]);
        silu(&x, &mut out);
        silu_backward(&x, &mut gradient);
        assert!((out[0] - 0.731_058_6).abs() < 1e-6 && out[1] == 0.0 && out[2].abs() < 1e-35, "{out:?}");
        assert!((gradient[0] - 1.855_341).abs() < 1e-6 && gradient[1] == 1.0, "{gradient:?}");
        assert!(gradient[2].abs() < 1e-35, "{gradient:?}");
    }

    #[test]
    fn relu_backward_keeps_the_gradient_of_positive_outputs_only() {
        let mut gradient = [2.0, 3.0, 4.0];
        relu_backward(&[0.5, 0.0, -0.0], &mut gradient);
        assert_eq!(gradient, [2.0, 0.0, 0.0]);
    }
}
