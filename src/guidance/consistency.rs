//! A plan whose positions move as its velocities say.

use std::ops::Range;

use super::{Cost, Future};

/// `weight` times the mean over frames and channels of `((p[k+1] - p[k]) / period - (v[k] + v[k+1]) / 2)^2`, in (unit/s)^2:
/// the trapezoidal rule's defect. A plan that jumps, because a known future observation was put where the robot cannot be,
/// shows it here.
pub struct Consistency {
    pub weight: f64,
    /// The channels of the position-like group.
    pub of: Range<usize>,
    /// The channels of its rate, as many.
    pub rate: Range<usize>,
}

impl Cost for Consistency {
    fn name(&self) -> &'static str {
        "consistency"
    }

    fn evaluate(&self, future: &Future, gradient: &mut [f32]) -> f64 {
        let channels = self.of.len().min(self.rate.len());
        let steps = future.frames().len().saturating_sub(1);
        if steps == 0 || channels == 0 {
            return 0.0;
        }
        let each = self.weight / (steps * channels) as f64;
        let value = |frame: usize, channel: usize| f64::from(future.values[frame * future.channels + channel]);
        let mut cost = 0.0;
        for k in 0..steps {
            for i in 0..channels {
                let (p, v) = (self.of.start + i, self.rate.start + i);
                let defect = (value(k + 1, p) - value(k, p)) / future.period_s - 0.5 * (value(k, v) + value(k + 1, v));
                cost += each * defect * defect;
                let slope = 2.0 * each * defect;
                let mut add =
                    |frame: usize, channel: usize, by: f64| gradient[frame * future.channels + channel] += by as f32;
                add(k + 1, p, slope / future.period_s);
                add(k, p, -slope / future.period_s);
                add(k, v, -0.5 * slope);
                add(k + 1, v, -0.5 * slope);
            }
        }
        cost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guidance::cost::assert_gradient;

    const COST: fn() -> Consistency = || Consistency { weight: 0.5, of: 0..1, rate: 1..2 };

    #[test]
    fn a_coherent_plan_costs_nothing_and_a_jump_its_square() {
        let cost =
            |values: &[f32]| COST().evaluate(&Future { values, channels: 2, period_s: 0.1, goal: &[] }, &mut [0.0; 6]);
        // 1 m/s for 0.1 s is 0.1 m.
        assert!(cost(&[0.0, 1.0, 0.1, 1.0, 0.2, 1.0]) < 1e-12);
        // The second step is 0.3 m instead of 0.1 m: 2 m/s of defect; 0.5 * (0 + 2^2) / 2 = 1.
        assert!((cost(&[0.0, 1.0, 0.1, 1.0, 0.4, 1.0]) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn the_gradient_is_that_of_a_finite_difference() {
        assert_gradient(&COST(), &[0.0, 0.2, 0.05, -0.3, 0.1, 0.6, 0.3, 0.1], 2, &[]);
    }
}
