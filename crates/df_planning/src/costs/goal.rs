//! Distance to the goal: the robot arrives as early as possible and stays.

use std::ops::Range;

use serde::Deserialize;

use super::binding::Binding;
use super::cost::{Cost, ROUNDING, Rollout};
use super::error::CostError;
use super::factory::CostFactory;

/// `weight` times the time integral of the distance to the goal, `min(sqrt(d^2 + r^2) - r, cap)` with `r` = 0.1, in unit seconds.
/// An earlier arrival costs less. Every frame away from the goal after the arrival costs again.
pub(super) struct GoalCost {
    /// Factor of the cost.
    pub(super) weight: f64,
    /// Distances beyond this cost no more, in the unit of the group. Then only the time away from the goal counts.
    pub(super) cap: f64,
    /// The channels of the goal's group.
    pub(super) channels: Range<usize>,
}

/// The keys of [`GoalCost`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GoalCostConfig {
    cap: Option<f64>,
}

impl CostFactory for GoalCost {
    const NAME: &'static str = "goal";
    type Config = GoalCostConfig;

    fn bind(config: GoalCostConfig, binding: &Binding) -> Result<Self, CostError> {
        config.cap.map_or(Ok(()), |cap| binding.positive("cap", cap))?;
        let channels =
            binding.goal.clone().ok_or_else(|| binding.refuse("kind", "goal", "needs the section `goal`"))?;
        Ok(Self { weight: binding.config.weight, cap: config.cap.unwrap_or(f64::INFINITY), channels })
    }
}

impl Cost for GoalCost {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn weight(&mut self) -> &mut f64 {
        &mut self.weight
    }

    fn evaluate(&self, rollout: &Rollout, gradient: &mut [f32]) -> f64 {
        if rollout.goal.is_empty() {
            return 0.0;
        }
        let per_frame = self.weight * rollout.period_s;
        let mut cost = 0.0;
        for (frame, gradient) in rollout.frames().zip(gradient.chunks_exact_mut(rollout.channels)) {
            let apart = |i: usize| f64::from(frame[self.channels.start + i]) - rollout.goal[i];
            let rounded = (0..rollout.goal.len()).map(|i| apart(i).powi(2)).sum::<f64>() + ROUNDING * ROUNDING;
            let distance = rounded.sqrt();
            cost += per_frame * (distance - ROUNDING).min(self.cap);
            if distance - ROUNDING > self.cap {
                continue;
            }
            for i in 0..rollout.goal.len() {
                gradient[self.channels.start + i] += (per_frame * apart(i) / distance) as f32;
            }
        }
        cost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::costs::test_support::{assert_gradient, example};

    const COST: fn() -> GoalCost = || GoalCost { weight: 2.0, cap: f64::INFINITY, channels: 1..3 };

    #[test]
    fn the_cost_is_the_one_computed_by_hand() {
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
    fn beyond_the_cap_the_cost_is_constant_and_its_gradient_0() {
        // 3-4-5 away twice, then 0.3 away: 2 * 0.1 * (1 + 1 + sqrt(0.1) - 0.1); only the near frame has a gradient.
        let values = [9.0, 3.0, 4.0, 9.0, -3.0, 4.0, 9.0, 0.3, 0.0];
        let mut gradient = [0.0; 9];
        let cost = GoalCost { cap: 1.0, ..COST() }
            .evaluate(&Rollout { goal: &[0.0, 0.0], ..example(&values, 3) }, &mut gradient);
        assert!((cost - 0.2 * (2.0 + 0.1f64.sqrt() - 0.1)).abs() < 1e-6, "{cost}");
        assert_eq!(gradient[..7], [0.0; 7]);
        assert!((f64::from(gradient[7]) - 0.2 * 0.3 / 0.1f64.sqrt()).abs() < 1e-6, "{gradient:?}");
    }

    #[test]
    fn a_cap_of_0_is_refused() {
        assert_eq!(
            crate::costs::test_support::refusal("{kind: goal, weight: 1, cap: 0}"),
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
    fn the_gradient_agrees_with_finite_differences() {
        assert_gradient(&COST(), &[0.3, 1.0, -0.5, 0.1, 0.2, 0.25, 0.0, 2.0, 1.5], 3, &[0.2, 0.3]);
    }
}
