//! The learning rate schedule: linear warm-up, then a cosine.

use crate::TrainingConfig;

/// The learning rate of the last step as a share of the peak.
const FINAL_SHARE: f64 = 0.02;

/// The learning rate of a step, counted from 1: a linear warm-up, then one cosine cycle down to [`FINAL_SHARE`] of the
/// peak (Loshchilov and Hutter 2017, "SGDR", eq. 5).
pub(crate) fn learning_rate(step: usize, config: &TrainingConfig) -> f64 {
    let TrainingConfig { steps, warmup_steps: warmup, learning_rate: peak, .. } = *config;
    if step <= warmup {
        return peak * step as f64 / warmup as f64;
    }
    let done = (step - warmup) as f64 / (steps - warmup).max(1) as f64;
    peak * (FINAL_SHARE + (1.0 - FINAL_SHARE) * 0.5 * (1.0 + (done * std::f64::consts::PI).cos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_learning_rate_rises_linearly_and_falls_as_a_cosine() {
        let config = TrainingConfig { steps: 1100, warmup_steps: 100, learning_rate: 1.0, ..TrainingConfig::default() };
        let rate = |step| learning_rate(step, &config);
        assert_eq!((rate(50), rate(100)), (0.5, 1.0));
        // Half way down the cosine: 0.02 + 0.98 / 2.
        assert!((rate(600) - 0.51).abs() < 1e-12 && (rate(1100) - 0.02).abs() < 1e-12);
    }
}
