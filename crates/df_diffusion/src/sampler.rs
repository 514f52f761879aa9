//! Sampling: from noise down the rows of a schedule, one network evaluation a row; what is known stays.

use super::{ConditioningMask, Levels, SchedulingMatrix, Solver, Tokens};

/// One denoising step that is about to be taken.
pub struct Step<'a> {
    pub x: &'a Tokens,
    pub levels: &'a Levels,
    /// Row of the matrix that `levels` stands for.
    pub row: usize,
}

/// How far sampling came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampled {
    /// Network evaluations spent.
    pub denoising_steps: usize,
    /// Rows of the matrix that were left out because `predict` gave up.
    pub skipped: usize,
}

/// Takes `x` down the rows of `matrix`.
///
/// - `x`: `[batch, token, channel]`; what is sampled stands at the levels of row 0.
/// - `matrix`: one column per token, or for the last tokens only; what is sampled in tokens before those follows the first
///   column.
/// - `predict` gives the clean tokens of a step, or `None` to stop here: then the sampled noise groups become the clean tokens that
///   were predicted last (a step to level 0 in one go), or stay where they are if there are none.
/// - `noise` fills its argument with fresh noise; called only by stochastic solvers.
///
/// # Errors
/// Those of `predict`.
pub fn sample<E>(
    x: &mut Tokens,
    known: &ConditioningMask,
    matrix: &SchedulingMatrix,
    solver: &mut Solver,
    noise: &mut dyn FnMut(&mut Tokens),
    predict: &mut dyn FnMut(Step) -> Result<Option<Tokens>, E>,
) -> Result<Sampled, E> {
    let mut fresh = solver.is_stochastic().then(|| Tokens::zeros(x.batch, x.tokens, x.channels));
    let mut newest: Option<Tokens> = None;
    let mut from = known.levels(&row(matrix, 0, x.tokens));
    for step in 0..matrix.steps() {
        let Some(clean) = predict(Step { x, levels: &from, row: step })? else {
            if let Some(clean) = &newest {
                let done = known.levels(&vec![0.0; x.tokens]);
                solver.jump(x, clean, &from, &done);
            }
            return Ok(Sampled { denoising_steps: step, skipped: matrix.steps() - step });
        };
        let to = known.levels(&row(matrix, step + 1, x.tokens));
        if let Some(fresh) = &mut fresh {
            noise(fresh);
        }
        solver.step(x, &clean, &from, &to, fresh.as_ref());
        from = to;
        newest = Some(clean);
    }
    Ok(Sampled { denoising_steps: matrix.steps(), skipped: 0 })
}

fn row(matrix: &SchedulingMatrix, row: usize, tokens: usize) -> Vec<f32> {
    let levels = matrix.row(row);
    let before = tokens - levels.len();
    (0..tokens).map(|t| levels[t.saturating_sub(before)]).collect()
}
