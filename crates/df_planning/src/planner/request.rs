//! What a plan depends on.

use std::borrow::Cow;

use df_core::{History, Layout};

/// Everything that one plan depends on, taken at tick k.
#[derive(Clone, Debug)]
pub struct PlanRequest {
    /// Tick k, nanoseconds.
    pub tick_ns: i64,
    /// Frames up to tick k, oldest first.
    pub history: History,
    /// The action of tick k, in units, which is already on its way. Then the plan's first action is for tick k+1. `None`: the
    /// plan's first action is for tick k.
    pub committed: Option<Vec<f64>>,
    /// The goal in the units of the goal's group; empty without a goal.
    pub goal: Vec<f64>,
}

impl PlanRequest {
    /// The request with a history of `tokens` tokens.
    pub(super) fn with_history(&self, tokens: usize, layout: &Layout) -> Cow<'_, Self> {
        if self.history.frames().len() == tokens * layout.frame_stack {
            return Cow::Borrowed(self);
        }
        Cow::Owned(Self { history: self.history.resized(layout, tokens), ..self.clone() })
    }
}
