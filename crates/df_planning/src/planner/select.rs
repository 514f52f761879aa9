//! The choice among the candidates of a plan: expected costs, the cheapest candidate, and the plan's actions.

use super::plan::{CostStatistics, Plan, Skipped, Statistics};
use super::prepared::{Prepared, Sampled};
use super::weighting;
use crate::config::PlannerConfig;
use crate::inference::GuidedSampler;

/// Evaluates the costs of the samples, chooses the candidate of the lowest expected cost, and makes the plan in units.
pub(super) fn select(sampler: &GuidedSampler, prepared: &Prepared, sampled: &Sampled, config: &PlannerConfig) -> Plan {
    let Sampled { clean, sample } = sampled;
    let rollouts_per_candidate = config.rollouts;
    let (evaluation, _) = sampler.guidance().evaluate(clean, &prepared.span(), prepared.goal);
    let candidate_costs: Vec<f64> = evaluation
        .totals
        .chunks(rollouts_per_candidate)
        .map(|costs| costs.iter().sum::<f64>() / costs.len() as f64)
        .collect();
    let chosen =
        (0..candidate_costs.len()).min_by(|a, b| candidate_costs[*a].total_cmp(&candidate_costs[*b])).unwrap_or(0);
    let rollouts: Vec<Vec<Vec<f32>>> = (0..clean.batch).map(|b| sampler.frames(clean, b, prepared.first)).collect();
    let weights = weighting::weights(&candidate_costs, chosen, config.cost_temperature);
    let candidates =
        || rollouts.iter().step_by(rollouts_per_candidate).map(|rollout| &rollout[prepared.acting_frame..]);
    let actions = weighting::actions(candidates, &weights, sampler.layout().action());
    let active_frames =
        prepared.cost_horizon.iter().step_by(rollouts_per_candidate).map(|frames| frames - prepared.seen).collect();
    let own = chosen * rollouts_per_candidate..(chosen + 1) * rollouts_per_candidate;
    let statistics = |(name, parts): (&'static str, &Vec<f64>)| CostStatistics::of(name, &parts[own.clone()]);
    Plan {
        first_tick_ns: prepared.tick_ns + prepared.acting_frame as i64 * prepared.period_ns,
        first_frame_ns: prepared.first_ns,
        actions,
        active_frames,
        candidate_costs,
        rollouts_per_candidate,
        chosen,
        denoising_steps: sample.sampled.denoising_steps,
        skipped: Skipped {
            denoising_steps: sample.sampled.skipped,
            guided_steps: sample.unguided_steps,
            tokens: prepared.mask.tokens() - clean.tokens,
        },
        statistics: Statistics {
            costs: sampler.guidance().names().zip(&evaluation.parts).map(statistics).collect(),
            guided_steps: sample.guided_steps,
            gradient_norm: sample.gradient_norm,
            gradient_variance: sample.gradient_variance,
        },
        rollouts,
    }
}
