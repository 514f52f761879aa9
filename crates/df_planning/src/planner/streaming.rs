//! The streaming mode: the plan of the last tick, shifted, re-noised and denoised by some steps. Without one, from noise.

use df_diffusion::{MatrixKind, SchedulingMatrix, Tokens};

use super::prepared::{Prepared, Sampled};
use crate::config::PlannerConfig;
use crate::inference::{
    Budget, GuidedSampler, PlanBuffer, RenoiseSchedule, SamplingError, SamplingTask, tie_prefix, warm_start,
};

/// Samples a plan, and returns with it what the next tick continues. `last`: the sequences of the last tick, and the frames
/// that have passed since.
pub(super) fn sample_streaming(
    sampler: &mut GuidedSampler,
    prepared: &Prepared,
    last: Option<(&PlanBuffer, usize)>,
    config: &PlannerConfig,
    budget: &Budget,
    noise: &mut dyn FnMut(&mut Tokens),
) -> Result<(Sampled, PlanBuffer), SamplingError> {
    let (first, mut mask) = (prepared.first, prepared.mask.clone());
    let (tokens, schedule) = (config.horizon, sampler.schedule());
    let mut x = sampler.zeros(mask.batch(), mask.tokens());
    noise(&mut x);
    let pyramid = pyramid(prepared, config)?;
    let matrix = match last {
        Some((buffer, shift)) => {
            let end = pyramid.row(pyramid.steps());
            let renoise_level = config.streaming.renoise_level as f32;
            let levels = RenoiseSchedule::new(end, &buffer.row, renoise_level, shift, sampler.layout().frame_stack);
            let fresh = x.window(first..first + tokens);
            let future = buffer.shifted(shift, &levels.start, fresh, sampler.spec(), schedule);
            let num_fresh = config.streaming.num_fresh.min(config.candidates - 1);
            let sequences = (config.candidates - num_fresh) * config.rollouts;
            warm_start(&mut x, &mut mask, first, &future, &levels.start, sequences);
            tie_prefix(&mut x, config.rollouts, first, config.shared_tokens);
            let start = if num_fresh == 0 { levels.start } else { vec![1.0; tokens] };
            SchedulingMatrix::descent(&start, &levels.end, config.streaming.steps_per_tick)?
        }
        None => pyramid,
    };
    mask.apply(&mut x, schedule);
    let task = SamplingTask {
        mask: &mask,
        matrix: &matrix,
        span: prepared.span(),
        first_shared: first,
        acting: prepared.acting_token,
        goal: prepared.goal,
        config,
        budget,
    };
    let sample = sampler.sample(&mut x, &task, noise)?;
    // Where the time was short, the sampler took the sampled noise groups to level 0 at once.
    let row = if sample.sampled.skipped == 0 { matrix.row(matrix.steps()).to_vec() } else { vec![0.0; tokens] };
    let future = first..first + tokens;
    let levels = mask.window(future.clone()).levels(&row);
    let buffer = PlanBuffer { x: x.window(future), levels, row, first_ns: prepared.first_ns };
    let mut clean = sample.clean.clone();
    mask.apply(&mut clean, schedule);
    Ok((Sampled { clean, sample }, buffer))
}

/// The rows of a plan from noise. They end with the row in which the acting token is clean.
fn pyramid(prepared: &Prepared, config: &PlannerConfig) -> Result<SchedulingMatrix, SamplingError> {
    let (steps, uncertainty_scale) = (config.denoising_steps, config.uncertainty_scale);
    let rows = steps + (uncertainty_scale * prepared.acting_token as f64).ceil() as usize;
    let matrix = SchedulingMatrix::new(MatrixKind::Pyramid, config.horizon, steps, uncertainty_scale)?;
    Ok(matrix.truncated(rows))
}
