//! Every kind of cost, and rollouts among obstacles: timed by `benches/costs`, checked by `tests/costs.rs`.

use df_core::Layout;
use df_planner::config::Config;
use df_planning::costs::{Cost, Rollout, bind_costs};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub const ROLLOUTS: usize = 64;
pub const FRAMES: usize = 64;
/// Cells along an edge of the map, and the edge of a cell, m.
pub const CELLS: usize = 200;
const CELL_M: f32 = 0.05;
/// Channels of a frame: force, position, velocity.
const CHANNELS: usize = 6;
pub const PERIOD_S: f64 = 0.05;
pub const GOAL: [f64; 2] = [8.0, 8.5];

/// One of each kind, as a robot of 0.2 m in a map of 10 m x 10 m might have them.
const COSTS: &str = "costs:
- {kind: goal, weight: 1}
- {kind: consistency, weight: 20, of: position, rate: velocity, over_s: 0.4, tolerance: 0}
- {kind: path, weight: 1, of: position, progress: 0.5, points: [[1, 1], [2, 4], [4, 4], [4, 7], [6, 7], [6, 3], [8, 3], [8, 8.5]]}
- {kind: obstacles, weight: 10, of: position, map: map.yaml, margin: 0.3, radius: 0.2}
- kind: keep_out
  weight: 10
  of: position
  margin: 0.3
  radius: 0.2
  polygons: [[[1, 6], [3, 6], [3, 8], [1, 8]], [[5, 1], [7, 1], [7, 2], [6, 2], [6, 3], [5, 3]], [[8, 5], [9, 4], [9, 6]]]
- {kind: effort, weight: 0.1}
- {kind: smoothness, weight: 1.0e-4, of: position, order: 3}
- {kind: limits, weight: 1, of: velocity, min: -1, max: 1}
- {kind: target, weight: 1, of: velocity, value: 0, gate: {goal_nearer_than: 100}}
";

/// The layout of the contract of the maze.
pub fn layout() -> Layout {
    let groups = [("action", ["fx", "fy"]), ("position", ["x", "y"]), ("velocity", ["vx", "vy"])];
    Layout::new(8, groups.map(|(name, labels)| (name.into(), labels.map(String::from).to_vec())))
}

/// The costs, in the order of `COSTS`. Their map is written to a temporary folder and read from there.
pub fn all_costs() -> Vec<Box<dyn Cost>> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).expect("a file");
    write(
        "map.yaml",
        b"image: map.pgm\nresolution: 0.05\norigin: [0, 0, 0]\nnegate: 0\noccupied_thresh: 0.65\nfree_thresh: 0.25\n",
    );
    let mut image = format!("P5 {CELLS} {CELLS} 255\n").into_bytes();
    image.extend((0..CELLS * CELLS).map(|i| if is_wall(i % CELLS, i / CELLS) { 0 } else { 254 }));
    write("map.pgm", &image);
    let maze = include_str!("../../config/point_maze.yaml");
    let settings = maze.find("costs:").expect("the section costs");
    write("robot.yaml", format!("{}{COSTS}", &maze[..settings]).as_bytes());
    let config = Config::load(&folder.path().join("robot.yaml")).expect("a valid configuration");
    bind_costs(&config.costs, Some("position"), &layout()).expect("costs that fit the layout")
}

/// Walls around, and pillars of 0.5 m every 2 m.
fn is_wall(x: usize, y: usize) -> bool {
    let edge = |i: usize| !(2..CELLS - 2).contains(&i);
    edge(x) || edge(y) || (x % 40 < 10 && y % 40 < 10)
}

/// `[rollout][frame][channel]`: from random positions in the map at up to 1.5 m/s, with noise.
pub fn rollouts() -> Vec<Vec<f32>> {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let width = CELLS as f32 * CELL_M;
    let mut rollout = || {
        let mut draw = |max: f32| rng.random_range(-max..max);
        let start = [width / 2.0 + draw(width / 2.0), width / 2.0 + draw(width / 2.0)];
        let velocity = [draw(1.5), draw(1.5)];
        let frame = |k: usize| {
            let at = |axis: usize| start[axis] + velocity[axis] * (k as f64 * PERIOD_S) as f32;
            let (x, y) = (at(0), at(1));
            [draw(4.0), draw(4.0), x + draw(0.01), y + draw(0.01), velocity[0] + draw(0.1), velocity[1] + draw(0.1)]
        };
        (0..FRAMES).flat_map(frame).collect()
    };
    (0..ROLLOUTS).map(|_| rollout()).collect()
}

/// The sum of costs over all rollouts; their gradient is added to `gradient`, `[rollout][frame][channel]`.
pub fn evaluate(costs: &[Box<dyn Cost>], rollouts: &[Vec<f32>], gradient: &mut [Vec<f32>]) -> f64 {
    let pairs = rollouts.iter().zip(gradient);
    pairs
        .map(|(values, gradient)| {
            // The first eight frames are history.
            let rollout = Rollout {
                values,
                channels: CHANNELS,
                period_s: PERIOD_S,
                first_tick: -7,
                newest: values.chunks_exact(CHANNELS).nth(7),
                goal: &GOAL,
            };
            costs.iter().map(|cost| cost.evaluate(&rollout, gradient)).sum::<f64>()
        })
        .sum()
}
