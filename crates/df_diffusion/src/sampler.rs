//! Sampling: from noise down the rows of a scheduling matrix, one network evaluation per row.

use crate::{ConditioningMask, Levels, SchedulingMatrix, Solver, Tokens};

/// One denoising step before its network evaluation.
#[derive(Clone, Copy, Debug)]
pub struct DenoisingStep<'a> {
    /// The noisy tokens, `[batch, token, channel]`.
    pub x: &'a Tokens,
    /// Their levels, `[batch, token, noise_group]`.
    pub levels: &'a Levels,
    /// Row of the scheduling matrix that the sampled noise groups are at.
    pub row: usize,
}

/// How far sampling got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampled {
    /// Network evaluations.
    pub denoising_steps: usize,
    /// Denoising steps that were skipped because `predict` returned `None`.
    pub skipped: usize,
}

/// Denoises the sampled noise groups of `x` down the rows of `matrix`; conditioned ones stay unchanged, bit for bit.
///
/// - `x`: `[batch, token, channel]`; its sampled noise groups are at the levels of row 0.
/// - `known`: the conditioning mask, already applied to `x`.
/// - `matrix`: one column per token, or only for the last tokens. Tokens before them follow the first column.
/// - `noise`: fills its argument, `[batch, token, channel]`, with standard normal noise; called by stochastic solvers
///   only.
/// - `predict`: the clean tokens of a step, `[batch, token, channel]`, or `None` to stop here. Then the sampled noise
///   groups take the clean tokens of the step before, which moves them to level 0 at once. In the first step they stay
///   as they are.
///
/// # Errors
/// Those of `predict`.
pub fn sample<E>(
    x: &mut Tokens,
    known: &ConditioningMask,
    matrix: &SchedulingMatrix,
    solver: &mut Solver,
    noise: &mut dyn FnMut(&mut Tokens),
    predict: &mut dyn FnMut(DenoisingStep) -> Result<Option<Tokens>, E>,
) -> Result<Sampled, E> {
    let mut fresh = solver.is_stochastic().then(|| Tokens::zeros(x.batch, x.tokens, x.channels));
    let mut last_clean: Option<Tokens> = None;
    let mut from = known.levels(&row(matrix, 0, x.tokens));
    for step in 0..matrix.steps() {
        let Some(clean) = predict(DenoisingStep { x, levels: &from, row: step })? else {
            if let Some(clean) = &last_clean {
                let all_clean = known.levels(&vec![0.0; x.tokens]);
                solver.to_clean(x, clean, &from, &all_clean);
            }
            return Ok(Sampled { denoising_steps: step, skipped: matrix.steps() - step });
        };
        let to = known.levels(&row(matrix, step + 1, x.tokens));
        if let Some(fresh) = &mut fresh {
            noise(fresh);
        }
        solver.step(x, &clean, &from, &to, fresh.as_ref());
        from = to;
        last_clean = Some(clean);
    }
    Ok(Sampled { denoising_steps: matrix.steps(), skipped: 0 })
}

/// Row `row` of the matrix, extended to `tokens` tokens by its first column.
fn row(matrix: &SchedulingMatrix, row: usize, tokens: usize) -> Vec<f32> {
    let levels = matrix.row(row);
    let before = tokens - levels.len();
    (0..tokens).map(|t| levels[t.saturating_sub(before)]).collect()
}
