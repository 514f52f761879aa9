//! The trait of a cost, and the part of a planned sequence that a cost sees.

/// Radius within which a distance is rounded off, so that its gradient does not jump at 0. In the unit of the group.
pub(super) const ROUNDING: f64 = 0.1;

/// The frames of one sequence, in units: the newest frames of the history, then the planned frames.
pub struct Rollout<'a> {
    /// `[frame][channel]`, row-major, in the order of time, in the units of the channels.
    pub values: &'a [f32],
    /// Channels of a frame.
    pub channels: usize,
    /// Time between two frames, seconds.
    pub period_s: f64,
    /// The tick of the first frame. Tick 0 is the newest frame of the history, tick 1 the first planned frame.
    pub first_tick: i64,
    /// The newest frame of the history, in units; `None` without a history.
    pub newest: Option<&'a [f32]>,
    /// The goal in the units of the goal's group; empty without a goal.
    pub goal: &'a [f64],
}

impl Rollout<'_> {
    /// The frames in order, each one value per channel.
    pub fn frames(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.channels)
    }
}

/// A cost of one planned sequence, with its gradient. Planning makes it small.
pub trait Cost: Send + Sync {
    /// The kind of the cost, as in the configuration. Reports and errors use it.
    fn name(&self) -> &'static str;

    /// The weight. It may change between two evaluations.
    fn weight(&mut self) -> &mut f64;

    /// The cost, with its weight. Adds the gradient with respect to `rollout.values` to `gradient`.
    ///
    /// It allocates nothing.
    ///
    /// # Shapes
    /// `gradient` is `[frame][channel]`, as `rollout.values`, per unit of the channel.
    fn evaluate(&self, rollout: &Rollout, gradient: &mut [f32]) -> f64;

    /// The map of the cost, if it has one. The map can be replaced between two evaluations.
    fn map(&self) -> Option<&df_core::map::SharedMap> {
        None
    }
}
