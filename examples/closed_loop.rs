//! Drives a simulated robot to a goal: control loop, planner and world in one process, without ROS.
//!
//! `cargo run --release --no-default-features --features sim --example closed_loop`

use std::path::Path;

use df_core::{Layout, bind};
use df_planner::config::Config;
use df_planner::load_planner;
use df_planner::sim::{Maze, STEP_S, Trial, definitions};
use df_planning::{Budget, ControlLoop, FallbackLevel};
use nalgebra::Vector2;

/// Maximum length of the drive, seconds of simulated time.
const MAX_DRIVE_S: f64 = 40.0;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = Config::load(&root.join("config/point_maze.yaml"))?;
    // The layout of a frame follows from the contract and the definitions of its message types.
    let bound = bind(&config.contract, &definitions())?;
    let layout = Layout::new(config.contract.frame_stack, bound.modalities(&config.contract));
    let mut planner = load_planner(&root.join("models/point_maze"), &config, &layout, "cpu")?;
    let mut control = ControlLoop::new(&config.planning(), &layout, planner.normaliser());

    let mut trial = Trial::draw(Maze::demo(), 0);
    control.set_goal(trial.goal().as_slice());
    // The world moves in steps that are shorter than a tick.
    let steps_per_tick = (config.contract.period_s / STEP_S).round() as i64;
    let step_ns = config.contract.period_ns() / steps_per_tick;
    let mut force = Vector2::zeros();
    let (mut ticks, mut planned) = (0, 0);
    for step in 0.. {
        let now_ns = step * step_ns;
        let state = trial.state();
        // Groups are numbered in the order of the contract: position, velocity.
        control.observe(0, now_ns, state.position.as_slice());
        control.observe(1, now_ns, state.velocity.as_slice());
        if step % steps_per_tick == 0 {
            // The command of this tick comes from the last plan. The request is for the next tick.
            let tick = control.tick(now_ns);
            if let Some(request) = tick.request {
                control.accept(planner.plan(&request, &Budget::unlimited()));
            }
            force = Vector2::from_column_slice(&tick.command.values);
            ticks += 1;
            planned += usize::from(tick.command.level == FallbackLevel::Plan);
        }
        if trial.step(force) || trial.elapsed_s() >= MAX_DRIVE_S {
            break;
        }
    }

    println!("{planned} of {ticks} commands came from a new plan; the way driven is {:.1} m.", trial.way_m());
    match trial.reached_at_s() {
        Some(seconds) => println!("The robot reached the goal after {seconds:.2} s and stayed."),
        None => return Err(format!("the robot did not reach the goal within {MAX_DRIVE_S} s").into()),
    }
    Ok(())
}
