//! What a cost is, and the list of all there are.

use super::consistency::Consistency;
use super::goal::Goal;
use crate::config::CostConfig;
use crate::signal::Layout;

/// The planned future frames of one sequence, in units.
pub struct Future<'a> {
    /// `[frame][channel]`, the first future frame first.
    pub values: &'a [f32],
    /// Channels of a frame.
    pub channels: usize,
    pub period_s: f64,
    /// The goal in the units of the goal's group; empty where there is none.
    pub goal: &'a [f64],
}

impl Future<'_> {
    /// The frames, in order.
    pub fn frames(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.channels)
    }
}

/// A number to make small, with its gradient.
pub trait Cost: Send {
    /// As in the configuration, for reports.
    fn name(&self) -> &'static str;

    /// The cost, its weight included. Adds the gradient with respect to `future.values` (per unit of the channel) to
    /// `gradient`, `[frame][channel]`.
    fn evaluate(&self, future: &Future, gradient: &mut [f32]) -> f64;
}

/// The costs of a configuration. Its rules have checked that every group exists.
pub fn costs(configured: &[CostConfig], goal_group: Option<&str>, layout: &Layout) -> Vec<Box<dyn Cost>> {
    let channels = |group: &str| layout.modality(group).map(|m| layout.modalities[m].channels.clone()).unwrap_or(0..0);
    configured
        .iter()
        .map(|cost| -> Box<dyn Cost> {
            match cost {
                CostConfig::Goal { weight } => {
                    Box::new(Goal { weight: *weight, channels: channels(goal_group.unwrap_or_default()) })
                }
                CostConfig::Consistency { weight, of, rate, over_s, tolerance } => Box::new(Consistency {
                    weight: *weight,
                    of: channels(of),
                    rate: channels(rate),
                    over_s: *over_s,
                    tolerance: *tolerance,
                }),
            }
        })
        .collect()
}

/// Checks an analytic gradient against central differences, at every value. For the tests of the costs.
#[cfg(test)]
pub fn assert_gradient(cost: &dyn Cost, values: &[f32], channels: usize, goal: &[f64]) {
    let evaluate = |values: &[f32]| {
        let mut gradient = vec![0.0; values.len()];
        let cost = cost.evaluate(&Future { values, channels, period_s: 0.1, goal }, &mut gradient);
        (cost, gradient)
    };
    let (_, gradient) = evaluate(values);
    for i in 0..values.len() {
        let moved = |by: f32| {
            let mut values = values.to_vec();
            values[i] += by;
            evaluate(&values).0
        };
        let step = 1e-2;
        let difference = (moved(step) - moved(-step)) / (2.0 * f64::from(step));
        let error = (difference - f64::from(gradient[i])).abs();
        assert!(error < 2e-3 * (1.0 + difference.abs()), "value {i}: {difference} by difference, {}", gradient[i]);
    }
}
