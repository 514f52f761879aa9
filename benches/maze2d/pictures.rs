//! Pictures of episodes: the driven path with the plans of some moments, as PNG; all of it over time, as GIF.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use df_core::Layout;
use df_planner::sim::maze2d::{Episode, REACHED_M, on_map};
use df_planner::sim::{Moment, Picture, STEP_S};
use df_planning::Plan;
use gif::{Encoder, Frame, Repeat};
use nalgebra::Vector2;

/// Time between two frames of an animation, seconds.
const FRAME_S: f64 = 0.1;
/// Speed of the choice of colours of a frame, 1 (best) to 30 (fastest).
const SPEED: i32 = 10;

/// Where pictures are written, and whether episodes are animated.
#[derive(Clone, Debug)]
pub struct Pictures {
    pub folder: PathBuf,
    pub animate: bool,
}

impl Pictures {
    pub fn keep(&self, album: &Album, episode: &Episode, (seed, name): (u64, &str)) -> Result<()> {
        album.draw(episode, seed, &self.folder.join(name).with_extension("png"))?;
        if self.animate {
            let file = self.folder.join(name).with_extension("gif");
            album.animate(episode, seed, &file).with_context(|| format!("drawing {}", file.display()))?;
        }
        Ok(())
    }
}

/// Recorded while an episode is driven.
#[derive(Clone, Debug, Default)]
pub struct Album {
    trail: Vec<Vector2<f64>>,
    /// The return after each step.
    returns: Vec<usize>,
    moments: Vec<Moment>,
}

impl Album {
    pub fn step(&mut self, episode: &Episode) {
        self.trail.push(on_map(episode.state().position));
        self.returns.push(episode.raw_return());
    }

    /// Records a plan: every rollout up to its active length.
    pub fn plan(&mut self, plan: &Plan, layout: &Layout) {
        let place = layout.modalities[1].channels.start;
        let line = |rollout: usize| {
            let frames = plan.active_frames_of(rollout).iter();
            frames.map(|frame| on_map(Vector2::new(f64::from(frame[place]), f64::from(frame[place + 1])))).collect()
        };
        let time_s = self.trail.len().saturating_sub(1) as f64 * STEP_S;
        self.moments.push(Moment { time_s, rollouts: (0..plan.rollouts.len()).map(line).collect() });
    }

    /// Draws the whole episode as PNG.
    fn draw(&self, episode: &Episode, seed: u64, file: &Path) -> Result<()> {
        let moments = Moment::choose(&self.moments, &self.trail);
        let drawn = self.picture(episode, (seed, self.trail.len(), &moments), |picture| picture.write(file));
        drawn.with_context(|| format!("drawing {}", file.display()))
    }

    /// Draws the episode in real time as GIF; each plan is shown until the next one.
    fn animate(&self, episode: &Episode, seed: u64, file: &Path) -> Result<()> {
        let [width, height] = [Picture::SIZE.0, Picture::SIZE.1].map(|side| side as u16);
        let mut encoder = Encoder::new(File::create(file)?, width, height, &[])?;
        encoder.set_repeat(Repeat::Infinite)?;
        let steps = (FRAME_S / STEP_S).round() as usize;
        for shown in (1..=self.trail.len()).step_by(steps) {
            let newest = self.moments.iter().rev().find(|moment| moment.time_s <= shown as f64 * STEP_S);
            let moments = newest.map_or(&[][..], std::slice::from_ref);
            let image = self.picture(episode, (seed, shown, moments), |picture| picture.image())?;
            let mut frame = Frame::from_rgb_speed(width, height, image.pixels(), SPEED);
            frame.delay = (FRAME_S * 100.0).round() as u16;
            encoder.write_frame(&frame)?;
        }
        Ok(())
    }

    /// Draws the episode up to step `shown`, at least 1.
    fn picture<T>(
        &self,
        episode: &Episode,
        (seed, shown, moments): (u64, usize, &[Moment]),
        draw: impl FnOnce(&Picture) -> T,
    ) -> T {
        let reached = episode.steps_to_goal().filter(|&steps| steps <= shown);
        let facts = [
            ("seed", seed.to_string()),
            ("return", self.returns[shown - 1].to_string()),
            ("steps to the goal", reached.map_or("-".into(), |steps| steps.to_string())),
        ];
        draw(&Picture {
            maze: episode.maze(),
            trail: &self.trail[..shown],
            goal: on_map(episode.goal()),
            tolerance_m: REACHED_M,
            end_s: self.trail.len().saturating_sub(1) as f64 * STEP_S,
            moments,
            reached: reached.is_some(),
            headline: "df_planner",
            facts: &facts.map(|(name, value)| (name.into(), value)),
        })
    }
}
