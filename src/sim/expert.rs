//! The expert: drives to goal after goal on shortest ways, smoothly, and rests there. Its motion is what is learned.
//!
//! A point runs ahead of the robot on a path of jittered cell centres (pure pursuit) and a PD law pulls the robot to it:
//! the motion cuts corners smoothly and never slams the force from limit to limit.

use nalgebra::Vector2;
use rand::{Rng, RngExt};

use super::maze::{Cell, Maze};
use super::world::{FORCE_LIMIT_N, RobotState, STEP_S};

/// The expert has arrived within this distance of its goal, metres...
pub const ARRIVAL_DISTANCE_M: f64 = 0.15;
/// ...and below this speed, metres per second.
const ARRIVAL_SPEED_M_PER_S: f64 = 0.3;
/// PD gains. With the world's damping d = 2 the robot cruises at `STIFFNESS * look-ahead / (RATE + d)`.
const STIFFNESS_N_PER_M: f64 = 10.0;
const RATE_N_S_PER_M: f64 = 3.0;
/// Distance along the path to the point ahead, drawn per goal, metres: cruises at 1.6 to 1.9 m/s.
const LOOK_AHEAD_M: std::ops::Range<f64> = 0.80..0.95;
/// The projection onto the path looks this far ahead of the last one, metres: less than the way round a wall.
const SEARCH_M: f64 = 0.5;
/// Largest offset of a way point from its cell's centre, per axis, metres.
const WAY_POINT_JITTER_M: f64 = 0.12;
/// Largest offset of a goal from its cell's centre, per axis, metres.
pub(super) const GOAL_JITTER_M: f64 = 0.25;
/// Rest at a goal, seconds.
const REST_S: std::ops::Range<f64> = 0.3..3.0;
/// Share of the goals that are given up on the way.
const GIVE_UP_SHARE: f64 = 0.15;

/// Drives through a maze for ever.
#[derive(Clone, Debug)]
pub struct Expert {
    goal: Vector2<f64>,
    path: Path,
    look_ahead_m: f64,
    /// Where on the path this goal is given up, if it is.
    give_up_at_m: f64,
    /// Time left at the goal once there.
    max_plan_age_s: f64,
    arrived: bool,
}

impl Expert {
    /// Sets out from `position`, which lies in a free cell, to a random goal.
    pub fn new(maze: &Maze, position: Vector2<f64>, rng: &mut impl Rng) -> Self {
        let goal = random_goal(maze, maze.cell_at(position), rng);
        Self::towards(maze, position, goal, rng)
    }

    /// Sets out from `position` to `goal`; both lie in free cells. Goes on to random goals from there.
    pub fn towards(maze: &Maze, position: Vector2<f64>, goal: Vector2<f64>, rng: &mut impl Rng) -> Self {
        let path = Path::new(maze, position, goal, rng);
        let give_up = rng.random::<f64>() < GIVE_UP_SHARE;
        let give_up_at_m = if give_up { path.length_m() * rng.random_range(0.2..0.8) } else { f64::INFINITY };
        Self {
            goal,
            path,
            look_ahead_m: rng.random_range(LOOK_AHEAD_M),
            give_up_at_m,
            max_plan_age_s: rng.random_range(REST_S),
            arrived: false,
        }
    }

    /// The goal that it drives to or rests at, metres.
    pub fn goal(&self) -> Vector2<f64> {
        self.goal
    }

    /// Has it come to its goal (it stays there for a while before it sets out again)?
    pub fn arrived(&self) -> bool {
        self.arrived
    }

    /// The force for the next step, newtons, within the limits of the world.
    pub fn force(&mut self, maze: &Maze, state: RobotState, rng: &mut impl Rng) -> Vector2<f64> {
        let near = (state.position - self.goal).norm() <= ARRIVAL_DISTANCE_M;
        self.arrived |= near && state.velocity.norm() <= ARRIVAL_SPEED_M_PER_S;
        if self.arrived {
            self.max_plan_age_s -= STEP_S;
        }
        if self.max_plan_age_s <= 0.0 || self.path.advance(state.position) >= self.give_up_at_m {
            *self = Self::new(maze, state.position, rng);
            self.path.advance(state.position);
        }
        let ahead = self.path.at(self.path.progress_m + self.look_ahead_m);
        let force = STIFFNESS_N_PER_M * (ahead - state.position) - RATE_N_S_PER_M * state.velocity;
        force.map(|f| f.clamp(-FORCE_LIMIT_N, FORCE_LIMIT_N))
    }
}

/// A random place in a random goal cell other than `not`.
fn random_goal(maze: &Maze, not: Option<Cell>, rng: &mut impl Rng) -> Vector2<f64> {
    let all = maze.goal_cells();
    let others: Vec<Cell> = all.iter().copied().filter(|cell| Some(*cell) != not).collect();
    let cells = if others.is_empty() { &all } else { &others };
    cells[rng.random_range(0..cells.len())].centre() + jitter(GOAL_JITTER_M, rng)
}

/// An offset of up to `largest` per axis, metres.
pub(super) fn jitter(largest: f64, rng: &mut impl Rng) -> Vector2<f64> {
    Vector2::new(rng.random_range(-largest..largest), rng.random_range(-largest..largest))
}

/// A polyline and how far along it the robot has come.
#[derive(Clone, Debug)]
struct Path {
    points: Vec<Vector2<f64>>,
    /// Distance along the path from its start to each point, metres.
    at_m: Vec<f64>,
    progress_m: f64,
}

impl Path {
    /// From a position through jittered centres to a goal. Two neighbouring cells are convex: no leg leaves them.
    fn new(maze: &Maze, from: Vector2<f64>, goal: Vector2<f64>, rng: &mut impl Rng) -> Self {
        let cells = maze
            .cell_at(from)
            .zip(maze.cell_at(goal))
            .and_then(|(a, b)| maze.shortest_path(a, b, |ways| if ways > 1 { rng.random_range(0..ways) } else { 0 }));
        let mut points = vec![from];
        if let Some([_, between @ .., _]) = cells.as_deref() {
            points.extend(between.iter().map(|cell| cell.centre() + jitter(WAY_POINT_JITTER_M, rng)));
        }
        points.push(goal);
        let mut at_m = vec![0.0];
        for leg in points.windows(2) {
            at_m.push(at_m[at_m.len() - 1] + (leg[1] - leg[0]).norm());
        }
        Self { points, at_m, progress_m: 0.0 }
    }

    fn length_m(&self) -> f64 {
        self.at_m[self.at_m.len() - 1]
    }

    /// The point at a distance along the path; the goal beyond its end.
    fn at(&self, distance_m: f64) -> Vector2<f64> {
        let leg = self.at_m.partition_point(|at| *at <= distance_m).clamp(1, self.points.len() - 1);
        let length = self.at_m[leg] - self.at_m[leg - 1];
        let share = if length > 0.0 { ((distance_m - self.at_m[leg - 1]) / length).clamp(0.0, 1.0) } else { 1.0 };
        self.points[leg - 1] + share * (self.points[leg] - self.points[leg - 1])
    }

    /// Moves on to the point of the path nearest to `position`, never back; returns the progress, metres.
    fn advance(&mut self, position: Vector2<f64>) -> f64 {
        let (from, to) = (self.progress_m, (self.progress_m + SEARCH_M).min(self.length_m()));
        let mut nearest = (f64::INFINITY, from);
        for leg in 1..self.points.len() {
            let (start, end) = (self.at_m[leg - 1].max(from), self.at_m[leg].min(to));
            let length = self.at_m[leg] - self.at_m[leg - 1];
            if start > end || length <= 0.0 {
                continue;
            }
            let along = (self.points[leg] - self.points[leg - 1]) / length;
            let here = self.at_m[leg - 1] + (position - self.points[leg - 1]).dot(&along);
            let here = here.clamp(start, end);
            let distance = (self.at(here) - position).norm();
            if distance < nearest.0 {
                nearest = (distance, here);
            }
        }
        self.progress_m = nearest.1;
        self.progress_m
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::world::World;
    use super::*;

    /// Seconds until the expert has arrived; panics after `limit_s`.
    fn drive(from: Cell, to: Cell, seed: u64, limit_s: f64) -> (f64, f64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut world = World::new(Maze::demo(), from.centre());
        let maze = world.maze().clone();
        let mut expert = Expert::towards(&maze, from.centre(), to.centre(), &mut rng);
        expert.give_up_at_m = f64::INFINITY;
        let mut fastest: f64 = 0.0;
        for k in 0..(limit_s / STEP_S) as usize {
            let force = expert.force(&maze, world.state(), &mut rng);
            if expert.arrived() {
                return (k as f64 * STEP_S, fastest);
            }
            fastest = fastest.max(world.step(force, Vector2::zeros()).velocity.norm());
        }
        panic!("seed {seed}: not at {to:?} from {from:?} after {limit_s} s");
    }

    #[test]
    fn reaches_every_cell_from_every_cell() {
        let cells = Maze::demo().free_cells();
        for (i, from) in cells.iter().enumerate() {
            for (j, to) in cells.iter().enumerate().filter(|(j, _)| *j != i) {
                drive(*from, *to, (i * 100 + j) as u64, 9.0);
            }
        }
    }

    #[test]
    fn the_longest_way_takes_about_six_seconds() {
        let (from, to) = (Cell { row: 5, column: 1 }, Cell { row: 5, column: 4 });
        let runs: Vec<(f64, f64)> = (0..20).map(|seed| drive(from, to, seed, 9.0)).collect();
        println!("{runs:?}");
        let mean = runs.iter().map(|(seconds, _)| seconds).sum::<f64>() / runs.len() as f64;
        // 9 m at 1.6 to 1.9 m/s, three corners cut, half a second each to start and to stop.
        assert!((4.5..6.5).contains(&mean), "{mean}");
        assert!(runs.iter().all(|(_, fastest)| *fastest < 2.0));
    }
}
