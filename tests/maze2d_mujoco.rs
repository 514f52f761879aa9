//! Compares the Maze2D world with MuJoCo: the same controls give the same states. MuJoCo runs in Python: `make
//! setup-tests` installs it, or `DF_MUJOCO_PYTHON` names a Python that has it.

mod support;

use std::io::Write;
use std::process::{Command, Stdio};

use df_planner::sim::RobotState;
use df_planner::sim::maze2d::{Demonstration, Episode, Maze2d, PointMass, Task, cell_at};
use nalgebra::Vector2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use support::tools::{MUJOCO, require_tool};

/// Largest difference in free space, m and m/s. Rounding leaves 2e-15 in 400 steps; a thousand times that is allowed.
const FREE: f64 = 2e-12;
/// Largest difference at walls, m and m/s. 1.2e-13 m and 1.7e-11 m/s were measured; a thousand times that is allowed.
const AT_WALLS: (f64, f64) = (1.2e-10, 1.7e-8);

/// A start state and the controls applied from there.
struct Run {
    maze: Maze2d,
    start: RobotState,
    controls: Vec<Vector2<f64>>,
}

impl Run {
    fn ours(&self) -> Vec<RobotState> {
        let mut world = PointMass::new(self.maze.maze(), self.start);
        self.controls.iter().map(|control| world.step(*control)).collect()
    }

    fn request(&self, rows: &[String]) -> Value {
        let pair = |v: Vector2<f64>| [v.x, v.y];
        let controls: Vec<_> = self.controls.iter().map(|c| pair(*c)).collect();
        let (position, velocity) = (pair(self.start.position), pair(self.start.velocity));
        json!({"rows": rows, "position": position, "velocity": velocity, "controls": controls})
    }
}

/// The states that MuJoCo computes; `None` without MuJoCo.
fn mujoco(runs: &[Run]) -> Option<Vec<Vec<RobotState>>> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = require_tool(&MUJOCO)?;
    let rows = |maze: Maze2d| {
        let cells = maze.maze();
        let symbol = |r, c| if cells.is_wall(r as i64, c as i64) { '#' } else { 'O' };
        (0..cells.rows()).map(|r| (0..cells.columns()).map(|c| symbol(r, c)).collect()).collect::<Vec<String>>()
    };
    let requests: Vec<Value> = runs.iter().map(|run| run.request(&rows(run.maze))).collect();
    let mut child = Command::new(&python)
        .arg(root.join("benches/maze2d_ros/world.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&serde_json::to_vec(&requests).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let states: Vec<Vec<[f64; 4]>> = serde_json::from_slice(&output.stdout).unwrap();
    let state =
        |[x, y, vx, vy]: &[f64; 4]| RobotState { position: Vector2::new(*x, *y), velocity: Vector2::new(*vx, *vy) };
    Some(states.iter().map(|run| run.iter().map(state).collect()).collect())
}

/// The largest difference in position, metres, and in velocity, metres per second.
fn apart(run: &Run, theirs: &[RobotState]) -> (f64, f64) {
    let ours = run.ours();
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(theirs).fold((0.0, 0.0), |(position, velocity), (a, b)| {
        let (p, v) = ((a.position - b.position).norm(), (a.velocity - b.velocity).norm());
        (f64::max(position, p), f64::max(velocity, v))
    })
}

#[test]
fn the_maze2d_world_gives_the_states_of_mujoco_in_free_space_and_at_walls() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    // Free: a cell with free neighbours, small controls to and fro. At walls: full controls, held for a while, into
    // walls and corners.
    let mut runs: Vec<Run> = (0..20)
        .map(|_| Run {
            maze: Maze2d::Medium,
            start: RobotState { position: Vector2::new(4.0, 5.0), velocity: Vector2::zeros() },
            controls: (0..100).map(|k| Vector2::repeat(0.05 * if k / 25 % 3 == 0 { 1.0 } else { -0.5 })).collect(),
        })
        .collect();
    for run in &mut runs {
        let turn = nalgebra::Rotation2::new(rng.random_range(0.0..std::f64::consts::TAU));
        run.controls.iter_mut().for_each(|control| *control = turn * *control);
    }
    let free = runs.len();
    for (i, maze) in Maze2d::ALL.into_iter().cycle().take(60).enumerate() {
        let start = Episode::draw(maze, Task::Multi, i as u64).state();
        let mut control = Vector2::zeros();
        let controls = (0..100).map(|k| {
            if k % 20 == 0 {
                control = Vector2::from_fn(|_, _| rng.random_range(-1.3..1.3));
            }
            control
        });
        runs.push(Run { maze, start, controls: controls.collect() });
    }
    let Some(theirs) = mujoco(&runs) else { return };
    let apart: Vec<(f64, f64)> = runs.iter().zip(&theirs).map(|(run, theirs)| apart(run, theirs)).collect();
    let worst = |range: &[(f64, f64)]| range.iter().fold((0.0, 0.0), |w: (f64, f64), a| (w.0.max(a.0), w.1.max(a.1)));
    let (in_free_space, at_walls) = (worst(&apart[..free]), worst(&apart[free..]));
    println!("largest difference over 100 steps, m and m/s: free {in_free_space:?}, at walls {at_walls:?}");
    assert!(in_free_space.0 < FREE && in_free_space.1 < FREE, "{in_free_space:?}");
    assert!(at_walls.0 < AT_WALLS.0 && at_walls.1 < AT_WALLS.1, "{at_walls:?}");
    // The runs at walls did touch them: in free space no step changes the velocity by more than 0.34 m/s.
    let touched = runs[free..]
        .iter()
        .filter(|run| run.ours().windows(2).any(|pair| (pair[1].velocity - pair[0].velocity).norm() > 0.4));
    assert!(touched.count() > 40);
}

/// Applies a whole demonstration to MuJoCo, step by step from the same state: differences do not accumulate.
#[test]
fn an_expert_demonstration_replayed_in_mujoco_gives_the_same_states() {
    let mut runs = Vec::new();
    for maze in Maze2d::ALL {
        let steps: Vec<_> = Demonstration::new(maze, 3).take(400).collect();
        assert!(steps.iter().all(|step| cell_at(&maze.maze(), step.state.position).is_some()));
        runs.push(Run { maze, start: steps[0].state, controls: steps.iter().map(|step| step.force).collect() });
    }
    let Some(theirs) = mujoco(&runs) else { return };
    for (run, theirs) in runs.iter().zip(&theirs) {
        let (position, velocity) = apart(run, theirs);
        println!("{}: 400 steps of the expert, {position:.2e} m, {velocity:.2e} m/s", run.maze.name());
        assert!(position < FREE && velocity < FREE, "{position} m, {velocity} m/s");
    }
}
