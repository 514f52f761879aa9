//! A point robot (a disc) in a maze: mass, damping, wall contact. Deterministic; time is counted in steps.

use nalgebra::Vector2;

use super::maze::{CELL_M, Maze};

/// Length of one step, seconds.
pub const STEP_S: f64 = 0.01;
/// Radius of the disc, metres.
pub const ROBOT_RADIUS_M: f64 = 0.15;
/// Largest commanded force per axis, newtons.
pub const FORCE_LIMIT_N: f64 = 4.0;

/// Mass, kilograms.
const MASS_KG: f64 = 1.0;
/// Viscous damping, newton seconds per metre: the full force of one axis holds 2 m/s.
const DAMPING_N_S_PER_M: f64 = 2.0;
/// Coulomb friction at a wall: the share of the stopped normal speed that the sliding speed loses.
const WALL_FRICTION: f64 = 0.1;
/// Longest way in one sub-step, metres: well below the radius, so that no wall is crossed between two checks.
const LONGEST_MOVE_M: f64 = 0.25 * ROBOT_RADIUS_M;
/// Pushing out of one wall may push into a second one (a corner); a third does not exist in a grid.
const CONTACT_ROUNDS: usize = 3;

/// Where the robot is and how it moves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RobotState {
    /// Metres.
    pub position: Vector2<f64>,
    /// Metres per second.
    pub velocity: Vector2<f64>,
}

/// The maze and the robot in it.
#[derive(Clone, Debug)]
pub struct World {
    maze: Maze,
    state: RobotState,
}

impl World {
    /// The robot at rest at `position`, which must lie in a free cell; it is pushed clear of the walls.
    pub fn new(maze: Maze, position: Vector2<f64>) -> Self {
        let mut world = Self { maze, state: RobotState { position, velocity: Vector2::zeros() } };
        world.resolve_contacts();
        world
    }

    /// The maze.
    pub fn maze(&self) -> &Maze {
        &self.maze
    }

    /// Position and velocity.
    pub fn state(&self) -> RobotState {
        self.state
    }

    /// One step of [`STEP_S`] under a commanded force, limited per axis to [`FORCE_LIMIT_N`], and a disturbance (another
    /// force, not limited), newtons. A component that is not finite counts as none.
    pub fn step(&mut self, command: Vector2<f64>, disturbance: Vector2<f64>) -> RobotState {
        let finite = |value: f64| if value.is_finite() { value } else { 0.0 };
        let force = command.map(|f| finite(f).clamp(-FORCE_LIMIT_N, FORCE_LIMIT_N)) + disturbance.map(finite);
        let fastest = self.state.velocity.norm() + force.norm() / MASS_KG * STEP_S;
        let sub_steps = (fastest * STEP_S / LONGEST_MOVE_M).ceil().max(1.0);
        let sub_step_s = STEP_S / sub_steps;
        for _ in 0..sub_steps as usize {
            // Semi-implicit Euler: the new velocity moves the position.
            let acceleration = (force - DAMPING_N_S_PER_M * self.state.velocity) / MASS_KG;
            self.state.velocity += acceleration * sub_step_s;
            self.state.position += self.state.velocity * sub_step_s;
            self.resolve_contacts();
        }
        self.state
    }

    /// Pushes the disc out of walls, deepest first; the speed into a wall is lost (inelastic).
    fn resolve_contacts(&mut self) {
        for _ in 0..CONTACT_ROUNDS {
            let Some((normal, depth)) = self.deepest_contact() else { return };
            self.state.position += normal * depth;
            let into = -self.state.velocity.dot(&normal);
            if into > 0.0 {
                let sliding = self.state.velocity + normal * into;
                let speed = sliding.norm();
                let kept = if speed > 0.0 { (1.0 - WALL_FRICTION * into / speed).max(0.0) } else { 0.0 };
                self.state.velocity = sliding * kept;
            }
        }
    }

    /// The outward normal and the depth of the deepest overlap with a wall.
    fn deepest_contact(&self) -> Option<(Vector2<f64>, f64)> {
        let position = self.state.position;
        let (row, column) = ((position.y / CELL_M).floor() as i64, (position.x / CELL_M).floor() as i64);
        let mut deepest: Option<(Vector2<f64>, f64)> = None;
        for (r, c) in (row - 1..=row + 1).flat_map(|r| (column - 1..=column + 1).map(move |c| (r, c))) {
            if !self.maze.is_wall(r, c) {
                continue;
            }
            let low = Vector2::new(c as f64, r as f64) * CELL_M;
            let nearest = position.zip_map(&low, |p, l| p.clamp(l, l + CELL_M));
            let away = position - nearest;
            let distance = away.norm();
            let depth = ROBOT_RADIUS_M - distance;
            if depth > 0.0 && distance > 0.0 && deepest.is_none_or(|(_, d)| depth > d) {
                deepest = Some((away / distance, depth));
            }
        }
        deepest
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::super::maze::Cell;
    use super::*;

    /// Distance of the disc's centre to the nearest wall.
    fn clearance(world: &World) -> f64 {
        let p = world.state().position;
        let mut min = f64::INFINITY;
        for (r, c) in (-1..=world.maze().rows() as i64)
            .flat_map(|r| (-1..=world.maze().columns() as i64).map(move |c| (r, c)))
            .filter(|(r, c)| world.maze().is_wall(*r, *c))
        {
            let nearest = Vector2::new(p.x.clamp(c as f64, c as f64 + 1.0), p.y.clamp(r as f64, r as f64 + 1.0));
            min = min.min((p - nearest).norm());
        }
        min
    }

    fn corridor() -> World {
        let maze = Maze::parse("##########\n#OOOOOOOO#\n##########").unwrap();
        World::new(maze, Cell { row: 1, column: 1 }.centre())
    }

    #[test]
    fn full_force_holds_two_metres_per_second() {
        let mut world = corridor();
        // v(t) = F / d (1 - exp(-d t)) = 2 (1 - e^-4) = 1.963 after 2 s.
        for _ in 0..200 {
            world.step(Vector2::new(100.0, 0.0), Vector2::zeros());
        }
        assert!((world.state().velocity.x - 1.963).abs() < 0.01, "{:?}", world.state());
    }

    #[test]
    fn a_wall_stops_the_robot_at_its_radius_and_lets_it_go() {
        let mut world = corridor();
        for _ in 0..100 {
            world.step(Vector2::new(0.0, 4.0), Vector2::zeros());
        }
        // The wall begins at y = 2, the centre stays 0.15 before it.
        assert!((world.state().position.y - 1.85).abs() < 1e-9);
        assert_eq!(world.state().velocity.y, 0.0);
        for _ in 0..50 {
            world.step(Vector2::new(4.0, 4.0), Vector2::zeros());
        }
        assert!(world.state().velocity.x > 0.5, "it slides along the wall");
        for _ in 0..50 {
            world.step(Vector2::new(0.0, -4.0), Vector2::zeros());
        }
        assert!(world.state().position.y < 1.8, "it comes off the wall");
    }

    #[test]
    fn is_never_inside_a_wall_nor_stuck() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut world = World::new(Maze::demo(), Cell { row: 3, column: 3 }.centre());
        let mut visited = std::collections::HashSet::new();
        let mut force = Vector2::zeros();
        for k in 0..100_000 {
            // Held for a second, so that the robot runs into walls and corners at speed; a gust now and then.
            if k % 100 == 0 {
                force = Vector2::new(rng.random_range(-6.0..6.0), rng.random_range(-6.0..6.0));
            }
            let gust = if k % 997 < 10 { force * 60.0 } else { Vector2::zeros() };
            world.step(force, gust);
            assert!(clearance(&world) > ROBOT_RADIUS_M - 1e-6, "step {k}: {:?}", world.state());
            visited.insert(world.maze().cell_at(world.state().position).unwrap());
        }
        assert_eq!(visited.len(), world.maze().free_cells().len(), "a random walk gets everywhere");
    }

    #[test]
    fn a_force_that_is_not_finite_is_none() {
        let mut world = corridor();
        world.step(Vector2::new(f64::NAN, f64::INFINITY), Vector2::zeros());
        assert_eq!(world.state(), corridor().state());
    }
}
