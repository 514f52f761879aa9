//! The law of motion of one channel, fitted to demonstrations by least squares.
//!
//! With position p, rate v and action u of a channel, from one frame to the next:
//! `v' = v + c + d v + g u` and `p' = p + b v + e v'`.

use nalgebra::{DMatrix, DVector};

/// One channel of the position with its rate, its action and its law of motion.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    /// The channels of position, rate and action in a frame.
    pub(super) position: usize,
    pub(super) rate: usize,
    pub(super) action: usize,
    /// The limits of the action.
    pub(super) action_min: f64,
    pub(super) action_max: f64,
    /// `[c, d, g]`.
    pub(super) rate_law: [f64; 3],
    /// `[b, e]`.
    pub(super) position_law: [f64; 2],
}

impl Axis {
    /// Position and rate of a frame `[channel]`.
    pub(super) fn position_and_rate(&self, state: &[f32]) -> (f64, f64) {
        (f64::from(state[self.position]), f64::from(state[self.rate]))
    }

    /// The change of the rate in one frame without an action, `c + d v`.
    pub(super) fn drift(&self, rate: f64) -> f64 {
        let [constant, drag, _] = self.rate_law;
        constant + drag * rate
    }

    /// The change of the rate in one frame per unit of the action, `g`.
    pub(super) fn gain(&self) -> f64 {
        self.rate_law[2]
    }

    /// Moves a frame `[channel]` one frame on under an action.
    pub(super) fn advance(&self, action: f64, state: &mut [f32]) {
        let [before, after] = self.position_law;
        let (position, rate) = self.position_and_rate(state);
        let next = rate + self.drift(rate) + self.gain() * action;
        state[self.position] = (position + before * rate + after * next) as f32;
        state[self.rate] = next as f32;
        state[self.action] = action as f32;
    }
}

/// A least-squares fit.
pub(super) struct Fit<const N: usize> {
    pub(super) coefficients: [f64; N],
    /// The share of the sum of squares that the fit explains; NaN if the rows do not determine the coefficients.
    pub(super) explained: f64,
}

/// Fits `value = row * coefficients` by the normal equations.
pub(super) fn regress<const N: usize>(rows: impl Iterator<Item = ([f64; N], f64)>) -> Fit<N> {
    let (mut normal, mut right, mut squares) = (DMatrix::zeros(N, N), DVector::zeros(N), 0.0);
    for (row, value) in rows {
        let row = DVector::from_row_slice(&row);
        normal.ger(1.0, &row, &row, 1.0);
        right.axpy(value, &row, 1.0);
        squares += value * value;
    }
    match normal.cholesky().map(|factors| factors.solve(&right)) {
        Some(solution) => {
            Fit { coefficients: std::array::from_fn(|i| solution[i]), explained: solution.dot(&right) / squares }
        }
        None => Fit { coefficients: [0.0; N], explained: f64::NAN },
    }
}
