//! Be at the goal as early as possible, and stay.

use std::ops::Range;

use super::{Cost, Future};

/// Within this distance the cost turns from linear to quadratic, so that its gradient does not jump at the goal. In the
/// unit of the group.
const ROUNDING: f64 = 0.1;

/// `weight` times the mean over the future frames of the distance to the goal, `sqrt(d^2 + r^2) - r` with `r` =
/// [`ROUNDING`]. The earlier the arrival, the more frames have distance 0.
pub struct Goal {
    pub weight: f64,
    /// The channels of the goal's group.
    pub channels: Range<usize>,
}

impl Cost for Goal {
    fn name(&self) -> &'static str {
        "goal"
    }

    fn evaluate(&self, future: &Future, gradient: &mut [f32]) -> f64 {
        if future.goal.is_empty() {
            return 0.0;
        }
        let per_frame = self.weight / future.frames().len().max(1) as f64;
        let mut cost = 0.0;
        for (frame, gradient) in future.frames().zip(gradient.chunks_exact_mut(future.channels)) {
            let apart = |i: usize| f64::from(frame[self.channels.start + i]) - future.goal[i];
            let rounded = (0..future.goal.len()).map(|i| apart(i).powi(2)).sum::<f64>() + ROUNDING * ROUNDING;
            let distance = rounded.sqrt();
            cost += per_frame * (distance - ROUNDING);
            for i in 0..future.goal.len() {
                gradient[self.channels.start + i] += (per_frame * apart(i) / distance) as f32;
            }
        }
        cost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guidance::cost::assert_gradient;

    const COST: fn() -> Goal = || Goal { weight: 2.0, channels: 1..3 };

    #[test]
    fn by_hand() {
        // Two frames 3-4-5 away and one at the goal: 2 * (2 * (sqrt(25.01) - 0.1) + 0) / 3.
        let values = [9.0, 3.0, 4.0, 9.0, 0.0, 0.0, 9.0, -3.0, 4.0];
        let cost =
            COST().evaluate(&Future { values: &values, channels: 3, period_s: 0.1, goal: &[0.0, 0.0] }, &mut [0.0; 9]);
        assert!((cost - 4.0 * (25.01f64.sqrt() - 0.1) / 3.0).abs() < 1e-9);
    }

    #[test]
    fn the_gradient_is_that_of_a_finite_difference() {
        assert_gradient(&COST(), &[0.3, 1.0, -0.5, 0.1, 0.2, 0.25, 0.0, 2.0, 1.5], 3, &[0.2, 0.3]);
    }
}
