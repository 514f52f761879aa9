//! A plan whose positions move as its velocities say.

use std::ops::Range;

use super::{Cost, Future};

/// `weight` times the time integral, over channels, of `max(0, |d| - tolerance)^2` with the defect
/// `d = (p[k+n] - p[k]) / (n period) - mean of v over k..k+n` (`n` frames in `over_s`, the mean by the trapezoidal rule), in
/// (unit/s)^2 s. A plan that jumps, because a known future observation was put where the robot cannot be, shows it here.
/// An interval longer than a frame, and the tolerance, keep the small noise of sampled frames from drowning it.
pub struct Consistency {
    pub weight: f64,
    /// The channels of the position-like group.
    pub of: Range<usize>,
    /// The channels of its rate, as many.
    pub rate: Range<usize>,
    /// Length of the interval, seconds.
    pub over_s: f64,
    /// Defects up to this cost nothing, unit/s.
    pub tolerance: f64,
}

impl Cost for Consistency {
    fn name(&self) -> &'static str {
        "consistency"
    }

    fn evaluate(&self, future: &Future, gradient: &mut [f32]) -> f64 {
        let frames = future.frames().len();
        let n = ((self.over_s / future.period_s).round() as usize).clamp(1, frames.saturating_sub(1).max(1));
        let value = |frame: usize, channel: usize| f64::from(future.values[frame * future.channels + channel]);
        let span_s = n as f64 * future.period_s;
        let mut cost = 0.0;
        for (p, v) in self.of.clone().zip(self.rate.clone()) {
            for k in 0..frames.saturating_sub(n) {
                // Trapezoidal rule: the ends of the interval count half.
                let weight_of = |j: usize| if j == k || j == k + n { 0.5 / n as f64 } else { 1.0 / n as f64 };
                let rate: f64 = (k..=k + n).map(|j| weight_of(j) * value(j, v)).sum();
                let defect = (value(k + n, p) - value(k, p)) / span_s - rate;
                let beyond = (defect.abs() - self.tolerance).max(0.0) * defect.signum();
                cost += self.weight * future.period_s * beyond * beyond;
                let slope = 2.0 * self.weight * future.period_s * beyond;
                gradient[(k + n) * future.channels + p] += (slope / span_s) as f32;
                gradient[k * future.channels + p] -= (slope / span_s) as f32;
                for j in k..=k + n {
                    gradient[j * future.channels + v] -= (slope * weight_of(j)) as f32;
                }
            }
        }
        cost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guidance::cost::assert_gradient;

    fn with(over_s: f64, tolerance: f64) -> Consistency {
        Consistency { weight: 0.5, of: 0..1, rate: 1..2, over_s, tolerance }
    }

    #[test]
    fn a_coherent_plan_costs_nothing_and_a_jump_its_square() {
        let cost = |values: &[f32], tolerance| {
            with(0.1, tolerance).evaluate(&Future { values, channels: 2, period_s: 0.1, goal: &[] }, &mut [0.0; 6])
        };
        // 1 m/s for 0.1 s is 0.1 m.
        assert!(cost(&[0.0, 1.0, 0.1, 1.0, 0.2, 1.0], 0.0) < 1e-12);
        // The second step is 0.3 m instead of 0.1 m: 2 m/s of defect; 0.5 * 0.1 s * (0 + 2^2) = 0.2.
        assert!((cost(&[0.0, 1.0, 0.1, 1.0, 0.4, 1.0], 0.0) - 0.2).abs() < 1e-5);
        // With a tolerance of 1.5 m/s: 0.5 * 0.1 s * 0.5^2.
        assert!((cost(&[0.0, 1.0, 0.1, 1.0, 0.4, 1.0], 1.5) - 0.0125).abs() < 1e-5);
    }

    #[test]
    fn the_gradient_is_that_of_a_finite_difference() {
        for (over_s, tolerance) in [(0.1, 0.0), (0.2, 0.0), (0.1, 0.8)] {
            assert_gradient(&with(over_s, tolerance), &[0.0, 0.2, 0.05, -0.3, 0.1, 0.6, 0.3, 0.1], 2, &[]);
        }
    }
}
