//! Statistical tests whether samples come from a given normal distribution, at a stated significance.

use nalgebra::{DMatrix, DVector};

/// Each test fails a correct sampler with this probability (one-sided normal quantile beside it).
pub const SIGNIFICANCE: f64 = 1e-4;
const NORMAL_QUANTILE: f64 = 3.719;

/// Upper quantile of chi-squared with `k` degrees of freedom at [`SIGNIFICANCE`] (Wilson and Hilferty 1931).
pub fn chi_squared_quantile(k: f64) -> f64 {
    let spread = 2.0 / (9.0 * k);
    k * (1.0 - spread + NORMAL_QUANTILE * spread.sqrt()).powi(3)
}

/// Hotelling's statistic of the mean and the likelihood-ratio statistic of the covariance, each over its quantile:
/// below 1 passes.
///
/// With `n` samples of `d` values: `n (m - mean)' C^-1 (m - mean)` is chi-squared with `d` degrees of freedom, and `n
/// (tr(C^-1 S) - log det(C^-1 S) - d)`, `S` about the true mean, nearly so with `d (d + 1) / 2` (Anderson 2003, 10.8).
pub fn against_normal(samples: &[DVector<f64>], mean: &DVector<f64>, covariance: &DMatrix<f64>) -> (f64, f64) {
    let (n, d) = (samples.len() as f64, mean.len() as f64);
    let centre = samples.iter().sum::<DVector<f64>>() / n;
    let scatter = samples.iter().map(|s| (s - mean) * (s - mean).transpose()).sum::<DMatrix<f64>>() / n;
    let root = covariance.clone().cholesky().expect("a covariance");
    let off = &centre - mean;
    let of_mean = n * off.dot(&root.solve(&off));
    let ratio = root.solve(&scatter);
    let of_covariance = n * (ratio.trace() - ratio.determinant().ln() - d);
    (of_mean / chi_squared_quantile(d), of_covariance / chi_squared_quantile(d * (d + 1.0) / 2.0))
}

/// Tests whether two sets of samples have the same mean and the same covariance. Both statistics over their quantiles:
/// below 1 passes.
///
/// Hotelling's two-sample statistic, and the likelihood ratio of equal covariances (Anderson 2003, 5.3 and 10.2), for
/// many samples.
pub fn two_samples(a: &[DVector<f64>], b: &[DVector<f64>]) -> (f64, f64) {
    let moments = |samples: &[DVector<f64>]| {
        let n = samples.len() as f64;
        let mean = samples.iter().sum::<DVector<f64>>() / n;
        let scatter = samples.iter().map(|s| (s - &mean) * (s - &mean).transpose()).sum::<DMatrix<f64>>() / n;
        (n, mean, scatter)
    };
    let ((na, ma, ca), (nb, mb, cb)) = (moments(a), moments(b));
    let pooled = (&ca * na + &cb * nb) / (na + nb);
    let off = ma - mb;
    let solved = pooled.clone().cholesky().expect("a covariance").solve(&off);
    let of_mean = na * nb / (na + nb) * off.dot(&solved);
    let log_det = |c: &DMatrix<f64>| c.determinant().ln();
    let of_covariance = (na + nb) * log_det(&pooled) - na * log_det(&ca) - nb * log_det(&cb);
    let d = off.len() as f64;
    (of_mean / chi_squared_quantile(d), of_covariance / chi_squared_quantile(d * (d + 1.0) / 2.0))
}

#[test]
fn chi_squared_quantiles_agree_with_tables() {
    // R: qchisq(1e-4, k, lower.tail = FALSE) = 23.513 (k = 4), 35.564 (k = 10), 161.319 (k = 100).
    for (k, exact) in [(4.0, 23.513), (10.0, 35.564), (100.0, 161.319)] {
        let got = chi_squared_quantile(k);
        assert!((got / exact - 1.0).abs() < 0.03, "{k}: {got}");
    }
}

#[test]
fn the_statistics_detect_a_wrong_mean_and_a_wrong_covariance() {
    use rand::SeedableRng;
    use rand_distr::{Distribution, StandardNormal};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let mut draw = |scale: f64, offset: f64| -> Vec<DVector<f64>> {
        (0..3000)
            .map(|_| {
                DVector::from_fn(4, |_, _| {
                    let z: f64 = StandardNormal.sample(&mut rng);
                    offset + scale * z
                })
            })
            .collect()
    };
    let (right, shifted, wide) = (draw(1.0, 0.0), draw(1.0, 0.1), draw(1.06, 0.0));
    let against = |samples: &[DVector<f64>]| against_normal(samples, &DVector::zeros(4), &DMatrix::identity(4, 4));
    assert!(against(&right).0 < 1.0 && against(&right).1 < 1.0);
    assert!(against(&shifted).0 > 1.0 && against(&wide).1 > 1.0);
    assert!(two_samples(&right, &draw(1.0, 0.0)).0 < 1.0 && two_samples(&right, &draw(1.0, 0.0)).1 < 1.0);
    assert!(two_samples(&right, &shifted).0 > 1.0 && two_samples(&right, &wide).1 > 1.0);
}
