//! Support for the tests of the costs: a layout, a cost by its YAML, its value, and its gradient against finite differences.

use std::path::Path;

use super::{Cost, CostError, Rollout, bind_costs};
use crate::PlanningConfig;
use df_core::Layout;

/// A configuration with a goal. Tests replace its costs.
pub(crate) const MAZE: &str = include_str!("../../../../config/point_maze.yaml");

/// action: fx fy; position: pose.x pose.y; velocity: vx vy; ghost: pose.x ranges[0].
pub(crate) fn layout() -> Layout {
    let group = |name: &str, labels: [&str; 2]| (name.to_string(), labels.map(String::from).to_vec());
    let groups = [("action", ["fx", "fy"]), ("position", ["pose.x", "pose.y"]), ("velocity", ["vx", "vy"])];
    let ghost = group("ghost", ["pose.x", "ranges[0]"]);
    Layout::new(2, groups.map(|(name, labels)| group(name, labels)).into_iter().chain([ghost]))
}

/// The configuration of the maze with one cost, given as a flow mapping, bound to [`layout`].
pub(crate) fn bound(cost: &str) -> Result<Box<dyn Cost>, CostError> {
    let start = MAZE.find("costs:").unwrap();
    let text = format!("{}costs:\n  - {cost}\n", &MAZE[..start]);
    let config = PlanningConfig::parse(&text, Path::new("c.yaml")).unwrap();
    bind_costs(&config.costs, Some("position"), &layout()).map(|mut costs| costs.remove(0))
}

/// Why that cost is refused.
pub(crate) fn refusal(cost: &str) -> String {
    bound(cost).err().unwrap_or_else(|| panic!("{cost} is accepted")).to_string()
}

/// Checks an analytic gradient against central differences, at every value. For the tests of the costs. Frame 0 is the
/// newest of the history, a frame lasts 0.1 s.
pub(crate) fn assert_gradient(cost: &dyn Cost, values: &[f32], channels: usize, goal: &[f64]) {
    let evaluate = |values: &[f32]| {
        let mut gradient = vec![0.0; values.len()];
        let cost = cost.evaluate(&Rollout { goal, ..example(values, channels) }, &mut gradient);
        (cost, gradient)
    };
    let (_, gradient) = evaluate(values);
    for i in 0..values.len() {
        let moved = |by: f32| {
            let mut values = values.to_vec();
            values[i] += by;
            // What f32 made of the step.
            (evaluate(&values).0, f64::from(values[i]))
        };
        let ((up, above), (down, below)) = (moved(1e-2), moved(-1e-2));
        let difference = (up - down) / (above - below);
        let error = (difference - f64::from(gradient[i])).abs();
        assert!(error < 2e-3 * (1.0 + difference.abs()), "value {i}: {difference} by difference, {}", gradient[i]);
    }
    assert!(gradient.iter().any(|g| *g != 0.0), "the gradient is 0 everywhere: nothing was checked");
}

/// A rollout without a goal whose frame 0 is the newest of the history, 0.1 s a frame.
pub(crate) fn example(values: &[f32], channels: usize) -> Rollout<'_> {
    Rollout { values, channels, period_s: 0.1, first_tick: 0, newest: values.get(..channels), goal: &[] }
}

/// The cost of [`example`].
pub(crate) fn cost_of(cost: &dyn Cost, values: &[f32], channels: usize) -> f64 {
    cost.evaluate(&example(values, channels), &mut vec![0.0; values.len()])
}
