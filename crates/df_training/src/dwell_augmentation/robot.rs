//! The simulated robot of the dwell augmentation: a servo per channel that drives it to a point and keeps it there.

use std::ops::Range;

use rand::{Rng, RngExt};

use super::law_of_motion::Axis;
use super::{DwellAugmentation, REST_OFFSET, STRAIGHT_REACH};

/// The action that robots brake and turn with, as a share of half its range.
const EFFORT: Range<f64> = 0.5..1.0;
/// The time in which the last part of a distance is covered, frames.
const CLOSING: Range<f64> = 2.0..4.0;
/// The largest random disturbance of the action, as a share of half its range. Without it the policy could copy its
/// previous action (copycat problem, de Haan et al. 2019, "Causal confusion in imitation learning").
const DISTURBANCE: Range<f64> = 0.0..0.1;
/// The chance per frame that a robot which has not settled drives to another point nearby. So windows show turns at any
/// time.
const NEW_TARGET_CHANCE: f64 = 0.12;
/// How often a visited resting point is searched before the window stays as it is.
const MAX_TRIES: usize = 8;

/// A robot that has left its demonstration.
pub(super) struct Robot<'a> {
    augmentation: &'a DwellAugmentation,
    /// The frame of the robot, `[channel]`.
    state: Vec<f32>,
    /// True if the robot is in the visited area. It must not leave the area again.
    is_inside: bool,
    servos: Vec<Servo>,
}

/// The control of one channel.
struct Servo {
    /// The position at which braking stops the robot.
    braking_point: f64,
    /// The position to go to.
    target: f64,
    /// The limits of the action for driving.
    action_min: f64,
    action_max: f64,
    /// The deceleration under these limits, unit per second squared.
    deceleration: f64,
    /// The time in which the last part of a distance is covered, seconds.
    closing_s: f64,
    /// The largest disturbance of the action.
    disturbance: f64,
}

/// Where a servo goes in the next frame.
struct Target {
    position: f64,
    /// The rate at that position.
    rate: f64,
}

/// The limits of an action.
#[derive(Clone, Copy)]
struct Limits {
    min: f64,
    max: f64,
}

impl<'a> Robot<'a> {
    /// A robot in the state of a frame `[channel]`, with a random temperament.
    pub(super) fn new(augmentation: &'a DwellAugmentation, state: &[f32], is_inside: bool, rng: &mut impl Rng) -> Self {
        let disturbance = rng.random_range(DISTURBANCE);
        let servos = augmentation.axes.iter();
        let servos = servos.map(|axis| Servo::new(axis, state, disturbance, augmentation, rng)).collect();
        Self { augmentation, state: state.to_vec(), is_inside, servos }
    }

    /// The frame of the robot, `[channel]`.
    pub(super) fn state(&self) -> &[f32] {
        &self.state
    }

    /// True if the robot is in the visited area.
    pub(super) fn is_inside(&self) -> bool {
        self.is_inside
    }

    /// Simulates one frame of staying nearby. If `is_restless`, the robot may drive to another point. `None` if it
    /// leaves the visited area.
    pub(super) fn dwell(&mut self, is_restless: bool, rng: &mut impl Rng) -> Option<()> {
        let has_new_target = is_restless && rng.random_bool(NEW_TARGET_CHANCE);
        for (axis, servo) in self.augmentation.axes.iter().zip(&mut self.servos) {
            if has_new_target {
                servo.target = servo.braking_point + self.augmentation.random_offset(rng);
            }
            let limits = Limits { min: servo.action_min, max: servo.action_max };
            servo.step(axis, Target { position: servo.target, rate: 0.0 }, limits, &mut self.state, rng);
        }
        self.check_area()
    }

    /// Simulates one frame of following a frame `[channel]` of the demonstration. `None` if the robot leaves the
    /// visited area.
    pub(super) fn follow(&mut self, values: &[f32], rng: &mut impl Rng) -> Option<()> {
        for (axis, servo) in self.augmentation.axes.iter().zip(&self.servos) {
            let (position, rate) = axis.position_and_rate(values);
            let target = Target { position: position - rate * self.augmentation.period_s, rate };
            let limits = Limits { min: axis.action_min, max: axis.action_max };
            servo.step(axis, target, limits, &mut self.state, rng);
        }
        self.check_area()
    }

    /// The same robot, sent to a resting point nearby in the visited area. `None` if no such point is found.
    pub(super) fn sent_nearby(mut self, rng: &mut impl Rng) -> Option<Self> {
        let reach = STRAIGHT_REACH / REST_OFFSET * self.augmentation.rest_offset;
        let mut at_target = self.state.clone();
        (0..MAX_TRIES).find_map(|_| {
            self.augmentation.axes.iter().zip(&mut self.servos).for_each(|(axis, servo)| {
                servo.braking_point = f64::from(self.state[axis.position]) + rng.random_range(-reach..=reach);
                servo.target = servo.braking_point;
                at_target[axis.position] = servo.braking_point as f32;
            });
            self.augmentation.was_visited(&at_target).then_some(())
        })?;
        Some(self)
    }

    /// `None` if the robot has just left the visited area.
    fn check_area(&mut self) -> Option<()> {
        let was_inside = std::mem::replace(&mut self.is_inside, self.augmentation.was_visited(&self.state));
        (self.is_inside || !was_inside).then_some(())
    }
}

impl Servo {
    fn new(axis: &Axis, state: &[f32], disturbance: f64, augmentation: &DwellAugmentation, rng: &mut impl Rng) -> Self {
        let (min, max) = (axis.action_min, axis.action_max);
        let disturbance = 0.5 * (max - min) * disturbance;
        let (middle, half) = (0.5 * (min + max), 0.5 * (max - min) * rng.random_range(EFFORT));
        let deceleration = (axis.gain() * half / augmentation.period_s).abs();
        let (position, rate) = axis.position_and_rate(state);
        let braking_point = position + rate * rate.abs() / (2.0 * deceleration);
        Self {
            braking_point,
            target: braking_point + augmentation.random_offset(rng),
            action_min: middle - half,
            action_max: middle + half,
            deceleration,
            closing_s: augmentation.period_s * rng.random_range(CLOSING),
            disturbance,
        }
    }

    /// Moves a frame `[channel]` one frame towards a target: as fast as braking still allows, and slower at the end.
    fn step(&self, axis: &Axis, target: Target, limits: Limits, state: &mut [f32], rng: &mut impl Rng) {
        let (position, rate) = axis.position_and_rate(state);
        let distance = target.position - position;
        let approach = (distance.abs() / self.closing_s).min((2.0 * self.deceleration * distance.abs()).sqrt())
            * distance.signum();
        let wanted = target.rate + approach;
        let drift = axis.drift(rate);
        let action = ((wanted - rate - drift) / axis.gain()).clamp(limits.min, limits.max);
        let disturbed = action + rng.random_range(-self.disturbance..=self.disturbance);
        axis.advance(disturbed.clamp(axis.action_min, axis.action_max), state);
    }
}
