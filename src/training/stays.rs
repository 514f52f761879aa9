//! Windows with a stay. Demonstrations that are always on their way to the next goal show no robot at rest, which the
//! planner must nevertheless be at its goal.
//!
//! From some frame of a window on, the demonstration is left: the robot brakes, goes to points near by and stays at the last. Or it
//! stays at first, and then follows the demonstration; or both. It moves by the law of motion that the demonstrations obey, fitted to them
//! channel by channel, as corrective labels are made from fitted dynamics by Ke et al. 2024 ("CCIL", section IV):
//! `v' = v + c + d v + g u`, `p' = p + b v + e v'`.

use std::collections::HashSet;
use std::ops::Range;

use nalgebra::{DMatrix, DVector};
use rand::{Rng, RngExt};

use super::Dataset;
use super::dataset::Window;
use crate::config::{Config, ConfigError};
use crate::signal::{ACTION_MODALITY, Layout};

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

/// Makes such windows.
#[derive(Clone, Debug)]
pub struct Stays {
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

impl Stays {
    /// Fits the law of motion to the training windows. `None` where `training.stays` is 0.
    ///
    /// # Errors
    /// The action does not drive the goal's rate, channel by channel; says where in the configuration.
    pub fn fit(config: &Config, dataset: &Dataset, layout: &Layout) -> Result<Option<Self>, ConfigError> {
        let share = config.training.stays;
        let goal = config.goal.as_ref().filter(|_| share > 0.0);
        let named = goal.and_then(|goal| {
            Some((goal, layout.modality(&goal.group)?, goal.rate.as_deref().and_then(|rate| layout.modality(rate))?))
        });
        // The configuration's rules see to it that a share above 0 has both.
        let Some((goal, position, rate)) = named else { return Ok(None) };
        let driven = [ACTION_MODALITY, position, rate];
        let [actions, positions, rates] = driven.map(|modality| layout.modalities[modality].channels.clone());
        let refuse = |rule: String| config.refuse("training.stays", share, rule);
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
    /// because the robot would come to where no demonstration has been.
    pub fn draw(&self, window: &Window, rng: &mut impl Rng) -> Option<Frames> {
        if !rng.random_bool(self.share) {
            return None;
        }
        let begins = rng.random_bool(0.5) && window.frames > 1;
        let ends = !begins || rng.random_bool(0.5);
        // A demonstration that is only left may have been so before the window begins.
        let earlier = if begins { 0 } else { window.first.min(window.frames.div_ceil(4)) };
        let demonstrated: Vec<(&[f32], &[u8])> = window.from_earlier(earlier).frames().collect();
        let join = if begins { rng.random_range(1..=self.pause.min(window.frames - 1)) } else { 0 };
        let leave = if ends { rng.random_range(join..demonstrated.len()) } else { demonstrated.len() };
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
                robot = Some(Robot::new(self, state, rng));
            }
        }
        Some(frames)
    }

    /// A robot that rests where a frame of the demonstration is.
    fn at_rest(&self, values: &[f32], rng: &mut impl Rng) -> Robot<'_> {
        let mut values = values.to_vec();
        self.axes.iter().for_each(|axis| values[axis.rate] = 0.0);
        Robot::new(self, &values, rng)
    }

    /// How far from where braking leads, in one channel.
    fn elsewhere(&self, rng: &mut impl Rng) -> f64 {
        rng.random_range(-self.aside..=self.aside)
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
    stays: &'a Stays,
    /// A value per channel.
    state: Vec<f32>,
    servos: Vec<Servo>,
}

impl<'a> Robot<'a> {
    fn new(stays: &'a Stays, state: &[f32], rng: &mut impl Rng) -> Self {
        let disturbance = rng.random_range(DISTURBANCE);
        let servos = stays.axes.iter().map(|axis| axis.servo(state, disturbance, stays, rng)).collect();
        Self { stays, state: state.to_vec(), servos }
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
        self.is_where_others_were()
    }

    /// A frame on, after a frame of the demonstration.
    fn follow(&mut self, values: &[f32], rng: &mut impl Rng) -> Option<()> {
        for (axis, servo) in self.stays.axes.iter().zip(&self.servos) {
            let rate = f64::from(values[axis.rate]);
            let to = f64::from(values[axis.position]) - rate * self.stays.period_s;
            axis.step(servo, (to, rate), axis.limits, &mut self.state, rng);
        }
        self.is_where_others_were()
    }

    fn is_where_others_were(&self) -> Option<()> {
        self.stays.visited.contains(&self.stays.place(&self.state)).then_some(())
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
    fn servo(&self, state: &[f32], disturbance: f64, stays: &Stays, rng: &mut impl Rng) -> Servo {
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
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::data::Recording;
    use crate::signal::Frame;

    const PERIOD_S: f64 = 0.1;
    const GAIN: f64 = 0.8;
    const DRAG: f64 = -0.1;

    fn config() -> Config {
        let text = "
period_s: 0.1
frame_stack: 1
observations:
  scan: {topic: s, type: p/msg/S, fields: [r], max_age_s: 1}
  position: {topic: x, type: p/msg/X, fields: [x], max_age_s: 1}
  velocity: {topic: x, type: p/msg/X, fields: [v], max_age_s: 1}
action: {topic: u, type: p/msg/X, fields: [x], min: [-1], max: [1], safe: [0], max_age_s: 1}
goal: {topic: g, type: p/msg/X, fields: [x], group: position, rate: velocity, tolerance: 0.4}
training: {stays: 0.5}
";
        Config::parse(text, Path::new("c.yaml")).unwrap()
    }

    fn layout() -> Layout {
        let names = [("action", "u"), ("scan", "r"), ("position", "x"), ("velocity", "v")];
        Layout::new(1, names.map(|(name, field)| (name.to_string(), vec![field.to_string()])))
    }

    /// A robot that never rests: its action changes its sign with its velocity. `driven`: by that, or by nothing it knows of.
    fn dataset(driven: bool) -> Dataset {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let (mut x, mut v, mut sign) = (0.0, 0.0, 1.0);
        let frames = (0..400).map(|_| {
            let u: f64 = sign * rng.random_range(0.3..1.0);
            let before = v;
            v += if driven { DRAG * v + GAIN * u } else { rng.random_range(-1.0..1.0) };
            x += PERIOD_S * 0.5 * (before + v);
            sign = if v.abs() > 2.0 { -v.signum() } else { sign };
            Frame {
                values: [u, 5.0, x, v].map(|value| value as f32).to_vec(),
                present: vec![true; 4],
                deviation: Vec::new(),
            }
        });
        let recording: Arc<Recording> = Recording::of(&layout(), vec![(frames.collect(), 1.0)]).unwrap();
        Dataset::split(&recording, 20, PERIOD_S, 0.0, 0).unwrap().0
    }

    #[test]
    fn the_law_of_motion_is_that_of_the_data() {
        let stays = Stays::fit(&config(), &dataset(true), &layout()).unwrap().unwrap();
        let close = |got: &[f64], expected: &[f64]| got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4);
        let [axis] = &stays.axes[..] else { panic!("one channel") };
        assert!(close(&axis.rate_law, &[0.0, DRAG, GAIN]), "{:?}", axis.rate_law);
        assert!(close(&axis.position_law, &[0.05, 0.05]), "{:?}", axis.position_law);
    }

    #[test]
    fn windows_in_their_share_end_or_begin_with_a_stay_as_the_robot_can() {
        let dataset = dataset(true);
        let stays = Stays::fit(&config(), &dataset, &layout()).unwrap().unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (mut drawn, mut rested, mut followed, mut both) = (0, 0, 0, 0);
        for position in 0..1000 {
            let window = dataset.window(position);
            let Some(stay) = stays.draw(&window, &mut rng) else { continue };
            drawn += 1;
            let frames: Vec<_> = stay.iter().collect();
            assert_eq!(frames.len(), 20);
            // Recorded frames and others, in which the scan is not known: one after the other, or the others throughout.
            let recorded = |k: usize| frames[k].1 == [1; 4];
            let left = (0..20).find(|&k| !recorded(k)).unwrap_or(20);
            for (k, (values, _)) in window.frames().enumerate() {
                assert_eq!(k < left, recorded(k));
                assert!(k >= left || *frames[k].0 == *values);
            }
            for pair in frames[left.saturating_sub(1)..].windows(2) {
                let ([_, _, x, v], [u, _, to, next]) = (pair[0].0, pair[1].0) else { panic!("four channels") };
                let law = |got: f32, expected: f64| (f64::from(got) - expected).abs() < 1e-3;
                let (v, next) = (f64::from(*v), f64::from(*next));
                assert!(u.abs() <= 1.0 && law(next as f32, v + DRAG * v + GAIN * f64::from(*u)));
                assert!(law(*to, f64::from(*x) + PERIOD_S * 0.5 * (v + next)));
            }
            let rests = |frames: &[(&[f32], &[u8])]| frames[17..].iter().all(|(values, _)| values[3].abs() < 0.3);
            assert!(!rests(&window.frames().collect::<Vec<_>>()));
            rested += usize::from(rests(&frames));
            let (last, demonstrated) = (frames[19].0[2], window.frames().nth(19).unwrap().0[2]);
            let far = (last - frames[0].0[2]).abs() > 0.6;
            both += usize::from(left == 0 && frames[0].0[3].abs() < 0.5 && far && rests(&frames));
            followed += usize::from(left == 0 && frames[0].0[3].abs() < 0.5 && (last - demonstrated).abs() < 0.1);
        }
        // A stay keeps within 0.2 m to either side of where it was braked to: these went from one to another.
        assert!(both > 20, "{both}");
        // Half of them, less those that would leave where the data have been; the later ones have no time to come to rest.
        assert!(
            (300..560).contains(&drawn) && rested > drawn / 5 && followed > drawn / 5,
            "{drawn} {rested} {followed}"
        );
    }

    #[test]
    fn no_robot_goes_where_no_demonstration_has_been() {
        let dataset = dataset(true);
        let mut stays = Stays::fit(&config(), &dataset, &layout()).unwrap().unwrap();
        // As if the demonstrations had only been where x is below that of the middle of the recording.
        let middle = dataset.pairs().nth(200).unwrap()[0].0[2];
        let edge = stays.place(&[0.0, 0.0, middle, 0.0]);
        stays.visited.retain(|place| *place < edge);
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut near = 0;
        for stay in (0..1000).filter_map(|position| stays.draw(&dataset.window(position), &mut rng)) {
            let made = stay.iter().filter(|(_, present)| present[1] == 0).map(|(values, _)| stays.place(values));
            let places: Vec<_> = made.collect();
            assert!(places.iter().all(|place| *place < edge), "{places:?}");
            near += usize::from(!places.is_empty());
        }
        assert!(near > 50, "{near}");
    }

    #[test]
    fn an_action_that_does_not_drive_the_rate_is_refused() {
        let message = Stays::fit(&config(), &dataset(false), &layout()).unwrap_err().to_string();
        let expected = "training.stays: 0.5: the action explains";
        assert!(
            message.contains(expected) && message.contains("how `v` changes") && message.contains("c.yaml:10"),
            "{message}"
        );
    }
}
