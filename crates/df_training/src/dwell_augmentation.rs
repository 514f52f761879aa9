//! Windows with a stay. Demonstrations that are always on their way to the next goal show no robot at rest, which the
//! planner must nevertheless be at its goal.
//!
//! From some frame of a window on, the demonstration is left: the robot brakes, goes to points near by and stays at the last. Or it
//! stays at first, beside the demonstration, and then follows it; or both; or it stays at first and goes straight to a rest near by.
//! It moves by the law of motion that the demonstrations obey, fitted to them channel by channel, as corrective labels are made
//! from fitted dynamics by Ke et al. 2024 ("CCIL", section IV): `v' = v + c + d v + g u`, `p' = p + b v + e v'`.

use std::collections::HashSet;
use std::ops::Range;

use nalgebra::{DMatrix, DVector};
use rand::{Rng, RngExt};

use super::Dataset;
use super::dataset::Window;
use crate::TrainerConfig;
use df_core::ConfigError;
use df_core::{ACTION_MODALITY, Layout};

/// The least share of a rate's change, and of a position's, that the law must explain.
const EXPLAINED: f64 = 0.9;
/// How hard robots brake and turn, as a share of the action's limits.
const EFFORT: Range<f64> = 0.5..1.0;
/// The time in which the last of a distance is covered, frames.
const CLOSING: Range<f64> = 2.0..4.0;
/// The largest disturbance of the action, as a share of its limits: what the robot did last must not tell what it does next.
const DISTURBANCE: Range<f64> = 0.0..0.1;
/// Chance per frame that the robot, before it stays for good, is sent to another point near by: so it is seen to turn anywhere.
const SENT_ELSEWHERE: f64 = 0.12;
/// How far from where braking leads the stay may be, as a share of the goal's tolerance.
const ASIDE: f64 = 0.5;
/// How far from its demonstration a robot may begin, as a share of the goal's tolerance: pushed or drifted to where no
/// demonstration has been, it must find back.
const BESIDE: f64 = 0.75;
/// How far from where it rested the stay of a robot that goes straight there may be, as a share of the goal's tolerance.
const NEAR: f64 = 2.0;
/// So often such a place is looked for where demonstrations have been, before the window is left as it is.
const TRIES: usize = 8;

/// Makes such windows.
#[derive(Clone, Debug)]
pub struct DwellAugmentation {
    /// Share of the windows.
    share: f64,
    /// The longest stay that a window begins with, frames: the planner's history. What it sees at rest sets out at once, or stays.
    pause: usize,
    axes: Vec<Axis>,
    /// Modalities of action, position and rate; others say nothing of where the robot would be, and are missing.
    driven: [usize; 3],
    /// Farthest from where braking leads, per channel, unit.
    aside: f64,
    /// Where demonstrations have been, in boxes of that size: elsewhere there may be a wall.
    visited: HashSet<Vec<i64>>,
    period_s: f64,
}

/// One channel of the position with its rate and its action, and how they move. Values of a frame by channel.
#[derive(Clone, Debug)]
struct Axis {
    position: usize,
    rate: usize,
    action: usize,
    limits: (f64, f64),
    /// `v' - v` on `1, v, u`.
    rate_law: [f64; 3],
    /// `p' - p` on `v, v'`.
    position_law: [f64; 2],
}

/// Frames of a window, as [`Window::frames`] gives them.
pub struct Frames {
    values: Vec<f32>,
    present: Vec<u8>,
    count: usize,
}

impl Frames {
    fn push(&mut self, values: &[f32], present: &[u8]) {
        self.values.extend(values);
        self.present.extend(present);
    }

    pub fn iter(&self) -> impl Iterator<Item = (&[f32], &[u8])> {
        let (channels, modalities) = (self.values.len() / self.count, self.present.len() / self.count);
        self.values.chunks(channels).zip(self.present.chunks(modalities))
    }
}

impl DwellAugmentation {
    /// Fits the law of motion to the training windows. `None` where `training.dwell_share` is 0.
    ///
    /// # Errors
    /// The action does not drive the goal's rate, channel by channel; says where in the configuration.
    pub fn fit(config: &TrainerConfig, dataset: &Dataset, layout: &Layout) -> Result<Option<Self>, ConfigError> {
        let share = config.training.dwell_share;
        let goal = config.contract.goal.as_ref().filter(|_| share > 0.0);
        let named = goal.and_then(|goal| {
            Some((goal, layout.modality(&goal.group)?, goal.rate.as_deref().and_then(|rate| layout.modality(rate))?))
        });
        // The configuration's rules see to it that a share above 0 has both.
        let Some((goal, position, rate)) = named else { return Ok(None) };
        let driven = [ACTION_MODALITY, position, rate];
        let [actions, positions, rates] = driven.map(|modality| layout.modalities[modality].channels.clone());
        let refuse = |rule: String| config.contract.refuse("training.dwell_share", share, rule);
        if actions.len() != positions.len() || rates.len() != positions.len() {
            return Err(refuse(format!(
                "stays need an action channel and a rate for each channel of `{}`; there are {}, {} and {}",
                goal.group,
                actions.len(),
                rates.len(),
                positions.len()
            )));
        }
        let (min, max) = (&config.contract.action.min, &config.contract.action.max);
        let mut axes = Vec::new();
        for (i, ((action, position), rate)) in actions.zip(positions).zip(rates).enumerate() {
            let mut axis =
                Axis { position, rate, action, limits: (min[i], max[i]), rate_law: [0.0; 3], position_law: [0.0; 2] };
            let pairs = || {
                let whole = dataset.pairs().filter(|pair| {
                    driven.iter().all(|&modality| pair.iter().all(|(_, present)| present[modality] != 0))
                });
                whole.map(|[(before, _), (after, _)]| {
                    [before[position], after[position], before[rate], after[rate], after[action]].map(f64::from)
                })
            };
            let (rate_law, explained_rate) = regress(pairs().map(|[_, _, v, next, u]| ([1.0, v, u], next - v)));
            let (position_law, explained) = regress(pairs().map(|[p, to, v, next, _]| ([v, next], to - p)));
            for (what, group, share) in [("action", rate, explained_rate), ("rate", position, explained)] {
                if share.is_nan() || share < EXPLAINED {
                    return Err(refuse(format!(
                        "the {what} explains {:.0} % of how `{}` changes from frame to frame; {:.0} % are needed",
                        100.0 * share,
                        layout.labels[group],
                        100.0 * EXPLAINED
                    )));
                }
            }
            (axis.rate_law, axis.position_law) = (rate_law, position_law);
            axes.push(axis);
        }
        let (aside, period_s) = (ASIDE * goal.tolerance, config.contract.period_s);
        let pause = config.planner.history.max(1) * layout.frame_stack;
        let mut stays = Self { share, pause, axes, driven, aside, visited: HashSet::new(), period_s };
        let been = dataset.pairs().flatten().filter(|(_, present)| present[position] != 0);
        stays.visited = been.map(|(values, _)| stays.place(values)).collect();
        Ok(Some(stays))
    }

    /// The box that a frame's position lies in.
    fn place(&self, values: &[f32]) -> Vec<i64> {
        self.axes.iter().map(|axis| (f64::from(values[axis.position]) / self.aside).floor() as i64).collect()
    }

    /// The frames of a window that ends in a stay, or begins with one, or both; `None` for one that stays as it is, by chance or
    /// because the robot would leave where demonstrations have been.
    pub fn draw(&self, window: &Window, rng: &mut impl Rng) -> Option<Frames> {
        if !rng.random_bool(self.share) {
            return None;
        }
        let begins = rng.random_ratio(2, 3) && window.frames > 1;
        let straight = begins && rng.random_ratio(1, 3);
        let ends = !begins || straight || rng.random_bool(0.5);
        // A demonstration that is only left may have been so before the window begins.
        let earlier = if begins { 0 } else { window.first.min(window.frames.div_ceil(4)) };
        let demonstrated: Vec<(&[f32], &[u8])> = window.from_earlier(earlier).frames().collect();
        let join = if begins { rng.random_range(1..=self.pause.min(window.frames - 1)) } else { 0 };
        let leave = if straight {
            join
        } else if ends {
            rng.random_range(join..demonstrated.len())
        } else {
            demonstrated.len()
        };
        let settled = if ends { rng.random_range(leave..demonstrated.len()) } else { leave };
        let mut robot = begins.then(|| self.at_rest(demonstrated[join].0, rng));
        let known = self.known(demonstrated[0].1.len());
        let mut frames = Frames { values: Vec::new(), present: Vec::new(), count: window.frames };
        for (k, &(values, present)) in demonstrated.iter().enumerate() {
            if (join..=leave).contains(&k) && (robot.is_some() || k == leave) && !self.is_driven(present) {
                return None;
            }
            match &mut robot {
                Some(robot) if k < join => robot.stay(true, rng)?,
                Some(robot) if k <= leave => robot.follow(values, rng)?,
                Some(robot) => robot.stay(k < settled, rng)?,
                None => {}
            }
            let (state, present) = robot.as_ref().map_or((values, present), |robot| (&robot.state, &known));
            if k >= earlier {
                frames.push(state, present);
            }
            if k == leave {
                let is_inside = robot.as_ref().is_none_or(|robot| robot.is_inside);
                let left = Robot { is_inside, ..Robot::new(self, state, rng) };
                robot = Some(if straight { left.sent(rng)? } else { left });
            }
        }
        Some(frames)
    }

    /// A robot that rests near where a frame of the demonstration is.
    fn at_rest(&self, values: &[f32], rng: &mut impl Rng) -> Robot<'_> {
        let mut values = values.to_vec();
        let beside = BESIDE / ASIDE * self.aside;
        for axis in &self.axes {
            values[axis.position] += rng.random_range(-beside..=beside) as f32;
            values[axis.rate] = 0.0;
        }
        Robot { is_inside: self.was_visited(&values), ..Robot::new(self, &values, rng) }
    }

    /// How far from where braking leads, in one channel.
    fn elsewhere(&self, rng: &mut impl Rng) -> f64 {
        rng.random_range(-self.aside..=self.aside)
    }

    fn was_visited(&self, values: &[f32]) -> bool {
        self.visited.contains(&self.place(values))
    }

    fn is_driven(&self, present: &[u8]) -> bool {
        self.driven.iter().all(|&modality| present[modality] != 0)
    }

    /// What is known of a frame that was not recorded.
    fn known(&self, modalities: usize) -> Vec<u8> {
        (0..modalities).map(|modality| u8::from(self.driven.contains(&modality))).collect()
    }
}

/// A robot that has left its demonstration.
struct Robot<'a> {
    stays: &'a DwellAugmentation,
    /// A value per channel.
    state: Vec<f32>,
    /// It has been where demonstrations have been, and may not leave that any more.
    is_inside: bool,
    servos: Vec<Servo>,
}

impl<'a> Robot<'a> {
    fn new(stays: &'a DwellAugmentation, state: &[f32], rng: &mut impl Rng) -> Self {
        let disturbance = rng.random_range(DISTURBANCE);
        let servos = stays.axes.iter().map(|axis| axis.servo(state, disturbance, stays, rng)).collect();
        Self { stays, state: state.to_vec(), is_inside: true, servos }
    }

    /// A frame on, near by; `restless`: perhaps to another point. `None`: no demonstration has been there.
    fn stay(&mut self, restless: bool, rng: &mut impl Rng) -> Option<()> {
        let elsewhere = restless && rng.random_bool(SENT_ELSEWHERE);
        for (axis, servo) in self.stays.axes.iter().zip(&mut self.servos) {
            if elsewhere {
                servo.to = servo.near + self.stays.elsewhere(rng);
            }
            axis.step(servo, (servo.to, 0.0), servo.limits, &mut self.state, rng);
        }
        self.keeps_inside()
    }

    /// A frame on, after a frame of the demonstration.
    fn follow(&mut self, values: &[f32], rng: &mut impl Rng) -> Option<()> {
        for (axis, servo) in self.stays.axes.iter().zip(&self.servos) {
            let rate = f64::from(values[axis.rate]);
            let to = f64::from(values[axis.position]) - rate * self.stays.period_s;
            axis.step(servo, (to, rate), axis.limits, &mut self.state, rng);
        }
        self.keeps_inside()
    }

    /// `None`: it has left where demonstrations have been.
    fn keeps_inside(&mut self) -> Option<()> {
        let was_inside = std::mem::replace(&mut self.is_inside, self.stays.was_visited(&self.state));
        (self.is_inside || !was_inside).then_some(())
    }

    /// Sent to a rest near by, where demonstrations have been.
    fn sent(mut self, rng: &mut impl Rng) -> Option<Self> {
        let reach = NEAR / ASIDE * self.stays.aside;
        let mut there = self.state.clone();
        (0..TRIES).find_map(|_| {
            self.stays.axes.iter().zip(&mut self.servos).for_each(|(axis, servo)| {
                servo.near = f64::from(self.state[axis.position]) + rng.random_range(-reach..=reach);
                servo.to = servo.near;
                there[axis.position] = servo.near as f32;
            });
            self.stays.was_visited(&there).then_some(())
        })?;
        Some(self)
    }
}

/// How a channel goes to its stay.
struct Servo {
    /// Where braking leads.
    near: f64,
    to: f64,
    /// Lowest and highest action.
    limits: (f64, f64),
    /// Change of the rate that these can make against it, per second.
    brake: f64,
    closing_s: f64,
    /// The largest disturbance of the action.
    disturbance: f64,
}

impl Axis {
    fn servo(&self, state: &[f32], disturbance: f64, stays: &DwellAugmentation, rng: &mut impl Rng) -> Servo {
        let (min, max) = self.limits;
        let disturbance = 0.5 * (max - min) * disturbance;
        let (middle, half) = (0.5 * (min + max), 0.5 * (max - min) * rng.random_range(EFFORT));
        let brake = (self.rate_law[2] * half / stays.period_s).abs();
        let (position, rate) = (f64::from(state[self.position]), f64::from(state[self.rate]));
        let near = position + rate * rate.abs() / (2.0 * brake);
        Servo {
            near,
            to: near + stays.elsewhere(rng),
            limits: (middle - half, middle + half),
            brake,
            closing_s: stays.period_s * rng.random_range(CLOSING),
            disturbance,
        }
    }

    /// One frame on, to a position and a rate there: as fast as can still be braked, and slower at the end.
    fn step(
        &self,
        servo: &Servo,
        (to, rate_there): (f64, f64),
        limits: (f64, f64),
        state: &mut [f32],
        rng: &mut impl Rng,
    ) {
        let [constant, drag, gain] = self.rate_law;
        let [before, after] = self.position_law;
        let (position, rate) = (f64::from(state[self.position]), f64::from(state[self.rate]));
        let left = to - position;
        let faster = (left.abs() / servo.closing_s).min((2.0 * servo.brake * left.abs()).sqrt()) * left.signum();
        let wanted = rate_there + faster;
        let drift = constant + drag * rate;
        let action = ((wanted - rate - drift) / gain).clamp(limits.0, limits.1);
        let disturbed = action + rng.random_range(-servo.disturbance..=servo.disturbance);
        let action = disturbed.clamp(self.limits.0, self.limits.1);
        let next = rate + drift + gain * action;
        state[self.position] = (position + before * rate + after * next) as f32;
        state[self.rate] = next as f32;
        state[self.action] = action as f32;
    }
}

/// Least squares, and the share of the squares that they explain.
fn regress<const N: usize>(rows: impl Iterator<Item = ([f64; N], f64)>) -> ([f64; N], f64) {
    let (mut normal, mut right, mut squares) = (DMatrix::zeros(N, N), DVector::zeros(N), 0.0);
    for (row, value) in rows {
        let row = DVector::from_row_slice(&row);
        normal.ger(1.0, &row, &row, 1.0);
        right.axpy(value, &row, 1.0);
        squares += value * value;
    }
    let Some(solution) = normal.cholesky().map(|factors| factors.solve(&right)) else { return ([0.0; N], f64::NAN) };
    (std::array::from_fn(|i| solution[i]), solution.dot(&right) / squares)
}

#[cfg(test)]
#[path = "dwell_augmentation_tests.rs"]
mod tests;
