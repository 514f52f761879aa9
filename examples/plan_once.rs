//! Plans once with a shipped model: history and goal in, actions out. Needs neither ROS nor a simulator.
//!
//! `cargo run --release --no-default-features --example plan_once`

use std::path::Path;

use df_core::{Document, Frame, History};
use df_engine::CheckpointDescription;
use df_planning::{Budget, PlanRequest, Planner, PlanningConfig};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = PlanningConfig::read(Document::load(&root.join("config/point_maze.yaml"))?)?;
    let checkpoint = root.join("models/point_maze");

    // The checkpoint says what a frame is (layout), how values are normalised, and which network to evaluate.
    let description = CheckpointDescription::load(&checkpoint)?;
    let denoiser = Box::new(description.cpu_denoiser(&checkpoint)?);
    let (layout, schedule) = (description.layout.clone(), description.schedule());
    let mut planner = Planner::new(denoiser, &config, layout.clone(), description.normaliser, schedule)?;

    // The robot has been at rest at (1.5, 1.5) m. Its past actions are not known.
    let mut history = History::new(&layout, config.planner.history);
    for _ in 0..config.planner.history * layout.frame_stack {
        // Channels: force x, y (N); position x, y (m); velocity x, y (m/s). Groups: action, position, velocity.
        let values = vec![0.0, 0.0, 1.5, 1.5, 0.0, 0.0];
        history.push(Frame { values, present: vec![false, true, true], std: Vec::new() });
    }
    // The command of tick 0 is on its way: no force. The goal is at (3.5, 1.5) m.
    let request = PlanRequest { tick_ns: 0, history, committed: Some(vec![0.0, 0.0]), goal: vec![3.5, 1.5] };
    let plan = planner.plan(&request, &Budget::unlimited())?;

    println!("The first of {} actions:", plan.actions.len());
    for (index, action) in plan.actions.iter().take(4).enumerate() {
        let seconds = (plan.first_tick_ns + index as i64 * config.contract.period_ns()) as f64 / 1e9;
        println!("  at {seconds:.2} s: force ({:+.2}, {:+.2}) N", action[0], action[1]);
    }
    println!("Candidate {} of {} was chosen. Its costs:", plan.chosen, plan.candidate_costs.len());
    for cost in &plan.statistics.costs {
        println!("  {}: {:.3}, standard deviation over rollouts {:.3}", cost.name, cost.mean, cost.std_dev);
    }
    Ok(())
}
