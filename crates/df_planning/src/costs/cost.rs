//! What a cost is, and what it is told of a planned future.

/// Distances are rounded off within this, so that their gradient does not jump at 0. In the unit of the group.
pub(super) const ROUNDING: f64 = 0.1;

/// The frames of one sequence, in units: those of the newest history that is known already, then those planned.
pub struct Rollout<'a> {
    /// `[frame][channel]`, in the order of time.
    pub values: &'a [f32],
    /// Channels of a frame.
    pub channels: usize,
    pub period_s: f64,
    /// The tick of the first frame, counted from the newest frame of the history, which is 0; 1 is the first planned one.
    pub first_tick: i64,
    /// The newest frame of the history, if there is one.
    pub newest: Option<&'a [f32]>,
    /// The goal in the units of the goal's group; empty where there is none.
    pub goal: &'a [f64],
}

impl Rollout<'_> {
    /// The frames, in order.
    pub fn frames(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.channels)
    }
}

/// A number to make small, with its gradient.
pub trait Cost: Send + Sync {
    /// Its kind, as in the configuration, for reports.
    fn name(&self) -> &'static str;

    /// Its weight, which may change between two evaluations.
    fn weight(&mut self) -> &mut f64;

    /// The cost, its weight included. Adds the gradient with respect to `future.values` (per unit of the channel) to
    /// `gradient`, `[frame][channel]`. Allocates nothing.
    fn evaluate(&self, future: &Rollout, gradient: &mut [f32]) -> f64;

    /// The map that can be replaced while planning goes on, where the cost has one.
    fn map(&self) -> Option<&df_core::map::SharedMap> {
        None
    }
}

/// Checks an analytic gradient against central differences, at every value. For the tests of the costs. Frame 0 is the
/// newest of the history, a frame lasts 0.1 s.
#[cfg(test)]
pub fn assert_gradient(cost: &dyn Cost, values: &[f32], channels: usize, goal: &[f64]) {
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

/// A future without a goal whose frame 0 is the newest of the history, 0.1 s a frame.
#[cfg(test)]
pub fn example(values: &[f32], channels: usize) -> Rollout<'_> {
    Rollout { values, channels, period_s: 0.1, first_tick: 0, newest: values.get(..channels), goal: &[] }
}

/// The cost of [`example`].
#[cfg(test)]
pub fn cost_of(cost: &dyn Cost, values: &[f32], channels: usize) -> f64 {
    cost.evaluate(&example(values, channels), &mut vec![0.0; values.len()])
}
