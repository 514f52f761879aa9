//! What the planner is asked and what it answers.

use crate::signal::History;

/// Everything that one plan depends on, taken at tick k.
#[derive(Clone, Debug)]
pub struct PlanRequest {
    /// Tick k, nanoseconds. The plan's first action is for tick k+1.
    pub tick_ns: i64,
    /// Frames up to tick k, oldest first.
    pub history: History,
    /// The command of tick k, already on its way: known, while the observation that it leads to is not.
    pub committed: Vec<f64>,
    /// The goal in the units of the goal's group.
    pub goal: Vec<f64>,
}

/// A plan for the ticks from `first_tick_ns` on.
#[derive(Clone, Debug)]
pub struct Plan {
    pub first_tick_ns: i64,
    /// One action per tick, in units: `actions[i]` is for tick `first_tick_ns + i * period`.
    pub actions: Vec<Vec<f64>>,
    /// Sampled futures of all candidates: `[future][frame][channel]`, in units; frame i is that of tick
    /// `first_tick_ns + i * period`.
    pub futures: Vec<Vec<Vec<f32>>>,
    /// Expected cost of each candidate; future `f` belongs to candidate `f / futures_per_candidate`.
    pub candidate_costs: Vec<f64>,
    pub futures_per_candidate: usize,
    /// The candidate that `actions` comes from.
    pub chosen: usize,
    /// Network evaluations spent.
    pub denoising_steps: usize,
}
