//! Adds a cost of one's own to a planner, without a change in its crates. Needs neither ROS nor a simulator.
//!
//! The cost keeps the robot's speed at or below a limit. The program plans with and without it.
//!
//! `cargo run --release --no-default-features --example custom_cost`

use std::path::Path;

use df_core::{Document, Frame, History};
use df_engine::CheckpointDescription;
use df_planning::costs::{Cost, Rollout};
use df_planning::{Budget, Plan, PlanRequest, Planner, PlanningConfig};

/// `weight` times the time integral of `max(0, |velocity| - limit)^2`.
struct SpeedCost {
    weight: f64,
    /// Channels of the velocity, x and y in m/s.
    velocity: [usize; 2],
    /// m/s.
    limit: f64,
}

impl Cost for SpeedCost {
    fn name(&self) -> &'static str {
        "speed"
    }

    fn weight(&mut self) -> &mut f64 {
        &mut self.weight
    }

    fn evaluate(&self, rollout: &Rollout, gradient: &mut [f32]) -> f64 {
        let [x, y] = self.velocity;
        let factor = self.weight * rollout.period_s;
        let mut cost = 0.0;
        for (frame, gradient) in rollout.frames().zip(gradient.chunks_exact_mut(rollout.channels)) {
            let (vx, vy) = (f64::from(frame[x]), f64::from(frame[y]));
            let speed = vx.hypot(vy);
            let excess = (speed - self.limit).max(0.0);
            cost += factor * excess * excess;
            if excess > 0.0 {
                // d/dv (|v| - limit)^2 = 2 (|v| - limit) v / |v|.
                gradient[x] += (factor * 2.0 * excess * vx / speed) as f32;
                gradient[y] += (factor * 2.0 * excess * vy / speed) as f32;
            }
        }
        cost
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (speed_without, _) = plan(None)?;
    let (speed_with, plan) = plan(Some(SpeedCost { weight: 10.0, velocity: [4, 5], limit: 0.5 }))?;
    println!("Mean planned speed: {speed_without:.2} m/s without the cost, {speed_with:.2} m/s with it.");
    for cost in &plan.statistics.costs {
        println!("  {}: {:.3}", cost.name, cost.mean);
    }
    if speed_with >= speed_without {
        return Err("the cost does not slow the robot down".into());
    }
    Ok(())
}

/// A plan with the shipped model, and the mean speed of its rollouts, m/s.
fn plan(cost: Option<SpeedCost>) -> Result<(f32, Plan), Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut config = PlanningConfig::read(Document::load(&root.join("config/point_maze.yaml"))?)?;
    // Stronger guidance than in the file: a single plan from noise shows the cost.
    (config.planner.guidance.scale, config.planner.guidance.max_norm) = (1.0, 5.0);
    let checkpoint = root.join("models/point_maze");
    let description = CheckpointDescription::load(&checkpoint)?;
    let denoiser = Box::new(description.cpu_denoiser(&checkpoint)?);
    let (layout, schedule) = (description.layout.clone(), description.schedule());
    let mut planner = Planner::new(denoiser, &config, layout.clone(), description.normaliser, schedule)?;
    if let Some(cost) = cost {
        planner.add_cost(Box::new(cost));
    }

    // At rest at (1.5, 1.5) m. The goal is at (3.5, 1.5) m.
    let mut history = History::new(&layout, config.planner.history);
    for _ in 0..config.planner.history * layout.frame_stack {
        // Channels: force x, y (N); position x, y (m); velocity x, y (m/s).
        let values = vec![0.0, 0.0, 1.5, 1.5, 0.0, 0.0];
        history.push(Frame { values, present: vec![false, true, true], std: Vec::new() });
    }
    let request = PlanRequest { tick_ns: 0, history, committed: Some(vec![0.0, 0.0]), goal: vec![3.5, 1.5] };
    let plan = planner.plan(&request, &Budget::unlimited())?;
    let speeds: Vec<f32> = plan.rollouts.iter().flatten().map(|frame| frame[4].hypot(frame[5])).collect();
    Ok((speeds.iter().sum::<f32>() / speeds.len() as f32, plan))
}
