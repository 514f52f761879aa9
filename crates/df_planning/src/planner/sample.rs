//! Samples a prepared request in the configured mode.

use df_diffusion::Tokens;

use super::full::sample_full;
use super::prepared::{Prepared, Sampled};
use super::streaming::sample_streaming;
use crate::config::{PlannerConfig, PlannerMode};
use crate::inference::{Budget, GuidedSampler, PlanBuffer, SamplingError, SeededNoise, tie_prefix};

/// Samples the sequences of a plan. The noise follows from the configured seed and the time of the tick. `buffer`: the last
/// plan; the streaming mode replaces it.
pub(super) fn sample(
    sampler: &mut GuidedSampler,
    prepared: &Prepared,
    buffer: &mut Option<PlanBuffer>,
    config: &PlannerConfig,
    budget: &Budget,
) -> Result<Sampled, SamplingError> {
    let mut seeded = SeededNoise::new(config.seed, prepared.tick_ns as u64, config.temperature as f32);
    let mut noise = |x: &mut Tokens| {
        seeded.fill(x);
        tie_prefix(x, config.rollouts, prepared.first.min(x.tokens), config.shared_tokens);
    };
    let batch = match config.mode {
        PlannerMode::Full => 1,
        PlannerMode::Streaming => prepared.mask.batch(),
    };
    let last = buffer.as_ref().filter(|last| last.has_size(batch, config.horizon)).and_then(|last| {
        let shift = last.shift_to(prepared.first_ns, prepared.period_ns, sampler.layout().frame_stack)?;
        Some((last, shift))
    });
    match config.mode {
        PlannerMode::Full => sample_full(sampler, prepared, last, config, budget, &mut noise),
        PlannerMode::Streaming => {
            let (sampled, next) = sample_streaming(sampler, prepared, last, config, budget, &mut noise)?;
            *buffer = Some(next);
            Ok(sampled)
        }
    }
}
