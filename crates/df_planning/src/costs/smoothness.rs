//! Smoothness: a small rate of change, acceleration or jerk from frame to frame.

use serde::Deserialize;

use super::binding::{Binding, PerChannel, Selection};
use super::cost::{Cost, Rollout};
use super::error::CostError;
use super::factory::CostFactory;

/// `weight` times the time integral, over channels, of `(D / scale)^2` with the `order`-th finite difference over
/// consecutive frames, `D = (v[k+1] - v[k]) / period` for order 1, `(v[k+2] - 2 v[k+1] + v[k]) / period^2` for 2,
/// `(v[k+3] - 3 v[k+2] + 3 v[k+1] - v[k]) / period^3` for 3, in (unit / s^order / scale)^2 s.
///
/// Order 3 of a position, 2 of a velocity and 1 of an acceleration are the jerk. The frames of the history take
/// part. A jump between the last command and the first planned one therefore costs as any other.
pub(super) struct SmoothnessCost {
    /// Factor of the cost.
    pub(super) weight: f64,
    /// Channels of a frame.
    pub(super) of: Vec<usize>,
    /// Order of the difference, 1 to 3.
    pub(super) order: usize,
    /// `1 / scale^2`, one per channel of `of`.
    pub(super) inverse_squares: Vec<f64>,
}

/// Coefficients of `v[k], v[k+1], ...` by order: binomial coefficients with alternating signs.
const COEFFICIENTS: [&[f64]; 4] = [&[1.0], &[-1.0, 1.0], &[1.0, -2.0, 1.0], &[-1.0, 3.0, -3.0, 1.0]];

/// The keys of [`SmoothnessCost`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SmoothnessCostConfig {
    #[serde(default = "Selection::action")]
    of: Selection,
    #[serde(default = "rate")]
    order: usize,
    #[serde(default = "PerChannel::one")]
    scale: PerChannel<f64>,
}

fn rate() -> usize {
    1
}

impl CostFactory for SmoothnessCost {
    const NAME: &'static str = "smoothness";
    type Config = SmoothnessCostConfig;

    fn bind(config: SmoothnessCostConfig, binding: &Binding) -> Result<Self, CostError> {
        let SmoothnessCostConfig { of, order, scale } = config;
        binding.require((1..COEFFICIENTS.len()).contains(&order), "order", order, "must be 1, 2 or 3")?;
        let of = binding.channels("of", &of)?;
        let inverse_squares = binding.inverse_squares(&scale, of.len())?;
        Ok(Self { weight: binding.config.weight, of, order, inverse_squares })
    }
}

impl Cost for SmoothnessCost {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn weight(&mut self) -> &mut f64 {
        &mut self.weight
    }

    fn evaluate(&self, rollout: &Rollout, gradient: &mut [f32]) -> f64 {
        let coefficients = COEFFICIENTS[self.order];
        let differences = rollout.frames().len().saturating_sub(self.order);
        let per_s = rollout.period_s.powi(self.order as i32).recip();
        let mut cost = 0.0;
        for (&c, inverse_square) in self.of.iter().zip(&self.inverse_squares) {
            let factor = self.weight * rollout.period_s * inverse_square;
            for k in 0..differences {
                let at = |j: usize| (k + j) * rollout.channels + c;
                let terms = coefficients.iter().enumerate();
                let difference = per_s * terms.map(|(j, a)| a * f64::from(rollout.values[at(j)])).sum::<f64>();
                cost += factor * difference * difference;
                for (j, a) in coefficients.iter().enumerate() {
                    gradient[at(j)] += (2.0 * factor * difference * per_s * a) as f32;
                }
            }
        }
        cost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::costs::test_support::{assert_gradient, cost_of, refusal};

    fn with(order: usize) -> SmoothnessCost {
        SmoothnessCost { weight: 2.0, of: vec![0], order, inverse_squares: vec![0.25] }
    }

    #[test]
    fn the_cost_is_the_one_computed_by_hand() {
        let cost = |order, values: &[f32]| cost_of(&with(order), values, 1);
        // 0, 0.1, 0.4, 0.9: rates 1, 3, 5 per s. 2 * 0.1 s * (1 + 9 + 25) / 4 = 1.75.
        assert!((cost(1, &[0.0, 0.1, 0.4, 0.9]) - 1.75).abs() < 1e-5);
        // Accelerations (3 - 1) / 0.1 and (5 - 3) / 0.1: 2 * 0.1 * (400 + 400) / 4 = 40.
        assert!((cost(2, &[0.0, 0.1, 0.4, 0.9]) - 40.0).abs() < 1e-3);
        // Constant acceleration has no jerk; a last value 0.1 higher has 0.1 / 0.001: 0.2 * 100^2 / 4 = 500.
        assert!(cost(3, &[0.0, 0.1, 0.4, 0.9]) < 1e-3);
        assert!((cost(3, &[0.0, 0.1, 0.4, 1.0]) - 500.0).abs() < 1e-1);
        // Too short for a difference.
        assert_eq!(cost(3, &[0.0, 5.0, 0.0]), 0.0);
    }

    #[test]
    fn a_polynomial_of_lower_degree_is_smooth_and_its_own_degree_is_constant() {
        for order in 1..=3 {
            // t^degree at t = 0, 0.1, ...: its derivative of that order is 0, or order!.
            let of_degree = |degree: i32| {
                let values: Vec<f32> = (0..8).map(|k| (0.1 * k as f32).powi(degree)).collect();
                cost_of(&with(order), &values, 1) / (2.0 * 0.1 * 0.25 * (8 - order) as f64)
            };
            let factorial = (1..=order).product::<usize>() as f64;
            assert!(of_degree(order as i32 - 1) < 1e-4, "order {order}");
            assert!((of_degree(order as i32).sqrt() - factorial).abs() < 1e-2, "order {order}");
        }
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        for order in 1..=3 {
            let cost = SmoothnessCost { of: vec![1, 0], inverse_squares: vec![1e-3, 2e-3], ..with(order) };
            assert_gradient(&cost, &[0.0, 0.2, 0.05, -0.3, 0.1, 0.6, 0.3, 0.1, 0.4, 0.2], 2, &[]);
        }
    }

    #[test]
    fn an_order_is_1_2_or_3() {
        assert_eq!(refusal("{kind: smoothness, weight: 1, order: 4}"), "costs[0].order: 4: must be 1, 2 or 3");
        assert_eq!(refusal("{kind: smoothness, weight: 1, order: 0}"), "costs[0].order: 0: must be 1, 2 or 3");
    }
}
