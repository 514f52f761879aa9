//! The input and the output of one sampling.

use df_diffusion::{ConditioningMask, Sampled, SchedulingMatrix, Tokens};

use super::budget::Budget;
use crate::config::PlannerConfig;
use crate::guidance::CostSpan;

/// One sampling of a batch of sequences that fit into the network's window.
pub struct SamplingTask<'a> {
    /// The known noise groups.
    pub mask: &'a ConditioningMask,
    /// The levels of the tokens after the history, row by row.
    pub matrix: &'a SchedulingMatrix,
    /// The frames that costs see. Without frames no step is guided.
    pub span: CostSpan<'a>,
    /// The first token that the rollouts of a candidate share.
    pub first_shared: usize,
    /// The matrix's column of the token that holds the next action.
    pub acting: usize,
    /// The goal in units; empty without a goal.
    pub goal: &'a [f64],
    /// Solver, guidance, rollouts.
    pub config: &'a PlannerConfig,
    /// The time that is left.
    pub budget: &'a Budget<'a>,
}

/// What a sampling gave.
#[derive(Clone, Debug)]
pub struct GuidedSample {
    /// The clean tokens that were predicted last, `[batch, token, channel]`, normalised.
    pub clean: Tokens,
    /// How many steps were taken and skipped.
    pub sampled: Sampled,
    /// Steps that were guided.
    pub guided_steps: usize,
    /// Steps that were not guided because the time was short.
    pub unguided_steps: usize,
    /// The largest norm of the gradient of a sequence before it was clipped, per normalised unit.
    pub gradient_norm: f32,
    /// Variance of the gradient of the shared tokens over the rollouts of a candidate, summed over values. Mean over guided
    /// steps.
    pub gradient_variance: f64,
}
