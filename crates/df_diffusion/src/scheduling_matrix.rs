//! Scheduling matrices: the noise level of each future token at each denoising step.

use serde::{Deserialize, Serialize};

/// Which scheduling matrix; see [`SchedulingMatrix::new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatrixKind {
    /// All tokens at one level, as in diffusion of whole sequences.
    FullSequence,
    /// Each token lags behind the one before: the near future is decided first (Chen et al. 2024).
    Pyramid,
    /// A token is finished before the next one starts.
    Autoregressive,
    /// Both ends first, the middle last.
    Trapezoid,
}

/// Rows of levels over future tokens, one row per denoising step and one for the end: the matrix `K` (`M x T`) of Chen
/// et al. 2024, algorithm 2.
///
/// The levels of a token never rise from row to row. [`SchedulingMatrix::new`] starts at 1 and ends at 0.
#[derive(Clone, Debug, PartialEq)]
pub struct SchedulingMatrix {
    /// At least two rows of one length, at least 1.
    rows: Vec<Vec<f32>>,
}

/// Why a scheduling matrix is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MatrixError {
    /// No token, no denoising step, or a slope that is negative or not finite.
    #[error(
        "a scheduling matrix needs at least one token, one denoising step and a finite slope of at least 0; got {tokens} tokens, {steps} steps, slope {slope}"
    )]
    Empty {
        /// Tokens.
        tokens: usize,
        /// Denoising steps.
        steps: usize,
        /// Rows by which a token lags behind the one before.
        slope: f64,
    },
    /// A level outside [0, 1].
    #[error("level {level} of token {token} in row {row} lies outside [0, 1]")]
    OutOfRange {
        /// Row of the level.
        row: usize,
        /// Token of the level.
        token: usize,
        /// The level.
        level: f32,
    },
    /// A token whose level rises.
    #[error("token {token} rises from level {from} to {to} in row {row}")]
    Rises {
        /// Row of the higher level.
        row: usize,
        /// The token.
        token: usize,
        /// Its level in the row before.
        from: f32,
        /// Its level in this row.
        to: f32,
    },
}

impl SchedulingMatrix {
    /// A matrix over `tokens` future tokens in which each token falls from 1 to 0 in `steps` rows.
    ///
    /// `slope`: rows by which a token lags behind its neighbour, in `pyramid` and `trapezoid`; the "uncertainty scale"
    /// of Chen et al. 2024. The other kinds ignore it.
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
        Ok(Self { rows: (0..=rows).map(|row| (0..tokens).map(|t| level(row, t)).collect()).collect() })
    }

    /// A matrix from the levels `from` to the levels `to`, linear over `steps` rows; it need not end at 0.
    ///
    /// `from`, `to`: one level per token. Streaming denoises part of the way at every tick.
    ///
    /// # Errors
    /// [`MatrixError`]: a level outside [0, 1], a level that rises, no token, no step.
    pub fn descent(from: &[f32], to: &[f32], steps: usize) -> Result<Self, MatrixError> {
        let between = |row: usize| {
            let part = row as f32 / steps as f32;
            from.iter().zip(to).map(|(from, to)| if row == steps { *to } else { from + (to - from) * part }).collect()
        };
        if steps == 0 {
            return Err(MatrixError::Empty { tokens: from.len(), steps, slope: 0.0 });
        }
        let rows: Vec<Vec<f32>> = (0..=steps).map(between).collect();
        check(&rows)?;
        Ok(Self { rows })
    }

    /// The first `steps` denoising steps, at least one.
    pub fn truncated(mut self, steps: usize) -> Self {
        self.rows.truncate(steps.max(1) + 1);
        self
    }

    /// Denoising steps: one less than rows.
    pub fn steps(&self) -> usize {
        self.rows.len() - 1
    }

    /// Levels of all tokens before denoising step `row`; for `row == steps()`, after the last one.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.rows[row]
    }
}

/// Checks rows of one length: at least one token and two rows, levels in [0, 1] that do not rise.
fn check(rows: &[Vec<f32>]) -> Result<(), MatrixError> {
    let tokens = rows.first().map_or(0, Vec::len);
    if tokens == 0 || rows.len() < 2 {
        return Err(MatrixError::Empty { tokens, steps: rows.len().saturating_sub(1), slope: 0.0 });
    }
    for (row, levels) in rows.iter().enumerate() {
        for (token, &level) in levels.iter().enumerate() {
            if !(0.0..=1.0).contains(&level) {
                return Err(MatrixError::OutOfRange { row, token, level });
            }
            if row > 0 && level > rows[row - 1][token] {
                return Err(MatrixError::Rises { row, token, from: rows[row - 1][token], to: level });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL_KINDS: [MatrixKind; 4] =
        [MatrixKind::FullSequence, MatrixKind::Pyramid, MatrixKind::Autoregressive, MatrixKind::Trapezoid];

    #[test]
    fn a_pyramid_matches_rows_computed_by_hand() {
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
    fn a_matrix_without_tokens_or_steps_or_with_a_negative_slope_is_refused() {
        for (tokens, steps, slope) in [(0, 2, 1.0), (2, 0, 1.0), (2, 2, -1.0), (2, 2, f64::INFINITY)] {
            let refused = SchedulingMatrix::new(MatrixKind::Pyramid, tokens, steps, slope);
            assert_eq!(refused, Err(MatrixError::Empty { tokens, steps, slope }));
        }
    }

    #[test]
    fn a_descent_is_linear() {
        let matrix = SchedulingMatrix::descent(&[0.5, 1.0], &[0.0, 0.5], 2).unwrap();
        let rows: Vec<&[f32]> = (0..=2).map(|r| matrix.row(r)).collect();
        assert_eq!(rows, [[0.5, 1.0], [0.25, 0.75], [0.0, 0.5]]);
    }

    #[test]
    fn a_descent_that_rises_or_leaves_the_unit_interval_is_refused() {
        let refused = |from: f32, to, steps| SchedulingMatrix::descent(&[from], &[to], steps).unwrap_err();
        assert_eq!(refused(1.5, 0.0, 1), MatrixError::OutOfRange { row: 0, token: 0, level: 1.5 });
        assert_eq!(refused(0.1, 0.2, 1), MatrixError::Rises { row: 1, token: 0, from: 0.1, to: 0.2 });
        assert_eq!(refused(0.1, 0.0, 0), MatrixError::Empty { tokens: 1, steps: 0, slope: 0.0 });
        assert!(matches!(SchedulingMatrix::descent(&[], &[], 1), Err(MatrixError::Empty { tokens: 0, .. })));
    }

    proptest! {
        #[test]
        fn every_matrix_starts_at_one_never_rises_and_ends_at_zero(tokens in 1usize..40, steps in 1usize..30, slope in 0.0f64..4.0) {
            for kind in ALL_KINDS {
                let matrix = SchedulingMatrix::new(kind, tokens, steps, slope).unwrap();
                prop_assert!(matrix.row(0).iter().all(|&l| l == 1.0));
                prop_assert!(matrix.row(matrix.steps()).iter().all(|&l| l == 0.0));
                prop_assert!(matrix.rows.iter().all(|row| row.len() == tokens));
                prop_assert_eq!(check(&matrix.rows), Ok(()));
            }
        }
    }
}
