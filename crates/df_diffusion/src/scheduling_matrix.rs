//! Scheduling matrices: which future token has which noise level in which row (one row per denoising step).

use serde::{Deserialize, Serialize};

/// Which scheduling matrix; see [`SchedulingMatrix::new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatrixKind {
    /// All tokens at one level.
    FullSequence,
    /// Each token lags behind the one before.
    Pyramid,
    /// One token after the other.
    Autoregressive,
    /// Both ends first.
    Trapezoid,
}

/// Rows of levels over future tokens: row 0 is the start (all 1), the last row is all 0; each column falls monotonically.
#[derive(Clone, Debug, PartialEq)]
pub struct SchedulingMatrix {
    tokens: usize,
    rows: Vec<Vec<f32>>,
}

/// Why a matrix is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MatrixError {
    #[error(
        "a scheduling matrix needs at least one token, one denoising step and a finite slope of at least 0; got {tokens} tokens, {steps} steps, slope {slope}"
    )]
    Empty { tokens: usize, steps: usize, slope: f64 },
    #[error("level {level} of token {token} in row {row} lies outside [0, 1]")]
    OutOfRange { row: usize, token: usize, level: f32 },
    #[error("row {row} has {got} tokens, expected {expected}")]
    Ragged { row: usize, expected: usize, got: usize },
    #[error("token {token} rises from level {from} to {to} in row {row}")]
    Rises { row: usize, token: usize, from: f32, to: f32 },
    #[error("token {token} ends at level {level}, not at 0")]
    Unfinished { token: usize, level: f32 },
}

impl SchedulingMatrix {
    /// A matrix over `tokens` future tokens in which each token falls from 1 to 0 in `steps` rows.
    ///
    /// `slope`: rows by which a token lags behind the one before (`pyramid`, and the flanks of `trapezoid`); not used by
    /// `full_sequence`; `autoregressive` finishes a token before the next one starts.
    ///
    /// # Errors
    /// [`MatrixError::Empty`].
    pub fn new(kind: MatrixKind, tokens: usize, steps: usize, slope: f64) -> Result<Self, MatrixError> {
        if tokens == 0 || steps == 0 || !slope.is_finite() || slope < 0.0 {
            return Err(MatrixError::Empty { tokens, steps, slope });
        }
        let lag = |token: usize| match kind {
            MatrixKind::FullSequence => 0.0,
            MatrixKind::Pyramid => slope * token as f64,
            MatrixKind::Autoregressive => (steps * token) as f64,
            // Both ends first, the middle last: the lag grows with the distance from the nearer end.
            MatrixKind::Trapezoid => slope * token.min(tokens - 1 - token) as f64,
        };
        let max = (0..tokens).map(lag).fold(0.0, f64::max);
        let rows = steps + max.ceil() as usize;
        let level = |row: usize, token: usize| (1.0 - (row as f64 - lag(token)) / steps as f64).clamp(0.0, 1.0) as f32;
        Ok(Self { tokens, rows: (0..=rows).map(|row| (0..tokens).map(|t| level(row, t)).collect()).collect() })
    }

    /// A matrix given row by row.
    ///
    /// # Errors
    /// A level outside [0, 1], a ragged row, a rising column, a column that does not end at 0.
    pub fn from_rows(rows: Vec<Vec<f32>>) -> Result<Self, MatrixError> {
        let matrix = Self::checked(rows)?;
        match matrix.row(matrix.steps()).iter().position(|&level| level != 0.0) {
            Some(token) => Err(MatrixError::Unfinished { token, level: matrix.row(matrix.steps())[token] }),
            None => Ok(matrix),
        }
    }

    /// Every rule but that of the end at 0.
    fn checked(rows: Vec<Vec<f32>>) -> Result<Self, MatrixError> {
        let tokens = rows.first().map_or(0, Vec::len);
        if tokens == 0 || rows.len() < 2 {
            return Err(MatrixError::Empty { tokens, steps: rows.len().saturating_sub(1), slope: 0.0 });
        }
        for (row, levels) in rows.iter().enumerate() {
            if levels.len() != tokens {
                return Err(MatrixError::Ragged { row, expected: tokens, got: levels.len() });
            }
            for (token, &level) in levels.iter().enumerate() {
                if !(0.0..=1.0).contains(&level) {
                    return Err(MatrixError::OutOfRange { row, token, level });
                }
                if row > 0 && level > rows[row - 1][token] {
                    return Err(MatrixError::Rises { row, token, from: rows[row - 1][token], to: level });
                }
            }
        }
        Ok(Self { tokens, rows })
    }

    /// Straight down from the levels `from` to the levels `to` in `steps` rows: a part of a way, which need not end at 0.
    ///
    /// # Errors
    /// A level outside [0, 1], a column that rises, no token, no step.
    pub fn descent(from: &[f32], to: &[f32], steps: usize) -> Result<Self, MatrixError> {
        let between = |row: usize| {
            let share = row as f32 / steps as f32;
            from.iter().zip(to).map(|(from, to)| if row == steps { *to } else { from + (to - from) * share }).collect()
        };
        if steps == 0 {
            return Err(MatrixError::Empty { tokens: from.len(), steps, slope: 0.0 });
        }
        Self::checked((0..=steps).map(between).collect())
    }

    /// The first `steps` denoising steps only.
    pub fn truncated(mut self, steps: usize) -> Self {
        self.rows.truncate(steps.max(1) + 1);
        self
    }

    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Denoising steps: one fewer than rows.
    pub fn steps(&self) -> usize {
        self.rows.len() - 1
    }

    /// Levels of every token before step `row` (and, for `row == steps()`, at the end).
    pub fn row(&self, row: usize) -> &[f32] {
        &self.rows[row]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KINDS: [MatrixKind; 4] =
        [MatrixKind::FullSequence, MatrixKind::Pyramid, MatrixKind::Autoregressive, MatrixKind::Trapezoid];

    #[test]
    fn pyramid_by_hand() {
        // 2 steps per token, slope 1, 3 tokens: token t starts to fall after t rows, half a level per row.
        let matrix = SchedulingMatrix::new(MatrixKind::Pyramid, 3, 2, 1.0).unwrap();
        let rows: Vec<&[f32]> = (0..=matrix.steps()).map(|r| matrix.row(r)).collect();
        assert_eq!(rows, [[1.0, 1.0, 1.0], [0.5, 1.0, 1.0], [0.0, 0.5, 1.0], [0.0, 0.0, 0.5], [0.0, 0.0, 0.0]]);
    }

    #[test]
    fn trapezoid_is_symmetric_for_odd_and_even_lengths() {
        for tokens in [1, 2, 5, 6] {
            let matrix = SchedulingMatrix::new(MatrixKind::Trapezoid, tokens, 3, 1.0).unwrap();
            for r in 0..=matrix.steps() {
                let mirrored: Vec<f32> = matrix.row(r).iter().rev().copied().collect();
                assert_eq!(matrix.row(r), mirrored, "{tokens} tokens, row {r}");
            }
        }
    }

    #[test]
    fn what_is_no_matrix_is_refused() {
        let refused =
            |rows: &[&[f32]]| SchedulingMatrix::from_rows(rows.iter().map(|r| r.to_vec()).collect()).unwrap_err();
        assert_eq!(refused(&[&[1.5], &[0.0]]), MatrixError::OutOfRange { row: 0, token: 0, level: 1.5 });
        assert_eq!(refused(&[&[1.0], &[0.2]]), MatrixError::Unfinished { token: 0, level: 0.2 });
        assert_eq!(refused(&[&[0.5], &[0.6], &[0.0]]), MatrixError::Rises { row: 1, token: 0, from: 0.5, to: 0.6 });
        assert_eq!(refused(&[&[1.0, 1.0], &[0.0]]), MatrixError::Ragged { row: 1, expected: 2, got: 1 });
        assert!(matches!(SchedulingMatrix::new(MatrixKind::Pyramid, 0, 2, 1.0), Err(MatrixError::Empty { .. })));
    }

    #[test]
    fn a_descent_is_straight_and_a_rising_one_refused() {
        let matrix = SchedulingMatrix::descent(&[0.5, 1.0], &[0.0, 0.5], 2).unwrap();
        let rows: Vec<&[f32]> = (0..=2).map(|r| matrix.row(r)).collect();
        assert_eq!(rows, [[0.5, 1.0], [0.25, 0.75], [0.0, 0.5]]);
        assert!(matches!(SchedulingMatrix::descent(&[0.1], &[0.2], 1), Err(MatrixError::Rises { token: 0, .. })));
        assert!(matches!(SchedulingMatrix::descent(&[0.1], &[0.0], 0), Err(MatrixError::Empty { .. })));
    }

    proptest! {
        /// Every kind, any size: starts at 1, falls monotonically, ends at 0.
        #[test]
        fn every_matrix_passes_its_own_check(tokens in 1usize..40, steps in 1usize..30, slope in 0.0f64..4.0) {
            for kind in KINDS {
                let matrix = SchedulingMatrix::new(kind, tokens, steps, slope).unwrap();
                prop_assert!(matrix.row(0).iter().all(|&l| l == 1.0));
                let rows = (0..=matrix.steps()).map(|r| matrix.row(r).to_vec()).collect();
                prop_assert_eq!(SchedulingMatrix::from_rows(rows).unwrap(), matrix);
            }
        }
    }
}
