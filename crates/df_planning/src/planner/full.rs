//! The full mode: a plan from noise at every tick, beside warm-started candidates if the configuration asks for them.

use df_diffusion::Tokens;

use super::prepared::{Prepared, Sampled};
use crate::config::PlannerConfig;
use crate::inference::{Budget, GuidedSampler, PlanBuffer, RenoiseSchedule, SamplingError, SlidingWindow, warm_start};

/// Samples a plan. `last`: the last chosen plan, one sequence, and the frames that have passed since.
pub(super) fn sample_full(
    sampler: &mut GuidedSampler,
    prepared: &Prepared,
    last: Option<(&PlanBuffer, usize)>,
    config: &PlannerConfig,
    budget: &Budget,
    noise: &mut dyn FnMut(&mut Tokens),
) -> Result<Sampled, SamplingError> {
    let (first, mut mask) = (prepared.first, prepared.mask.clone());
    let mut x = sampler.zeros(mask.batch(), mask.tokens());
    noise(&mut x);
    if let Some((buffer, shift)) = last {
        let clean = vec![0.0; config.horizon];
        let renoise_level = config.warm_start.renoise_level as f32;
        let start = RenoiseSchedule::new(&clean, &clean, renoise_level, shift, sampler.layout().frame_stack).start;
        let fresh = x.window(first..mask.tokens());
        let future = buffer.shifted(shift, &start, fresh, sampler.spec(), sampler.schedule());
        let sequences = config.warm_start.candidates.min(config.candidates) * config.rollouts;
        warm_start(&mut x, &mut mask, first, &future, &start, sequences);
    }
    let whole = SlidingWindow {
        mask: &mask,
        first,
        overlap: first.max(1),
        acting: prepared.acting_token,
        matrix: config.matrix,
        cost_horizon: &prepared.cost_horizon,
        goal: prepared.goal,
        config,
        budget,
    };
    let sample = sampler.sample_sliding_window(&mut x, &whole, noise)?;
    Ok(Sampled { clean: x, sample })
}
