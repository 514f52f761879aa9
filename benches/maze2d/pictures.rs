//! What an episode looked like: the way driven, and what was planned at some moments.

use std::path::Path;

use anyhow::{Context, Result};
use df_planner::planning::Plan;
use df_planner::signal::Layout;
use df_planner::sim::maze2d::{Episode, REACHED_M, on_map};
use df_planner::sim::{Moment, Picture, STEP_S};
use nalgebra::Vector2;

/// Kept while an episode is driven.
#[derive(Clone, Debug, Default)]
pub struct Album {
    trail: Vec<Vector2<f64>>,
    moments: Vec<Moment>,
}

impl Album {
    pub fn step(&mut self, episode: &Episode) {
        self.trail.push(on_map(episode.state().position));
    }

    /// Every candidate up to the end of its stay at the goal.
    pub fn plan(&mut self, plan: &Plan, layout: &Layout) {
        let place = layout.modalities[1].channels.start;
        let line = |future: usize| {
            let frames = plan.meant_frames(future).iter();
            frames.map(|frame| on_map(Vector2::new(f64::from(frame[place]), f64::from(frame[place + 1])))).collect()
        };
        let time_s = self.trail.len().saturating_sub(1) as f64 * STEP_S;
        self.moments.push(Moment { time_s, futures: (0..plan.futures.len()).map(line).collect() });
    }

    pub fn draw(&self, episode: &Episode, seed: u64, file: &Path) -> Result<()> {
        let reached = episode.steps_to_goal();
        let facts = [
            ("seed", seed.to_string()),
            ("return", episode.raw_return().to_string()),
            ("steps to the goal", reached.map_or("-".into(), |steps| steps.to_string())),
        ];
        let picture = Picture {
            maze: episode.maze(),
            trail: &self.trail,
            goal: on_map(episode.goal()),
            tolerance_m: REACHED_M,
            moments: &Moment::spread(&self.moments, &self.trail),
            reached: reached.is_some(),
            headline: "df_planner",
            facts: &facts.map(|(name, value)| (name.into(), value)),
        };
        picture.write(file).with_context(|| format!("drawing {}", file.display()))
    }
}
