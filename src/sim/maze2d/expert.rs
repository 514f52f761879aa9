//! The expert of Maze2D: a waypoint controller on shortest grid ways (Fu et al. 2020), and the demonstrations that it gives.

use nalgebra::Vector2;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::demonstration::Step;
use super::super::maze::{Cell, Maze};
use super::super::world::RobotState;
use super::episode::random_state;
use super::{Maze2d, PointMass, cell_at, place_of};

/// Control per metre to the next waypoint, and per metre per second of speed.
const STIFFNESS_PER_M: f64 = 10.0;
const RATE_S_PER_M: f64 = 1.0;
/// A waypoint, and the goal, is reached within this distance, metres.
const WAYPOINT_REACHED_M: f64 = 0.1;
/// Waypoints are moved by up to this towards the centre of their cell, per axis, metres.
const JITTER_M: f64 = 0.2;

/// The way to one goal.
#[derive(Clone, Debug)]
pub struct Waypoints {
    /// Jittered, but for the last one: the goal.
    points: Vec<Vector2<f64>>,
    next: usize,
}

impl Waypoints {
    /// A shortest way from a position in a free cell to the cell of `goal`, always the same one of several.
    pub fn new(maze: &Maze, from: Vector2<f64>, goal: Cell, rng: &mut impl Rng) -> Self {
        let path = cell_at(maze, from).and_then(|start| maze.shortest_path(start, goal, |_| 0)).unwrap_or_default();
        let between = path.get(1..path.len().saturating_sub(1)).unwrap_or_default();
        let mut jitter = || Vector2::from_fn(|_, _| rng.random_range(0.0..JITTER_M));
        let mut points: Vec<_> = between.iter().map(|cell| place_of(*cell) - jitter()).collect();
        points.push(place_of(goal));
        Self { points, next: 0 }
    }

    /// Where it drives to in the end, metres.
    pub fn goal(&self) -> Vector2<f64> {
        self.points[self.points.len() - 1]
    }

    /// Whether the position is at the goal.
    pub fn arrived(&self, position: Vector2<f64>) -> bool {
        (position - self.goal()).norm() < WAYPOINT_REACHED_M
    }

    /// The control in [-1, 1] per axis; passes on to the next waypoint on reaching one, and stays at the goal.
    pub fn control(&mut self, state: RobotState) -> Vector2<f64> {
        let to_go = self.points[self.next] - state.position;
        if to_go.norm() < WAYPOINT_REACHED_M && self.next + 1 < self.points.len() {
            self.next += 1;
        }
        (STIFFNESS_PER_M * to_go - RATE_S_PER_M * state.velocity).map(|c| c.clamp(-1.0, 1.0))
    }
}

/// The expert drives to random goals for ever, each until it arrives or an episode's time is over; an iterator over its steps.
pub struct Demonstration {
    world: PointMass,
    waypoints: Waypoints,
    steps_to_this_goal: usize,
    steps_per_goal: usize,
    rng: ChaCha8Rng,
}

impl Demonstration {
    /// The same maze and seed give the same steps.
    pub fn new(maze: Maze2d, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let state = random_state(&maze.maze(), &mut rng);
        let world = PointMass::new(maze.maze(), state);
        let waypoints = to_random_goal(&world, &mut rng);
        Self { world, waypoints, steps_to_this_goal: 0, steps_per_goal: maze.episode_steps(), rng }
    }
}

impl Iterator for Demonstration {
    type Item = Step;

    /// The state, the control on seeing it, and the goal it is for.
    fn next(&mut self) -> Option<Step> {
        let state = self.world.state();
        let force = self.waypoints.control(state);
        let step = Step { state, force, goal: self.waypoints.goal() };
        self.world.step(force);
        self.steps_to_this_goal += 1;
        if self.waypoints.arrived(state.position) || self.steps_to_this_goal >= self.steps_per_goal {
            self.waypoints = to_random_goal(&self.world, &mut self.rng);
            self.steps_to_this_goal = 0;
        }
        Some(step)
    }
}

fn to_random_goal(world: &PointMass, rng: &mut impl Rng) -> Waypoints {
    let cells = world.maze().free_cells();
    let goal = cells[rng.random_range(0..cells.len())];
    Waypoints::new(world.maze(), world.state().position, goal, rng)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_by_hand() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let maze = Maze2d::U.maze();
        let cell = |row, column| Cell { row, column };
        let mut next_door = Waypoints::new(&maze, Vector2::new(1.0, 2.0), cell(1, 1), &mut rng);
        // No waypoint but the goal (1, 1). From (1.05, 1.95) at (0.5, -0.25): 10 * -0.05 - 0.5 = -1.0; 10 * -0.95 is cut.
        let state = RobotState { position: Vector2::new(1.05, 1.95), velocity: Vector2::new(0.5, -0.25) };
        assert!((next_door.control(state) - Vector2::new(-1.0, -1.0)).norm() < 1e-12);
        let state = RobotState { position: Vector2::new(1.05, 0.97), velocity: Vector2::new(0.1, -0.2) };
        // 10 * -0.05 - 0.1 and 10 * 0.03 + 0.2.
        assert!((next_door.control(state) - Vector2::new(-0.6, 0.5)).norm() < 1e-12);
        assert!(next_door.arrived(state.position));
        // From the goal round to the other end of the U: (1,2) (1,3) (2,3) (3,3) (3,2) between, each moved by up to 0.2 m.
        let way = Waypoints::new(&maze, Vector2::new(1.0, 1.0), cell(3, 1), &mut rng);
        let places = [(1, 2), (1, 3), (2, 3), (3, 3), (3, 2)];
        assert_eq!(way.points.len(), 6);
        for (point, (row, column)) in way.points.iter().zip(places) {
            let moved = place_of(cell(row, column)) - point;
            assert!(moved.iter().all(|by| (0.0..JITTER_M).contains(by)), "{moved}");
        }
    }

    #[test]
    fn demonstrations_are_those_of_the_published_data() {
        let of = |seed| Demonstration::new(Maze2d::Medium, seed).take(2000).collect::<Vec<_>>();
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
        // The published medium set of 1 million steps: position mean (3.509, 3.477), deviation (1.337, 1.521), velocity deviation
        // (2.34, 2.37), action deviation (0.740, 0.746). Of 200,000 steps here the means lie within some 0.1.
        let steps: Vec<Step> = Demonstration::new(Maze2d::Medium, 1).take(200_000).collect();
        let near = |of: &dyn Fn(&Step) -> f64, mean: f64, std: f64| {
            let count = steps.len() as f64;
            let got = steps.iter().map(of).sum::<f64>() / count;
            let got_std = (steps.iter().map(|s| (of(s) - got).powi(2)).sum::<f64>() / count).sqrt();
            println!("mean {got:.3}, std {got_std:.3}");
            assert!((got - mean).abs() < 0.15 && (got_std / std - 1.0).abs() < 0.08, "{got} {got_std}");
        };
        near(&|s| s.state.position.x, 3.509, 1.337);
        near(&|s| s.state.position.y, 3.477, 1.521);
        near(&|s| s.state.velocity.x, 0.0, 2.34);
        near(&|s| s.state.velocity.y, 0.0, 2.37);
        near(&|s| s.force.x, 0.0, 0.740);
        near(&|s| s.force.y, 0.0, 0.746);
    }
}
