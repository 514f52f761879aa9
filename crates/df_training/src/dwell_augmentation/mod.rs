//! Dwell augmentation: training windows in which the robot stays at a place.
//!
//! Demonstrations that always move on to the next goal contain no robot at rest. A planner trained on them overshoots
//! its goal and drifts. This augmentation replaces parts of a window by a simulated robot, in one of four ways:
//!
//! - it follows the demonstration, then leaves it: it brakes, visits points nearby and stays at the last one
//! - it rests beside the demonstration at first, then follows it
//! - both of these
//! - it rests at first, then drives straight to a rest nearby
//!
//! The simulated robot obeys the law of motion of the demonstrations, fitted per channel (see [`law_of_motion`]).
//! Corrective labels from fitted dynamics are due to Ke et al. 2024, "CCIL", section IV.

mod law_of_motion;
mod robot;

use std::collections::HashSet;
use std::ops::Range;

use df_core::{ACTION_MODALITY, ConfigError, Goal, Layout};
use rand::{Rng, RngExt};

use crate::TrainerConfig;
use crate::dataset::{Dataset, Window};
use law_of_motion::{Axis, regress};
use robot::Robot;

/// The minimum share of the change of a rate, and of a position, that the law of motion must explain.
const MIN_EXPLAINED: f64 = 0.9;
/// Distance of the resting point from the braking point, at most, as a share of the goal's tolerance.
const REST_OFFSET: f64 = 0.5;
/// Distance of a resting robot from its demonstration at the start, at most, as a share of the goal's tolerance. The
/// planner thus learns to return from places that no demonstration has visited.
const START_OFFSET: f64 = 0.75;
/// Distance from the first rest to the second one of a robot that drives straight there, at most, as a share of the
/// goal's tolerance.
const STRAIGHT_REACH: f64 = 2.0;

/// Replaces parts of training windows by a simulated robot that stays at a place.
#[derive(Clone, Debug)]
pub(crate) struct DwellAugmentation {
    /// The share of windows to augment.
    share: f64,
    /// The longest rest at the start of a window, frames: the planner's history. After such a history the planner has
    /// seen the robot at rest only, and either sets out or stays.
    max_start_rest: usize,
    axes: Vec<Axis>,
    /// The modalities of action, position and rate. Other modalities are missing in simulated frames, because their
    /// values at the simulated place are unknown.
    simulated: [usize; 3],
    /// The largest distance of the resting point from the braking point per channel, in the channel's unit. Also the
    /// size of the boxes of `visited`.
    rest_offset: f64,
    /// The boxes that demonstrations have visited. Elsewhere there may be a wall.
    visited: HashSet<Vec<i64>>,
    period_s: f64,
}

/// The frames of an augmented window, as of [`Window::frames`].
pub(crate) struct Frames {
    values: Vec<f32>,
    present: Vec<u8>,
    count: usize,
}

impl Frames {
    fn push(&mut self, values: &[f32], present: &[u8]) {
        self.values.extend(values);
        self.present.extend(present);
    }

    /// The frames in order: values `[channel]` and a byte `[modality]` that is 0 where the modality is missing.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[f32], &[u8])> {
        let (channels, modalities) = (self.values.len() / self.count, self.present.len() / self.count);
        self.values.chunks(channels).zip(self.present.chunks(modalities))
    }
}

/// The frames at which an augmented window changes from recorded to simulated motion and back.
struct Plan {
    /// The simulated robot rests in the frames before this one and follows the demonstration from it on.
    join: usize,
    /// The last frame that follows the demonstration; beyond the window if the robot never leaves it.
    leave: usize,
    /// From this frame on, the robot no longer visits other points.
    settled: usize,
    /// The robot drives from its first rest straight to a second one.
    is_straight: bool,
}

impl DwellAugmentation {
    /// Fits the law of motion to the training windows. `None` if `training.dwell_share` is 0.
    ///
    /// # Errors
    /// The action does not drive the rate of the goal, channel by channel. The error names the place in the
    /// configuration.
    pub(crate) fn fit(config: &TrainerConfig, dataset: &Dataset, layout: &Layout) -> Result<Option<Self>, ConfigError> {
        let share = config.training.dwell_share;
        let goal = config.contract.goal.as_ref().filter(|_| share > 0.0);
        let groups = goal.and_then(|goal| {
            Some((goal, layout.modality(&goal.group)?, goal.rate.as_deref().and_then(|rate| layout.modality(rate))?))
        });
        // The rules of the configuration require both groups if the share is above 0.
        let Some((goal, position, rate)) = groups else { return Ok(None) };
        let simulated = [ACTION_MODALITY, position, rate];
        let axes = fit_axes(config, dataset, layout, goal, simulated)?;
        let max_start_rest = config.planner.history.max(1) * layout.frame_stack;
        let mut augmentation = Self {
            share,
            max_start_rest,
            axes,
            simulated,
            rest_offset: REST_OFFSET * goal.tolerance,
            visited: HashSet::new(),
            period_s: config.contract.period_s,
        };
        let frames = dataset.pairs().flatten().filter(|(_, present)| present[position] != 0);
        augmentation.visited = frames.map(|(values, _)| augmentation.box_of(values)).collect();
        Ok(Some(augmentation))
    }

    /// The frames of an augmented window. `None` for a window that stays as it is, by chance or because the robot would
    /// leave the visited area.
    pub(crate) fn draw(&self, window: &Window, rng: &mut impl Rng) -> Option<Frames> {
        if !rng.random_bool(self.share) {
            return None;
        }
        let rests_first = rng.random_ratio(2, 3) && window.frames > 1;
        let is_straight = rests_first && rng.random_ratio(1, 3);
        let rests_last = !rests_first || is_straight || rng.random_bool(0.5);
        // A robot that only leaves its demonstration may have left it before the window starts.
        let earlier = if rests_first { 0 } else { window.first.min(window.frames.div_ceil(4)) };
        let demonstration: Vec<(&[f32], &[u8])> = window.extended_back(earlier).frames().collect();
        let join = if rests_first { rng.random_range(1..=self.max_start_rest.min(window.frames - 1)) } else { 0 };
        let leave = if is_straight {
            join
        } else if rests_last {
            rng.random_range(join..demonstration.len())
        } else {
            demonstration.len()
        };
        let settled = if rests_last { rng.random_range(leave..demonstration.len()) } else { leave };
        let robot = rests_first.then(|| self.robot_at_rest(demonstration[join].0, rng));
        let plan = Plan { join, leave, settled, is_straight };
        self.simulate(&demonstration, robot, &plan, window.frames, rng)
    }

    /// Simulates the frames of a demonstration by a plan and keeps the last `count` of them. `robot` is the robot that
    /// rests at the start, if any.
    fn simulate<'a>(
        &'a self,
        demonstration: &[(&[f32], &[u8])],
        mut robot: Option<Robot<'a>>,
        plan: &Plan,
        count: usize,
        rng: &mut impl Rng,
    ) -> Option<Frames> {
        let Plan { join, leave, settled, is_straight } = *plan;
        let simulated_present = self.presence_in_simulation(demonstration[0].1.len());
        let first_kept = demonstration.len() - count;
        let mut frames = Frames { values: Vec::new(), present: Vec::new(), count };
        for (k, &(values, present)) in demonstration.iter().enumerate() {
            let needs_demonstration = (join..=leave).contains(&k) && (robot.is_some() || k == leave);
            if needs_demonstration && !self.has_simulated_modalities(present) {
                return None;
            }
            match &mut robot {
                Some(robot) if k < join => robot.dwell(true, rng)?,
                Some(robot) if k <= leave => robot.follow(values, rng)?,
                Some(robot) => robot.dwell(k < settled, rng)?,
                None => {}
            }
            let (state, present) =
                robot.as_ref().map_or((values, present), |robot| (robot.state(), &simulated_present));
            if k >= first_kept {
                frames.push(state, present);
            }
            if k == leave {
                let is_inside = robot.as_ref().is_none_or(Robot::is_inside);
                let leaving = Robot::new(self, state, is_inside, rng);
                robot = Some(if is_straight { leaving.sent_nearby(rng)? } else { leaving });
            }
        }
        Some(frames)
    }

    /// A robot that rests near the position of a frame.
    fn robot_at_rest(&self, values: &[f32], rng: &mut impl Rng) -> Robot<'_> {
        let mut values = values.to_vec();
        let offset = START_OFFSET / REST_OFFSET * self.rest_offset;
        for axis in &self.axes {
            values[axis.position] += rng.random_range(-offset..=offset) as f32;
            values[axis.rate] = 0.0;
        }
        let is_inside = self.was_visited(&values);
        Robot::new(self, &values, is_inside, rng)
    }

    /// A random distance of the resting point from the braking point in one channel.
    fn random_offset(&self, rng: &mut impl Rng) -> f64 {
        rng.random_range(-self.rest_offset..=self.rest_offset)
    }

    /// The box of a frame's position.
    fn box_of(&self, values: &[f32]) -> Vec<i64> {
        self.axes.iter().map(|axis| (f64::from(values[axis.position]) / self.rest_offset).floor() as i64).collect()
    }

    /// True if a demonstration has visited the box of a frame's position.
    fn was_visited(&self, values: &[f32]) -> bool {
        self.visited.contains(&self.box_of(values))
    }

    fn has_simulated_modalities(&self, present: &[u8]) -> bool {
        self.simulated.iter().all(|&modality| present[modality] != 0)
    }

    /// The presence bytes of a simulated frame.
    fn presence_in_simulation(&self, modalities: usize) -> Vec<u8> {
        (0..modalities).map(|modality| u8::from(self.simulated.contains(&modality))).collect()
    }
}

/// Fits the law of motion of each channel. `modalities` are those of action, position and rate.
fn fit_axes(
    config: &TrainerConfig,
    dataset: &Dataset,
    layout: &Layout,
    goal: &Goal,
    modalities: [usize; 3],
) -> Result<Vec<Axis>, ConfigError> {
    let channels = modalities.map(|modality| layout.modalities[modality].channels.clone());
    let [actions, positions, rates]: [Range<usize>; 3] = channels;
    let share = config.training.dwell_share;
    let refuse = |rule: String| config.contract.refuse("training.dwell_share", share, rule);
    if actions.len() != positions.len() || rates.len() != positions.len() {
        return Err(refuse(format!(
            "needs an action channel and a rate for each channel of `{}`; there are {}, {} and {}",
            goal.group,
            actions.len(),
            rates.len(),
            positions.len()
        )));
    }
    let (min, max) = (&config.contract.action.min, &config.contract.action.max);
    let mut axes = Vec::new();
    for (i, ((action, position), rate)) in actions.zip(positions).zip(rates).enumerate() {
        let pairs = || {
            let complete = dataset.pairs().filter(|pair| {
                modalities.iter().all(|&modality| pair.iter().all(|(_, present)| present[modality] != 0))
            });
            complete.map(|[(before, _), (after, _)]| {
                [before[position], after[position], before[rate], after[rate], after[action]].map(f64::from)
            })
        };
        let rate_fit = regress(pairs().map(|[_, _, v, next, u]| ([1.0, v, u], next - v)));
        let position_fit = regress(pairs().map(|[p, to, v, next, _]| ([v, next], to - p)));
        for (cause, channel, explained) in
            [("action", rate, rate_fit.explained), ("rate", position, position_fit.explained)]
        {
            if explained.is_nan() || explained < MIN_EXPLAINED {
                return Err(refuse(format!(
                    "the {cause} explains {:.0} % of how `{}` changes from frame to frame; {:.0} % are needed. Set it to 0 \
                     for this robot",
                    100.0 * explained,
                    layout.labels[channel],
                    100.0 * MIN_EXPLAINED
                )));
            }
        }
        axes.push(Axis {
            position,
            rate,
            action,
            action_min: min[i],
            action_max: max[i],
            rate_law: rate_fit.coefficients,
            position_law: position_fit.coefficients,
        });
    }
    Ok(axes)
}

#[cfg(test)]
mod tests;
