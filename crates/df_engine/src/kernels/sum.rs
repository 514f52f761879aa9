//! Sums and maxima that become vector code, by sixteen partial ones. Partial sums are also more exact than a single
//! one.
//!
//! Value `i` goes to partial sum `i % 16`; the partial sums are then added in halves: 0 to 8, 1 to 9, and so on.

/// How many partial sums: the values in a vector of AVX-512.
const PARTS: usize = 16;

/// The sum of the values.
#[inline(always)]
pub(crate) fn sum(values: &[f32]) -> f32 {
    let mut parts = [0.0; PARTS];
    let (chunks, rest) = values.as_chunks::<PARTS>();
    for chunk in chunks {
        for i in 0..PARTS {
            parts[i] += chunk[i];
        }
    }
    parts.iter_mut().zip(rest).for_each(|(p, v)| *p += v);
    total(parts)
}

/// The sum of the products `a[i] * b[i]`, over the length of the shorter slice.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut parts = [0.0; PARTS];
    let ((a, rest_of_a), (b, rest_of_b)) = (a.as_chunks::<PARTS>(), b.as_chunks::<PARTS>());
    for (a, b) in a.iter().zip(b) {
        for i in 0..PARTS {
            parts[i] += a[i] * b[i];
        }
    }
    parts.iter_mut().zip(rest_of_a.iter().zip(rest_of_b)).for_each(|(p, (a, b))| *p += a * b);
    total(parts)
}

/// The largest value, NaN left out; minus infinity if there is none.
#[inline(always)]
pub(crate) fn max(values: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut parts = [f32::NEG_INFINITY; PARTS];
    let (chunks, rest) = values.as_chunks::<PARTS>();
    for chunk in chunks {
        for i in 0..PARTS {
            parts[i] = larger(parts[i], chunk[i]);
        }
    }
    parts.iter_mut().zip(rest).for_each(|(p, v)| *p = larger(*p, *v));
    in_halves(parts, larger)
}

#[inline(always)]
fn total(parts: [f32; PARTS]) -> f32 {
    in_halves(parts, |a, b| a + b)
}

#[inline(always)]
fn in_halves(mut parts: [f32; PARTS], join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = PARTS / 2;
    while half > 0 {
        for i in 0..half {
            parts[i] = join(parts[i], parts[i + half]);
        }
        half /= 2;
    }
    parts[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_maxima_count_whole_chunks_and_the_rest() {
        // 0 + 1 + ... + 36 = 37 * 36 / 2; 0 + 1 + 4 + ... + 36^2 = 36 * 37 * 73 / 6.
        let values: Vec<f32> = (0..37).map(|i| i as f32).collect();
        assert_eq!(sum(&values), 666.0);
        assert_eq!(dot(&values, &values), 16206.0);
        assert_eq!(sum(&[]), 0.0);
        assert_eq!((max(&values), max(&[-3.0, f32::NAN, -2.0]), max(&[])), (36.0, -2.0, f32::NEG_INFINITY));
    }
}
