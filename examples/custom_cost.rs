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
    let without = plan(None)?;
    // The shipped guidance scale is low, so the weight is high.
    let with = plan(Some(1000.0))?;
    println!(
        "The fastest frame of the chosen rollouts: {:.2} m/s without the cost, {:.2} m/s with it.",
        without.0, with.0
    );
    for cost in &with.1.statistics.costs {
        println!("  {}: {:.3}", cost.name, cost.mean);
    }
    if with.0 >= without.0 {
        return Err("the cost does not slow the planned robot down".into());
    }
    Ok(())
}

/// A plan with the shipped model, and the highest speed in the rollouts of its chosen candidate, m/s.
fn plan(weight: Option<f64>) -> Result<(f32, Plan), Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = PlanningConfig::read(Document::load(&root.join("config/point_maze.yaml"))?)?;
    let checkpoint = root.join("models/point_maze");
    let description = CheckpointDescription::load(&checkpoint)?;
    let denoiser = Box::new(description.cpu_denoiser(&checkpoint)?);
    let (layout, schedule) = (description.layout.clone(), description.schedule());
    let velocity = layout.modality("velocity").ok_or("the layout has no group `velocity`")?;
    let first = layout.modalities[velocity].channels.start;
    let mut planner = Planner::new(denoiser, &config, layout.clone(), description.normaliser, schedule)?;
    if let Some(weight) = weight {
        planner.add_cost(Box::new(SpeedCost { weight, velocity: [first, first + 1], limit: 1.0 }));
    }

    // At rest at (1.5, 1.5) m. The goal is at (3.5, 1.5) m.
    let mut history = History::new(&layout, config.planner.history);
    for _ in 0..config.planner.history * layout.frame_stack {
        let values = vec![0.0, 0.0, 1.5, 1.5, 0.0, 0.0];
        history.push(Frame { values, present: vec![false, true, true], std: Vec::new() });
    }
    let request = PlanRequest { tick_ns: 0, history, committed: Some(vec![0.0, 0.0]), goal: vec![3.5, 1.5] };
    let plan = planner.plan(&request, &Budget::unlimited())?;
    let chosen = (0..plan.rollouts.len()).filter(|&rollout| plan.candidate_of(rollout) == plan.chosen);
    let frames = chosen.flat_map(|rollout| plan.active_frames_of(rollout));
    let fastest = frames.map(|frame| frame[first].hypot(frame[first + 1])).fold(0.0, f32::max);
    Ok((fastest, plan))
}
