//! World, expert and disturbance together: the steps that a recording of demonstrations consists of.

use nalgebra::Vector2;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::disturbance::Disturbance;
use super::expert::Expert;
use super::maze::Maze;
use super::world::{ROBOT_RADIUS_M, RobotState, World};

/// Space left between the robot and the walls of its start cell, metres.
const START_CLEARANCE_M: f64 = 0.1;

/// What is seen at one step: the state, and the force commanded on seeing it (in effect until the next step).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Position and velocity.
    pub state: RobotState,
    /// Newtons.
    pub force: Vector2<f64>,
    /// The goal that the expert drives to, metres.
    pub goal: Vector2<f64>,
}

/// An endless demonstration from a random place in a maze; an iterator over its steps, one per `sim::STEP_S`.
pub struct Demonstration {
    world: World,
    expert: Expert,
    disturbance: Disturbance,
    rng: ChaCha8Rng,
}

impl Demonstration {
    /// The same maze and seed give the same steps.
    pub fn new(maze: Maze, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let position = random_place(&maze, &mut rng);
        let expert = Expert::new(&maze, position, &mut rng);
        Self { world: World::new(maze, position), expert, disturbance: Disturbance::new(), rng }
    }
}

impl Iterator for Demonstration {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let state = self.world.state();
        let force = self.expert.force(self.world.maze(), state, &mut self.rng);
        let step = Step { state, force, goal: self.expert.goal() };
        self.world.step(force, self.disturbance.next(&mut self.rng));
        Some(step)
    }
}

/// A random place in a random free cell, clear of the walls.
fn random_place(maze: &Maze, rng: &mut impl Rng) -> Vector2<f64> {
    let cells = maze.free_cells();
    let max_offset = 0.5 - ROBOT_RADIUS_M - START_CLEARANCE_M;
    let offset = Vector2::new(rng.random_range(-max_offset..max_offset), rng.random_range(-max_offset..max_offset));
    cells[rng.random_range(0..cells.len())].centre() + offset
}

#[cfg(test)]
mod tests {
    use super::super::world::STEP_S;
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_steps() {
        let steps = |seed| Demonstration::new(Maze::demo(), seed).take(6000).collect::<Vec<_>>();
        assert_eq!(steps(7), steps(7));
        assert_ne!(steps(7), steps(8));
    }

    #[test]
    fn drives_smoothly_and_visits_goal_after_goal() {
        let steps: Vec<Step> = (0..10).flat_map(|s| Demonstration::new(Maze::demo(), s).take(6000)).collect();
        let minutes = steps.len() as f64 * STEP_S / 60.0;
        let goals = steps.windows(2).filter(|w| w[0].goal != w[1].goal).count() as f64 / minutes;
        assert!((8.0..30.0).contains(&goals), "{goals} goals per minute");
        let touching = steps.iter().filter(|s| clearance(s.state.position) < 0.001).count() as f64 / steps.len() as f64;
        assert!(touching < 0.01, "{touching} of the time at a wall");
        let speeds: Vec<f64> = steps.iter().map(|s| s.state.velocity.norm()).filter(|v| *v > 0.5).collect();
        let mean = speeds.iter().sum::<f64>() / speeds.len() as f64;
        let limit = steps.iter().filter(|s| s.force.amax() >= 4.0).count() as f64 / steps.len() as f64;
        println!(
            "{goals:.1} goals/min, at walls {touching:.4}, speed under way {mean:.2}, at the force limit {limit:.3}"
        );
        assert!((1.2..1.8).contains(&mean), "{mean}");
    }

    /// Space between the disc and the nearest wall, metres.
    fn clearance(p: Vector2<f64>) -> f64 {
        let maze = Maze::demo();
        let mut min = f64::INFINITY;
        for (r, c) in (0..7).flat_map(|r| (0..7).map(move |c| (r, c))).filter(|(r, c)| maze.is_wall(*r, *c)) {
            let nearest = Vector2::new(p.x.clamp(c as f64, c as f64 + 1.0), p.y.clamp(r as f64, r as f64 + 1.0));
            min = min.min((p - nearest).norm());
        }
        min - ROBOT_RADIUS_M
    }
}
