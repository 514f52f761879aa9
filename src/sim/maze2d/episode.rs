//! One episode of a task: start and goal from a seed, the return, and when the goal was reached first.

use nalgebra::Vector2;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::super::maze::{Cell, Maze};
use super::super::world::RobotState;
use super::{Maze2d, PointMass, place_of};

/// A step that ends within this distance of the goal counts 1, metres.
pub const REACHED_M: f64 = 0.5;
/// Starts, and the goals of [`Task::Multi`], lie within this of their cell's place, per axis, metres.
const SPREAD_M: f64 = 0.1;
/// Deviation of the velocity at the start, per axis, metres per second.
const START_SPEED_M_PER_S: f64 = 0.1;

/// Where goals lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// In the maze's marked cell.
    Single,
    /// In a random free cell.
    Multi,
}

/// An episode under way or done.
#[derive(Clone, Debug)]
pub struct Episode {
    world: PointMass,
    goal: Vector2<f64>,
    goal_cell: Cell,
    length: usize,
    /// Whether each step so far ended at the goal.
    rewards: Vec<bool>,
}

impl Episode {
    /// The same maze, task and seed give the same episode.
    pub fn draw(maze: Maze2d, task: Task, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let cells = maze.maze();
        let state = random_state(&cells, &mut rng);
        let (goal_cell, goal) = match task {
            Task::Single => (cells.goal_cells()[0], place_of(cells.goal_cells()[0])),
            Task::Multi => random_place(&cells, &mut rng),
        };
        Self { world: PointMass::new(cells, state), goal, goal_cell, length: maze.episode_steps(), rewards: Vec::new() }
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

    /// The cell that the goal lies in.
    pub fn goal_cell(&self) -> Cell {
        self.goal_cell
    }

    /// One step under a control in [-1, 1]. Does nothing once the episode is over.
    pub fn step(&mut self, control: Vector2<f64>) {
        if !self.is_over() {
            let position = self.world.step(control).position;
            self.rewards.push((position - self.goal).norm() <= REACHED_M);
        }
    }

    /// Control steps so far.
    pub fn steps(&self) -> usize {
        self.rewards.len()
    }

    /// True if the episode has all its steps.
    pub fn is_over(&self) -> bool {
        self.rewards.len() >= self.length
    }

    /// Steps that ended at the goal.
    pub fn raw_return(&self) -> usize {
        self.rewards.iter().filter(|at_goal| **at_goal).count()
    }

    /// Steps until the first one that ended at the goal, itself included.
    pub fn steps_to_goal(&self) -> Option<usize> {
        self.rewards.iter().position(|at_goal| *at_goal).map(|k| k + 1)
    }
}

/// A random free cell and a place in it.
fn random_place(maze: &Maze, rng: &mut impl Rng) -> (Cell, Vector2<f64>) {
    let cells = maze.free_cells();
    let cell = cells[rng.random_range(0..cells.len())];
    (cell, place_of(cell) + Vector2::from_fn(|_, _| rng.random_range(-SPREAD_M..SPREAD_M)))
}

/// A start: a random place, nearly at rest.
pub(super) fn random_state(maze: &Maze, rng: &mut impl Rng) -> RobotState {
    let (_, position) = random_place(maze, rng);
    let velocity = Vector2::from_fn(|_, _| START_SPEED_M_PER_S * rng.sample::<f64, _>(StandardNormal));
    RobotState { position, velocity }
}

#[cfg(test)]
mod tests {
    use super::super::Waypoints;
    use super::*;

    #[test]
    fn the_expert_reaches_the_goal_and_stays() {
        for seed in 0..20 {
            let mut episode = Episode::draw(Maze2d::Medium, Task::Multi, seed);
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let (maze, start) = (episode.maze().clone(), episode.state().position);
            let mut waypoints = Waypoints::new(&maze, start, episode.goal_cell(), &mut rng);
            while !episode.is_over() {
                episode.step(waypoints.control(episode.state()));
            }
            episode.step(Vector2::zeros());
            let (steps, first) = (episode.steps(), episode.steps_to_goal().unwrap());
            assert_eq!(steps, 600);
            // Once there it may overshoot for some steps, no more.
            let stayed = steps - first + 1;
            assert!(episode.raw_return() <= stayed && episode.raw_return() + 60 >= stayed, "seed {seed}: {first}");
        }
    }

    #[test]
    fn the_single_task_has_one_goal_and_the_multi_task_many() {
        let goals = |task| (0..20).map(|seed| Episode::draw(Maze2d::Large, task, seed).goal()).collect::<Vec<_>>();
        assert!(goals(Task::Single).iter().all(|goal| *goal == Vector2::new(7.0, 9.0)));
        assert!(goals(Task::Multi).windows(2).all(|pair| pair[0] != pair[1]));
        for goal in goals(Task::Multi) {
            assert!((goal - goal.map(f64::round)).amax() <= SPREAD_M);
        }
        let starts = |seed| Episode::draw(Maze2d::U, Task::Single, seed).state();
        assert!(starts(1) == starts(1) && starts(1) != starts(2));
    }
}
