//! A plan: actions, sampled rollouts, costs, and what the time did not allow.

/// A plan for the ticks from `first_tick_ns` on.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The tick of the first action, nanoseconds.
    pub first_tick_ns: i64,
    /// The tick of the first frame of the rollouts, nanoseconds: the tick after the request's.
    pub first_frame_ns: i64,
    /// One action per tick, in units: `actions[i]` is for tick `first_tick_ns + i * period`.
    pub actions: Vec<Vec<f64>>,
    /// The sampled rollouts of all candidates, `[rollout][frame][channel]`, in units. Frame i is that of tick
    /// `first_frame_ns + i * period`.
    pub rollouts: Vec<Vec<Vec<f32>>>,
    /// Per candidate: the frames up to the end of the stay at the goal. Costs do not see the frames after them.
    pub active_frames: Vec<usize>,
    /// Expected cost of each candidate. Rollout `f` belongs to candidate `f / rollouts_per_candidate`.
    pub candidate_costs: Vec<f64>,
    /// Rollouts of each candidate.
    pub rollouts_per_candidate: usize,
    /// The candidate of the lowest expected cost.
    pub chosen: usize,
    /// Network evaluations spent.
    pub denoising_steps: usize,
    /// What the time did not allow.
    pub skipped: Skipped,
    /// What guidance did.
    pub statistics: Statistics,
}

impl Plan {
    /// The candidate that a rollout belongs to.
    pub fn candidate_of(&self, rollout: usize) -> usize {
        rollout / self.rollouts_per_candidate.max(1)
    }

    /// The frames of a rollout up to the end of the stay at the goal, `[frame][channel]`; all frames where no end is set.
    pub fn active_frames_of(&self, rollout: usize) -> &[Vec<f32>] {
        let Some(frames) = self.rollouts.get(rollout) else { return &[] };
        let active_frames = self.active_frames.get(self.candidate_of(rollout)).copied().unwrap_or(frames.len());
        &frames[..active_frames.min(frames.len())]
    }

    /// Whether every value of every rollout is finite.
    pub(super) fn is_finite(&self) -> bool {
        self.rollouts.iter().flatten().flatten().all(|value| value.is_finite())
    }
}

/// What the time did not allow. All 0 for a complete plan.
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
    /// Whether the plan is complete.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// What guidance did, for display.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Each cost of the configuration over the rollouts of the chosen candidate.
    pub costs: Vec<CostStatistics>,
    /// Steps that were guided.
    pub guided_steps: usize,
    /// The largest norm of the gradient of a sequence before it was clipped, per normalised unit.
    pub gradient_norm: f32,
    /// Variance of the gradient of the shared tokens over the rollouts of a candidate, summed over values. Averaging over
    /// rollouts removes it.
    pub gradient_variance: f64,
}

/// One cost over the rollouts of a candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct CostStatistics {
    /// The kind of the cost.
    pub name: &'static str,
    /// Mean over the rollouts.
    pub mean: f64,
    /// Standard deviation over the rollouts; 0 for one.
    pub std_dev: f64,
}

impl CostStatistics {
    /// Mean and sample standard deviation of `values`, one per rollout.
    pub fn of(name: &'static str, values: &[f64]) -> Self {
        let count = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
        Self { name, mean, std_dev: (squares / (count - 1.0).max(1.0)).sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_standard_deviation_are_those_computed_by_hand() {
        // Mean of 1, 2, 6 is 3; squares 4 + 1 + 9 = 14, over 2: 7.
        let statistics = CostStatistics::of("goal", &[1.0, 2.0, 6.0]);
        assert_eq!((statistics.mean, statistics.std_dev), (3.0, 7f64.sqrt()));
        assert_eq!(CostStatistics::of("goal", &[5.0]).std_dev, 0.0);
    }

    #[test]
    fn a_rollout_is_active_up_to_the_end_of_its_candidates_stay_at_the_goal() {
        let rollout = |frames: usize| vec![vec![0.0]; frames];
        let plan = Plan {
            rollouts: vec![rollout(9), rollout(9), rollout(9), rollout(4)],
            active_frames: vec![3, 9],
            rollouts_per_candidate: 2,
            ..Plan::default()
        };
        // Candidate 0 is active for 3 of 9 frames, candidate 1 for all 9. The time allowed 4 of them in the last rollout.
        let active_frames: Vec<usize> = (0..5).map(|rollout| plan.active_frames_of(rollout).len()).collect();
        assert_eq!(active_frames, [3, 3, 9, 4, 0]);
        assert_eq!(Plan { active_frames: Vec::new(), ..plan }.active_frames_of(0).len(), 9);
    }
}
