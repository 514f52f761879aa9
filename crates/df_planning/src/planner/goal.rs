//! The goal across ticks: whether it has moved, and when the candidates arrive.

use std::ops::Range;

use df_core::{Contract, Layout};

use super::arrival::Arrivals;
use crate::config::PlannerConfig;

/// Follows the goal from request to request.
pub(super) struct GoalTracker {
    /// The goal's group, as index of [`Layout::modalities`].
    modality: Option<usize>,
    /// The group of the goal's rates.
    rate_modality: Option<usize>,
    /// A goal that has moved by less than this is the same one, in the unit of its group.
    tolerance: f64,
    /// The goal of the last request.
    current: Vec<f64>,
    arrivals: Arrivals,
}

impl GoalTracker {
    pub(super) fn new(contract: &Contract, layout: &Layout) -> Self {
        let goal = contract.goal.as_ref();
        let rate = goal.and_then(|goal| goal.rate.as_deref());
        Self {
            modality: goal.and_then(|goal| layout.modality(&goal.group)),
            rate_modality: rate.and_then(|group| layout.modality(group)),
            tolerance: goal.map_or(0.0, |goal| goal.tolerance),
            current: Vec::new(),
            arrivals: Arrivals::default(),
        }
    }

    /// The goal's group. `None`: the contract has no goal.
    pub(super) fn modality(&self) -> Option<usize> {
        self.modality
    }

    /// The group of the goal's rates, which is 0 at the goal.
    pub(super) fn rate_modality(&self) -> Option<usize> {
        self.rate_modality
    }

    /// Whether `goal` is another goal than that of the last request.
    pub(super) fn has_moved(&self, goal: &[f64]) -> bool {
        let squares = || self.current.iter().zip(goal).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        self.current.len() != goal.len() || squares().sqrt() > self.tolerance
    }

    /// Takes a new goal.
    pub(super) fn set(&mut self, goal: &[f64]) {
        self.current = goal.to_vec();
    }

    /// Forgets the goal and the chosen arrival.
    pub(super) fn reset(&mut self) {
        self.arrivals.reset();
        self.current = Vec::new();
    }

    /// For each candidate: the future frames in which the goal holds. `first_ns`: time of the first future frame; `frames`:
    /// future frames; `hold`: frames at the goal.
    pub(super) fn propose(
        &self,
        first_ns: i64,
        period_ns: i64,
        frames: usize,
        hold: usize,
        config: &PlannerConfig,
    ) -> Vec<Range<usize>> {
        self.arrivals.propose(first_ns, period_ns, frames, hold, config.candidates, config.goal_free)
    }

    /// Keeps the arrival of the chosen candidate.
    pub(super) fn choose(&mut self, arrival: &Range<usize>, first_ns: i64, period_ns: i64) {
        self.arrivals.choose(arrival, first_ns, period_ns);
    }
}
