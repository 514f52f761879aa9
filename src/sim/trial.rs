//! One drive to one goal: start and goal drawn from a seed, the way driven, and when the goal counts as reached.

use nalgebra::Vector2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::expert::{GOAL_JITTER_M, jitter};
use super::maze::{Cell, Maze};
use super::world::{RobotState, STEP_S, World};

/// The goal lies at least this many cells from the start.
pub const MIN_DISTANCE_CELLS: usize = 5;
/// Within this distance of the goal the robot is at the goal, metres.
pub const GOAL_TOLERANCE_M: f64 = 0.3;
/// The goal is reached when the robot has been at it for so long, seconds.
pub const HOLD_S: f64 = 1.0;

/// A drive under way or done.
#[derive(Clone, Debug)]
pub struct Trial {
    world: World,
    goal: Vector2<f64>,
    trail: Vec<Vector2<f64>>,
    /// Steps since the robot came to the goal and stayed.
    at_goal_steps: usize,
}

impl Trial {
    /// A start at rest and a goal at least [`MIN_DISTANCE_CELLS`] away (the farthest cell, should the maze be smaller).
    /// The same maze and seed give the same trial.
    pub fn draw(maze: Maze, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut pairs: Vec<(Cell, Cell, usize)> = Vec::new();
        for from in maze.free_cells() {
            for to in maze.goal_cells() {
                pairs.extend(maze.distance(from, to).map(|distance| (from, to, distance)));
            }
        }
        let farthest = pairs.iter().map(|(.., distance)| *distance).max().unwrap_or(0);
        pairs.retain(|(.., distance)| *distance >= MIN_DISTANCE_CELLS.min(farthest));
        let (from, to, _) = pairs[rng.random_range(0..pairs.len())];
        let start = from.centre() + jitter(GOAL_JITTER_M, &mut rng);
        let goal = to.centre() + jitter(GOAL_JITTER_M, &mut rng);
        let world = World::new(maze, start);
        Self { trail: vec![world.state().position], world, goal, at_goal_steps: 0 }
    }

    /// The maze.
    pub fn maze(&self) -> &Maze {
        self.world.maze()
    }

    /// Position and velocity.
    pub fn state(&self) -> RobotState {
        self.world.state()
    }

    /// Metres.
    pub fn goal(&self) -> Vector2<f64> {
        self.goal
    }

    /// The way driven so far, one position per [`STEP_S`], metres.
    pub fn trail(&self) -> &[Vector2<f64>] {
        &self.trail
    }

    /// Length of the way driven so far, metres.
    pub fn way_m(&self) -> f64 {
        self.trail.windows(2).fold(0.0, |way, pair| way + (pair[1] - pair[0]).norm())
    }

    /// One step under a commanded force, newtons. True once the goal has been reached and held.
    pub fn step(&mut self, force: Vector2<f64>) -> bool {
        let position = self.world.step(force, Vector2::zeros()).position;
        self.trail.push(position);
        let at_goal = (position - self.goal).norm() <= GOAL_TOLERANCE_M;
        self.at_goal_steps = if at_goal { self.at_goal_steps + 1 } else { 0 };
        self.reached()
    }

    /// Has the goal been reached and held?
    pub fn reached(&self) -> bool {
        self.at_goal_steps as f64 * STEP_S >= HOLD_S
    }

    /// Simulated time since the start, seconds.
    pub fn elapsed_s(&self) -> f64 {
        (self.trail.len() - 1) as f64 * STEP_S
    }

    /// When the robot came to the goal to stay, seconds; `None` while it has not been held.
    pub fn reached_at_s(&self) -> Option<f64> {
        self.reached().then(|| (self.trail.len() - self.at_goal_steps) as f64 * STEP_S)
    }
}

#[cfg(test)]
mod tests {
    use super::super::expert::Expert;
    use super::*;

    #[test]
    fn draws_far_goals_and_the_same_ones_again() {
        for seed in 0..50 {
            let trial = Trial::draw(Maze::demo(), seed);
            let cell = |p| trial.maze().cell_at(p).unwrap();
            let distance = trial.maze().distance(cell(trial.state().position), cell(trial.goal())).unwrap();
            assert!(distance >= MIN_DISTANCE_CELLS, "seed {seed}: {distance}");
            let again = Trial::draw(Maze::demo(), seed);
            assert_eq!((again.state(), again.goal()), (trial.state(), trial.goal()));
        }
        assert_ne!(Trial::draw(Maze::demo(), 0).goal(), Trial::draw(Maze::demo(), 1).goal());
    }

    #[test]
    fn passing_by_is_not_reaching() {
        let mut trial = Trial::draw(Maze::demo(), 0);
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let maze = trial.maze().clone();
        let mut expert = Expert::towards(&maze, trial.state().position, trial.goal(), &mut rng);
        let mut first_near = None;
        let mut steps = 0;
        while !trial.reached() {
            steps += 1;
            assert!(steps < 3000, "not reached");
            trial.step(expert.force(&maze, trial.state(), &mut rng));
            if (trial.state().position - trial.goal()).norm() <= GOAL_TOLERANCE_M && first_near.is_none() {
                first_near = Some(steps);
                assert!(!trial.reached());
                assert_eq!(trial.reached_at_s(), None);
            }
        }
        // It came at step n and the 100th step in the tolerance is n + 99.
        assert_eq!(steps, first_near.unwrap() + 99);
        assert!((trial.reached_at_s().unwrap() - first_near.unwrap() as f64 * STEP_S).abs() < 1e-9);
        assert!((trial.elapsed_s() - steps as f64 * STEP_S).abs() < 1e-9);
    }
}
