//! What the planner is asked and what it answers.

use df_core::History;

/// Everything that one plan depends on, taken at tick k.
#[derive(Clone, Debug)]
pub struct PlanRequest {
    /// Tick k, nanoseconds.
    pub tick_ns: i64,
    /// Frames up to tick k, oldest first.
    pub history: History,
    /// The command of tick k, already on its way: known, while the observation that it leads to is not. The plan's first action
    /// is for tick k+1. `None`: it is to be found out, and the plan's first action is for tick k.
    pub committed: Option<Vec<f64>>,
    /// The goal in the units of the goal's group.
    pub goal: Vec<f64>,
}

/// A plan for the ticks from `first_tick_ns` on.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub first_tick_ns: i64,
    /// The tick after the request's.
    pub first_frame_ns: i64,
    /// One action per tick, in units: `actions[i]` is for tick `first_tick_ns + i * period`.
    pub actions: Vec<Vec<f64>>,
    /// Sampled futures of all candidates: `[future][frame][channel]`, in units; frame i is that of tick
    /// `first_frame_ns + i * period`.
    pub rollouts: Vec<Vec<Vec<f32>>>,
    /// Per candidate: the frames of its futures up to the end of the stay at the goal. What comes after them costs nothing and
    /// is left open.
    pub active_frames: Vec<usize>,
    /// Expected cost of each candidate; future `f` belongs to candidate `f / rollouts_per_candidate`.
    pub candidate_costs: Vec<f64>,
    pub rollouts_per_candidate: usize,
    /// The candidate that `actions` comes from.
    pub chosen: usize,
    /// Network evaluations spent.
    pub denoising_steps: usize,
    pub skipped: Skipped,
    pub statistics: Statistics,
}

impl Plan {
    /// The candidate that a future belongs to.
    pub fn candidate_of(&self, future: usize) -> usize {
        future / self.rollouts_per_candidate.max(1)
    }

    /// The frames of a future that the plan means; all of them where it does not say.
    pub fn active_frames_of(&self, future: usize) -> &[Vec<f32>] {
        let Some(frames) = self.rollouts.get(future) else { return &[] };
        let active_frames = self.active_frames.get(self.candidate_of(future)).copied().unwrap_or(frames.len());
        &frames[..active_frames.min(frames.len())]
    }
}

/// What the time did not allow: all 0 for a plan that is as it was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Rows of the scheduling matrix.
    pub denoising_steps: usize,
    /// Steps that were taken without guidance.
    pub guided_steps: usize,
    /// Tokens at the far end of the horizon.
    pub tokens: usize,
}

impl Skipped {
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// What guidance did, for an operator's eye.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Each cost of the configuration over the futures of the chosen candidate.
    pub costs: Vec<CostStatistics>,
    pub guided_steps: usize,
    /// The longest gradient of a sequence before it was shortened, normalised units.
    pub gradient_norm: f32,
    /// Variance of the shared tokens' gradient over the futures of a candidate, summed over values: what averaging over
    /// futures takes away.
    pub gradient_variance: f64,
}

/// One cost over futures.
#[derive(Clone, Debug, PartialEq)]
pub struct CostStatistics {
    pub name: &'static str,
    pub mean: f64,
    /// Standard deviation over the futures; 0 for one.
    pub spread: f64,
}

impl CostStatistics {
    /// Mean and sample deviation of the values of the futures.
    pub fn of(name: &'static str, values: &[f64]) -> Self {
        let count = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
        Self { name, mean, spread: (squares / (count - 1.0).max(1.0)).sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_by_hand() {
        // Mean of 1, 2, 6 is 3; squares 4 + 1 + 9 = 14, over 2: 7.
        let statistics = CostStatistics::of("goal", &[1.0, 2.0, 6.0]);
        assert_eq!((statistics.mean, statistics.spread), (3.0, 7f64.sqrt()));
        assert_eq!(CostStatistics::of("goal", &[5.0]).spread, 0.0);
    }

    #[test]
    fn a_future_is_meant_up_to_the_end_of_its_candidates_stay_at_the_goal() {
        let future = |frames: usize| vec![vec![0.0]; frames];
        let plan = Plan {
            rollouts: vec![future(9), future(9), future(9), future(4)],
            active_frames: vec![3, 9],
            rollouts_per_candidate: 2,
            ..Plan::default()
        };
        // Candidate 0 means 3 of 9 frames; candidate 1 all 9, of which time was left for 4 in the last future.
        let active_frames: Vec<usize> = (0..5).map(|future| plan.active_frames_of(future).len()).collect();
        assert_eq!(active_frames, [3, 3, 9, 4, 0]);
        assert_eq!(Plan { active_frames: Vec::new(), ..plan }.active_frames_of(0).len(), 9);
    }
}
