//! Be at the goal as early as possible, and stay.

use std::ops::Range;

use serde::Deserialize;

use super::binding::Binding;
use super::cost::ROUNDING;
use super::kinds::Kind;
use super::{Cost, CostError, Rollout};

/// `weight` times the time integral of the distance to the goal, `min(sqrt(d^2 + r^2) - r, cap)` with `r` = 0.1, in unit seconds.
/// The earlier the arrival the smaller, and every frame away from the goal after it costs again.
pub struct Goal {
    pub weight: f64,
    /// Farther away than this costs no more, unit: then it is the time away from the goal that counts, and the way does not.
    pub cap: f64,
    /// The channels of the goal's group.
    pub channels: Range<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    cap: Option<f64>,
}

impl Kind for Goal {
    const NAME: &'static str = "goal";
    type Settings = Settings;

    fn bind(settings: Settings, binding: &Binding) -> Result<Self, CostError> {
        settings.cap.map_or(Ok(()), |cap| binding.positive("cap", cap))?;
        let channels =
            binding.goal.clone().ok_or_else(|| binding.refuse("kind", "goal", "needs the section `goal`"))?;
        Ok(Self { weight: binding.config.weight, cap: settings.cap.unwrap_or(f64::INFINITY), channels })
    }
}

impl Cost for Goal {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn weight(&mut self) -> &mut f64 {
        &mut self.weight
    }

    fn evaluate(&self, future: &Rollout, gradient: &mut [f32]) -> f64 {
        if future.goal.is_empty() {
            return 0.0;
        }
        let per_frame = self.weight * future.period_s;
        let mut cost = 0.0;
        for (frame, gradient) in future.frames().zip(gradient.chunks_exact_mut(future.channels)) {
            let apart = |i: usize| f64::from(frame[self.channels.start + i]) - future.goal[i];
            let rounded = (0..future.goal.len()).map(|i| apart(i).powi(2)).sum::<f64>() + ROUNDING * ROUNDING;
            let distance = rounded.sqrt();
            cost += per_frame * (distance - ROUNDING).min(self.cap);
            if distance - ROUNDING > self.cap {
                continue;
            }
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
    use crate::costs::cost::{assert_gradient, example};

    const COST: fn() -> Goal = || Goal { weight: 2.0, cap: f64::INFINITY, channels: 1..3 };

    #[test]
    fn by_hand() {
        // Two frames of 0.1 s that are 3-4-5 away and one at the goal: 2 * 0.1 * (2 * (sqrt(25.01) - 0.1) + 0).
        let values = [9.0, 3.0, 4.0, 9.0, 0.0, 0.0, 9.0, -3.0, 4.0];
        let cost = COST().evaluate(&Rollout { goal: &[0.0, 0.0], ..example(&values, 3) }, &mut [0.0; 9]);
        assert!((cost - 0.4 * (25.01f64.sqrt() - 0.1)).abs() < 1e-9);
    }

    #[test]
    fn arriving_later_and_leaving_again_cost_more() {
        let cost = |x: [f32; 6]| {
            let values = x.map(|x| [0.0, x, 0.0]).concat();
            COST().evaluate(&Rollout { goal: &[0.0, 0.0], ..example(&values, 3) }, &mut [0.0; 18])
        };
        let (early, late) = (cost([3.0, 1.5, 0.0, 0.0, 0.0, 0.0]), cost([3.0, 2.25, 1.5, 0.75, 0.0, 0.0]));
        let passing = cost([3.0, 1.5, 0.0, -1.5, -3.0, -4.5]);
        let leaving_last = cost([3.0, 1.5, 0.0, 0.0, 0.0, 0.2]);
        assert!(early < late && early < leaving_last && late < passing, "{early} {late} {leaving_last} {passing}");
    }

    #[test]
    fn beyond_the_cap_it_costs_no_more_and_pulls_no_more() {
        // 3-4-5 away twice, then 0.3 away: 2 * 0.1 * (1 + 1 + sqrt(0.1) - 0.1); only the near frame has a gradient.
        let values = [9.0, 3.0, 4.0, 9.0, -3.0, 4.0, 9.0, 0.3, 0.0];
        let mut gradient = [0.0; 9];
        let cost =
            Goal { cap: 1.0, ..COST() }.evaluate(&Rollout { goal: &[0.0, 0.0], ..example(&values, 3) }, &mut gradient);
        assert!((cost - 0.2 * (2.0 + 0.1f64.sqrt() - 0.1)).abs() < 1e-6, "{cost}");
        assert_eq!(gradient[..7], [0.0; 7]);
        assert!((f64::from(gradient[7]) - 0.2 * 0.3 / 0.1f64.sqrt()).abs() < 1e-6, "{gradient:?}");
    }

    #[test]
    fn a_cap_of_nothing_is_refused() {
        assert_eq!(
            crate::costs::kinds::tests::refusal("{kind: goal, weight: 1, cap: 0}"),
            "costs[0].cap: 0: must be a finite number above 0"
        );
    }

    #[test]
    fn without_a_goal_it_costs_nothing() {
        let mut gradient = [0.0; 3];
        assert_eq!(COST().evaluate(&example(&[0.0, 3.0, 4.0], 3), &mut gradient), 0.0);
        assert_eq!(gradient, [0.0; 3]);
    }

    #[test]
    fn the_gradient_is_that_of_a_finite_difference() {
        assert_gradient(&COST(), &[0.3, 1.0, -0.5, 0.1, 0.2, 0.25, 0.0, 2.0, 1.5], 3, &[0.2, 0.3]);
    }
}
