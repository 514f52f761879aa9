//! The point mass as MuJoCo moves it: Euler steps with implicit damping, contacts as soft constraints.
//!
//! A sphere on two slide joints among boxes, without friction (condim 1). Per step (MuJoCo's documentation, "Computation"):
//! the smooth acceleration `a0 = (F - d v) / m`; for each box nearer than the margin one constraint row with normal `n`,
//! reference acceleration `r = -B n.v - K i (distance - margin)` and regulariser `R = (1 - i) / i / m`, impedance `i` by the
//! distance; the acceleration that minimises `m/2 |a - a0|^2 + sum 1/(2R) min(0, n.a - r)^2`, whose forces are
//! `f = max(0, r - n.a) / R`; and `v += h (F - d v + sum f n) / (m + h d)`, `x += h v`. `benches/maze2d_ros/` compares with MuJoCo.

use std::f64::consts::PI;

use nalgebra::{Matrix2, Vector2};

use super::super::maze::{CELL_M, Maze};
use super::super::world::{RobotState, STEP_S};
use super::{CENTRE_OFFSET_M, indices_at};

const RADIUS_M: f64 = 0.1;
const DENSITY_KG_PER_M3: f64 = 1000.0;
const MASS_KG: f64 = 4.0 / 3.0 * PI * RADIUS_M * RADIUS_M * RADIUS_M * DENSITY_KG_PER_M3;
const DAMPING_N_S_PER_M: f64 = 1.0;
/// Force per control of 1.
const GEAR_N: f64 = 100.0;
/// Per axis, before each step.
const SPEED_LIMIT_M_PER_S: f64 = 5.0;
/// Of two geoms with 0.002 m each, which MuJoCo 4.0 adds up; older versions, and so the published data, took the larger.
const MARGIN_M: f64 = 0.004;
/// MuJoCo's default `solref`: time constant, seconds; the damping ratio is 1.
const TIME_CONSTANT_S: f64 = 0.02;
/// MuJoCo's default `solimp`: least and greatest impedance, the width over which it rises, metres; midpoint 0.5, power 2.
const IMPEDANCE: (f64, f64) = (0.9, 0.95);
const IMPEDANCE_WIDTH_M: f64 = 0.001;
/// Rounds of the search for the contacts that push; MuJoCo's `iterations`.
const ROUNDS: usize = 20;

/// The maze and the point mass in it.
#[derive(Clone, Debug)]
pub struct PointMass {
    maze: Maze,
    state: RobotState,
}

/// One constraint row.
struct Contact {
    normal: Vector2<f64>,
    /// The acceleration along the normal that it asks for, metres per second squared.
    reference: f64,
    /// `1 / R`, kilograms.
    stiffness: f64,
}

impl PointMass {
    /// `state` must lie in a free cell.
    pub fn new(maze: Maze, state: RobotState) -> Self {
        Self { maze, state }
    }

    /// The maze.
    pub fn maze(&self) -> &Maze {
        &self.maze
    }

    /// Position of the joints and their velocity.
    pub fn state(&self) -> RobotState {
        self.state
    }

    /// One step of [`STEP_S`] under a control in [-1, 1] per axis; what lies beyond is cut off, what is not finite counts as 0.
    pub fn step(&mut self, control: Vector2<f64>) -> RobotState {
        let control = control.map(|c| if c.is_finite() { c.clamp(-1.0, 1.0) } else { 0.0 });
        let velocity = self.state.velocity.map(|v| v.clamp(-SPEED_LIMIT_M_PER_S, SPEED_LIMIT_M_PER_S));
        let smooth = GEAR_N * control - DAMPING_N_S_PER_M * velocity;
        let contacts = self.contacts(velocity);
        let force = smooth + contact_force(&contacts, smooth / MASS_KG);
        self.state.velocity = velocity + STEP_S * force / (MASS_KG + STEP_S * DAMPING_N_S_PER_M);
        self.state.position += STEP_S * self.state.velocity;
        self.state
    }

    /// The walls within the margin. The centre never gets into one: a step is at most 0.052 m, the radius 0.1 m.
    fn contacts(&self, velocity: Vector2<f64>) -> Vec<Contact> {
        let position = self.state.position;
        let (row, column) = indices_at(position);
        let cells = (row - 1..=row + 1).flat_map(|r| (column - 1..=column + 1).map(move |c| (r, c)));
        let contact = |(r, c): (i64, i64)| {
            let centre = Vector2::new(r as f64, c as f64) * CELL_M - Vector2::repeat(CENTRE_OFFSET_M);
            let nearest = position.zip_map(&centre, |p, c| p.clamp(c - CELL_M / 2.0, c + CELL_M / 2.0));
            let away = position - nearest;
            let apart = away.norm();
            let beyond = apart - RADIUS_M - MARGIN_M;
            (beyond < 0.0 && apart > 0.0).then(|| Contact::new(away / apart, beyond, velocity))
        };
        cells.filter(|(r, c)| self.maze.is_wall(*r, *c)).filter_map(contact).collect()
    }
}

impl Contact {
    /// `beyond`: distance less margin, metres; below 0.
    fn new(normal: Vector2<f64>, beyond: f64, velocity: Vector2<f64>) -> Self {
        let (min, max) = IMPEDANCE;
        let depth = (-beyond / IMPEDANCE_WIDTH_M).min(1.0);
        let share = if depth <= 0.5 { 2.0 * depth * depth } else { 1.0 - 2.0 * (1.0 - depth).powi(2) };
        let impedance = min + share * (max - min);
        let damping = 2.0 / (max * TIME_CONSTANT_S);
        let spring = 1.0 / (max * TIME_CONSTANT_S).powi(2);
        Self {
            normal,
            reference: -damping * normal.dot(&velocity) - spring * impedance * beyond,
            stiffness: impedance / (1.0 - impedance) * MASS_KG,
        }
    }
}

/// The sum of the forces of the contacts, newtons: Newton's method on the piecewise quadratic problem, which is done when the
/// contacts that push stay the same.
fn contact_force(contacts: &[Contact], free: Vector2<f64>) -> Vector2<f64> {
    let lacks = |contact: &Contact, a: Vector2<f64>| contact.reference - contact.normal.dot(&a);
    let mut acceleration = free;
    let mut pushing: Vec<bool> = Vec::new();
    for _ in 0..ROUNDS {
        let now: Vec<bool> = contacts.iter().map(|contact| lacks(contact, acceleration) > 0.0).collect();
        if now == pushing {
            break;
        }
        let (mut curvature, mut pull) = (Matrix2::identity() * MASS_KG, free * MASS_KG);
        for contact in contacts.iter().zip(&now).filter_map(|(contact, pushes)| pushes.then_some(contact)) {
            curvature += contact.stiffness * contact.normal * contact.normal.transpose();
            pull += contact.stiffness * contact.reference * contact.normal;
        }
        // Positive definite: the mass stands on its diagonal.
        acceleration = curvature.try_inverse().map_or(free, |inverse| inverse * pull);
        pushing = now;
    }
    contacts.iter().map(|c| c.normal * (c.stiffness * lacks(c, acceleration).max(0.0))).sum()
}

#[cfg(test)]
mod tests {
    use super::super::Maze2d;
    use super::*;

    fn at(x: f64, y: f64) -> PointMass {
        let state = RobotState { position: Vector2::new(x, y), velocity: Vector2::zeros() };
        PointMass::new(Maze2d::Medium.maze(), state)
    }

    #[test]
    fn free_motion_by_hand() {
        // m = 4/3 pi 0.001 * 1000 = 4.18879; v1 = 0.01 * 100 / (m + 0.01) = 0.2381638, x1 = 1 + 0.01 v1.
        let mut mass = at(1.0, 1.0);
        let state = mass.step(Vector2::new(1.0, -2.0));
        let v1 = 1.0 / 4.198790204786391;
        assert!((state.velocity - Vector2::new(v1, -v1)).norm() < 1e-12, "{state:?}");
        assert!((state.position - Vector2::new(1.0 + 0.01 * v1, 1.0 - 0.01 * v1)).norm() < 1e-12);
        // Then v2 = v1 + 0.01 (-v1) / (m + 0.01) = v1 m / (m + 0.01).
        let state = mass.step(Vector2::new(f64::NAN, 0.0));
        assert!((state.velocity.x - v1 * 4.188790204786391 / 4.198790204786391).abs() < 1e-12, "{state:?}");
    }

    #[test]
    fn speed_is_cut_before_a_step() {
        let mut mass = at(4.0, 2.0);
        mass.state.velocity = Vector2::new(0.0, 9.0);
        // 5 m / (m + 0.01) after a step without force.
        let state = mass.step(Vector2::zeros());
        assert!((state.velocity.y - 5.0 * 4.188790204786391 / 4.198790204786391).abs() < 1e-12, "{state:?}");
    }

    #[test]
    fn rest_at_a_wall_balances_push_and_spring() {
        // Pushed against the wall of row 0, whose face is at joint position 0.3: at rest a = 0, so r = spring i e with
        // e = margin - distance, and the force stiffness r = 100 N. Beyond half of the width i = 0.9 + (1 - 2 (1 - e / 0.001)^2) 0.05.
        // e = 0.00062: i = 0.93556, stiffness i / (1 - i) m = 60.8, r = 2770.08 i e = 1.607: 97.7 N.
        // e = 0.00063: i = 0.93631, stiffness 61.6, r = 1.634: 100.6 N.
        let mut mass = at(0.5, 1.0);
        (0..300).for_each(|_| _ = mass.step(Vector2::new(-1.0, 0.0)));
        let state = mass.state();
        let e = 0.3 + 0.104 - state.position.x;
        assert!(state.velocity.norm() < 1e-9 && (0.00062..0.00063).contains(&e), "{e} {state:?}");
        // Off the wall it is free again.
        (0..20).for_each(|_| _ = mass.step(Vector2::new(1.0, 0.0)));
        assert!(mass.state().position.x > 0.7);
    }

    #[test]
    fn is_never_inside_a_wall_nor_stuck() {
        use rand::{RngExt, SeedableRng};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let mut mass = at(1.0, 1.0);
        let mut visited = std::collections::HashSet::new();
        let mut control = Vector2::zeros();
        for k in 0..200_000 {
            if k % 30 == 0 {
                control = Vector2::new(rng.random_range(-1.0..1.0), rng.random_range(-1.0..1.0));
            }
            let position = mass.step(control).position;
            let cell = super::super::cell_at(mass.maze(), position);
            visited.insert(cell.unwrap_or_else(|| panic!("step {k}: in a wall at {position}")));
        }
        assert_eq!(visited.len(), 26, "a random walk gets everywhere");
    }
}
