//! Coherence of plans: whether positions move as velocities say, and stay out of walls.

use df_core::Layout;
use df_planner::sim::Maze;
use df_planner::sim::maze2d::cell_at;
use df_planning::Plan;
use nalgebra::Vector2;

/// Sums over the chosen candidates of all plans, each up to its active length.
#[derive(Clone, Debug, Default)]
pub struct Coherence {
    squares_m2: f64,
    worst_m: f64,
    in_walls: usize,
    steps: usize,
}

impl Coherence {
    /// Adds a plan. The first two observation groups are positions and velocities.
    pub fn add(&mut self, plan: &Plan, maze: &Maze, layout: &Layout, period_s: f64) {
        let of = |frame: &[f32], modality: usize| {
            let values = &frame[layout.modalities[modality].channels.clone()];
            Vector2::new(f64::from(values[0]), f64::from(values[1]))
        };
        let frames = plan.active_frames_of(plan.chosen * plan.rollouts_per_candidate);
        for pair in frames.windows(2) {
            let moved = of(&pair[1], 1) - of(&pair[0], 1);
            let expected = 0.5 * period_s * (of(&pair[0], 2) + of(&pair[1], 2));
            let error = (moved - expected).norm();
            self.squares_m2 += error * error;
            self.worst_m = self.worst_m.max(error);
            self.in_walls += usize::from(cell_at(maze, of(&pair[1], 1)).is_none());
            self.steps += 1;
        }
    }

    /// The sums of both.
    pub fn and(mut self, other: &Self) -> Self {
        self.squares_m2 += other.squares_m2;
        self.worst_m = self.worst_m.max(other.worst_m);
        self.in_walls += other.in_walls;
        self.steps += other.steps;
        self
    }

    /// Root mean square of the motion from frame to frame minus the mean velocity times the period, metres.
    pub fn jump_m(&self) -> f64 {
        (self.squares_m2 / self.steps.max(1) as f64).sqrt()
    }

    /// The largest of these, metres.
    pub fn worst_m(&self) -> f64 {
        self.worst_m
    }

    /// Share of the planned positions that lie in a wall.
    pub fn in_walls(&self) -> f64 {
        self.in_walls as f64 / self.steps.max(1) as f64
    }
}
