//! The gate of a cost: it limits a cost to a part of the plan, or to some distances from the goal.

use std::ops::Range;

use super::binding::Binding;
use super::config::GateConfig;
use super::cost::{Cost, Rollout};
use super::error::CostError;
use df_core::map::SharedMap;

/// A tick counts up to this fraction of a period beyond a bound. Floating point needs it: 3 * 0.1 is not 0.3.
const ROUNDING_TICKS: f64 = 1e-6;

/// A cost behind a gate. It sees the frames between two times. It counts while the newest frame of the history lies between
/// two distances to the goal.
///
/// No planned value decides whether the gate is open, so the gradient is that of the cost or 0. Without a goal or a history
/// the distance is infinite.
pub(super) struct GatedCost {
    cost: Box<dyn Cost>,
    gate: GateConfig,
    /// The channels of the goal's group.
    goal: Range<usize>,
}

impl GatedCost {
    /// The cost behind the gate of its configuration, if it has one.
    ///
    /// # Errors
    /// [`CostError::Rule`]: the gate has a distance to the goal and the contract has no goal.
    pub(super) fn wrap(cost: Box<dyn Cost>, binding: &Binding) -> Result<Box<dyn Cost>, CostError> {
        let gate = binding.config.gate.clone();
        if gate == GateConfig::default() {
            return Ok(cost);
        }
        let asks = gate.goal_nearer_than.is_some() || gate.goal_farther_than.is_some();
        binding.require(!asks || binding.goal.is_some(), "gate", "goal", "needs the section `goal`")?;
        Ok(Box::new(Self { cost, gate, goal: binding.goal.clone().unwrap_or(0..0) }))
    }

    fn is_open(&self, rollout: &Rollout) -> bool {
        let apart = |newest: &[f32]| {
            newest[self.goal.clone()]
                .iter()
                .zip(rollout.goal)
                .map(|(v, goal)| (f64::from(*v) - goal).powi(2))
                .sum::<f64>()
        };
        let newest = rollout.newest.filter(|_| !rollout.goal.is_empty());
        let distance = newest.map_or(f64::INFINITY, |newest| apart(newest).sqrt());
        self.gate.goal_nearer_than.is_none_or(|nearer| distance < nearer)
            && self.gate.goal_farther_than.is_none_or(|farther| distance > farther)
    }

    /// The frames from `from_s` to `until_s`.
    fn frames(&self, rollout: &Rollout) -> Range<usize> {
        let frames = rollout.frames().len() as f64;
        let tick = |time_s: f64| time_s / rollout.period_s;
        let first = rollout.first_tick as f64;
        let from = self.gate.from_s.map_or(0.0, |s| ((tick(s) - ROUNDING_TICKS).ceil() - first).clamp(0.0, frames));
        let until = self.gate.until_s.map_or(frames, |s| (tick(s) + ROUNDING_TICKS).floor() - first + 1.0);
        from as usize..until.clamp(from, frames) as usize
    }
}

impl Cost for GatedCost {
    fn name(&self) -> &'static str {
        self.cost.name()
    }

    fn weight(&mut self) -> &mut f64 {
        self.cost.weight()
    }

    fn evaluate(&self, rollout: &Rollout, gradient: &mut [f32]) -> f64 {
        if !self.is_open(rollout) {
            return 0.0;
        }
        let frames = self.frames(rollout);
        let seen = frames.start * rollout.channels..frames.end * rollout.channels;
        let first_tick = rollout.first_tick + frames.start as i64;
        self.cost
            .evaluate(&Rollout { values: &rollout.values[seen.clone()], first_tick, ..*rollout }, &mut gradient[seen])
    }

    fn map(&self) -> Option<&SharedMap> {
        self.cost.map()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::costs::test_support::{assert_gradient, bound, cost_of, example, refusal};

    /// An effort of 1 per second on the velocity, so that a frame of 0.1 s in which vx = 1 costs 0.1.
    fn effort(gate: &str) -> Box<dyn Cost> {
        bound(&format!("{{kind: effort, weight: 1, of: velocity.0, gate: {{{gate}}}}}")).unwrap()
    }

    /// Frames of 8 channels with vx = 1 that stand at (x, 0).
    fn frames(x: &[f32]) -> Vec<f32> {
        x.iter().flat_map(|&x| [0.0, 0.0, x, 0.0, 1.0, 0.0, 0.0, 0.0]).collect()
    }

    #[test]
    fn times_count_from_the_newest_frame_of_the_history() {
        // Frames at 0, 0.1, 0.2, 0.3, 0.4 s.
        let cost = |gate: &str| (cost_of(&*effort(gate), &frames(&[0.0; 5]), 8) * 10.0).round();
        assert_eq!([cost(""), cost("from_s: 0.1"), cost("from_s: 0.15"), cost("from_s: 0.3")], [5.0, 4.0, 3.0, 2.0]);
        assert_eq!([cost("until_s: 0.3"), cost("until_s: 0.29"), cost("until_s: -1")], [4.0, 3.0, 0.0]);
        assert_eq!(
            [cost("from_s: 0.1, until_s: 0.2"), cost("from_s: 9"), cost("from_s: -9, until_s: 9")],
            [2.0, 0.0, 5.0]
        );
        // Three frames of history: the first lies at -0.2 s.
        let values = frames(&[0.0; 5]);
        let rollout = Rollout { first_tick: -2, ..example(&values, 8) };
        let cost = effort("from_s: 0.1").evaluate(&rollout, &mut vec![0.0; values.len()]);
        assert!((cost - 0.2).abs() < 1e-9, "{cost}");
    }

    #[test]
    fn the_distance_is_that_of_the_newest_frame_of_the_history() {
        // The robot stands at x = 3, came from 0 and plans to go to 9; the goal is at 0.
        let values = frames(&[0.0, 3.0, 9.0]);
        let cost = |gate: &str, first_tick: i64, goal: &[f64]| {
            let newest = if first_tick == -1 { values.get(8..16) } else { None };
            let rollout = Rollout { first_tick, newest, goal, ..example(&values, 8) };
            (effort(gate).evaluate(&rollout, &mut vec![0.0; values.len()]) * 10.0).round()
        };
        let goal = [0.0, 0.0];
        assert_eq!([cost("goal_nearer_than: 3.1", -1, &goal), cost("goal_nearer_than: 2.9", -1, &goal)], [3.0, 0.0]);
        assert_eq!([cost("goal_farther_than: 3.1", -1, &goal), cost("goal_farther_than: 2.9", -1, &goal)], [0.0, 3.0]);
        // No history, or no goal: infinitely far.
        assert_eq!([cost("goal_nearer_than: 100", 1, &goal), cost("goal_farther_than: 100", 1, &goal)], [0.0, 3.0]);
        assert_eq!([cost("goal_nearer_than: 100", -1, &[]), cost("goal_farther_than: 100", -1, &[])], [0.0, 3.0]);
    }

    #[test]
    fn the_gradient_is_that_of_a_finite_difference() {
        // The first frame is 0.2 from the goal, the others are farther than the bound.
        let values = frames(&[0.2, 2.0, 3.0, 4.0]);
        for gate in ["goal_nearer_than: 1", "from_s: 0.1, until_s: 0.2", "goal_nearer_than: 1, from_s: 0.15"] {
            assert_gradient(&*effort(gate), &values, 8, &[0.0, 0.0]);
        }
        // A difference over several frames sees those of its gate only.
        let smooth = bound("{kind: smoothness, weight: 1, of: position, order: 2, gate: {from_s: 0.1}}").unwrap();
        assert_gradient(&*smooth, &frames(&[9.0, 2.0, 3.0, 4.5, 5.0]), 8, &[]);
    }

    #[test]
    fn a_distance_needs_a_goal() {
        // The section `goal` is there in the file that `bound` uses; without it the configuration refuses.
        assert!(bound("{kind: effort, weight: 1, gate: {goal_nearer_than: 1}}").is_ok());
        assert!(refusal("{kind: effort, weight: 1, scale: 0, gate: {until_s: 1}}").contains("must be above 0"));
    }
}
