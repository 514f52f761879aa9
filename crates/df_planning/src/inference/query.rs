//! Conditional queries: the same network answers other questions than what to do, by other noise levels.
//!
//! | known | queried | the network is |
//! |---|---|---|
//! | past, future actions | future observations | a world model |
//! | past and future observations | actions | an inverse model |
//! | frames around a gap | the gap | an interpolator of recordings |

use df_core::{Frame, Layout};
use df_diffusion::{ConditioningMask, MatrixKind};

use super::budget::Budget;
use super::error::SamplingError;
use super::guided_sampler::GuidedSampler;
use super::noise::SeededNoise;
use super::sliding_window::SlidingWindow;
use crate::config::PlannerConfig;

/// A stretch of frames, and which part of it is sampled.
pub struct Query<'a> {
    /// Consecutive frames, any number, in units. A group that is present and not queried is known as well as it was measured. A
    /// group that is neither present nor queried stays at level 1.
    pub frames: &'a [Frame],
    /// Whether group `m` of frame `k` is queried.
    pub is_queried: &'a dyn Fn(usize, usize) -> bool,
}

impl GuidedSampler {
    /// Draws `samples` samples of a query. Each is the query's frames with every queried group filled in.
    ///
    /// The solver, the denoising steps, `eta` and the temperature of `config` apply. All frames are denoised together, and no
    /// cost guides. The window slides over a stretch that is longer than it; each window begins with the last
    /// `config.history` tokens of the one before. The same query and seed give the same samples.
    ///
    /// # Errors
    /// [`SamplingError`].
    pub fn sample_query(
        &mut self,
        query: &Query,
        samples: usize,
        seed: u64,
        config: &PlannerConfig,
    ) -> Result<Vec<Vec<Frame>>, SamplingError> {
        let stack = self.layout().frame_stack;
        let tokens = query.frames.len().div_ceil(stack);
        if tokens == 0 || samples == 0 {
            return Ok(vec![Vec::new(); samples]);
        }
        let mut mask = ConditioningMask::unconditioned(samples, tokens, self.spec());
        let conditioning = self.conditioning(true);
        // The last token may reach beyond the query. Its frames there are neither known nor queried.
        let beyond = Frame::missing(self.layout());
        for b in 0..samples {
            for k in 0..tokens * stack {
                let frame = query.frames.get(k);
                for m in 0..self.layout().modalities.len() {
                    if frame.is_none() || !(query.is_queried)(k, m) {
                        conditioning.condition_frame(&mut mask, b, k, m, frame.unwrap_or(&beyond))?;
                    }
                }
            }
        }
        let mut seeded = SeededNoise::new(seed, 0, config.temperature as f32);
        let mut x = self.zeros(samples, tokens);
        seeded.fill(&mut x);
        let config = PlannerConfig { rollouts: 1, ..config.clone() };
        let whole = SlidingWindow {
            mask: &mask,
            first: 0,
            overlap: config.history.max(1),
            acting: 0,
            matrix: MatrixKind::FullSequence,
            cost_horizon: &[],
            goal: &[],
            config: &config,
            budget: &Budget::unlimited(),
        };
        self.sample_sliding_window(&mut x, &whole, &mut |x| seeded.fill(x))?;
        let filled = |b: usize| {
            let frames = self.frames(&x, b, 0).into_iter().zip(query.frames).enumerate();
            frames.map(|(k, (values, given))| fill(given, k, &values, query, self.layout())).collect()
        };
        Ok((0..samples).map(filled).collect())
    }
}

/// The given frame with every queried group replaced by the sampled values, `[channel]`.
fn fill(given: &Frame, k: usize, values: &[f32], query: &Query, layout: &Layout) -> Frame {
    let mut frame = given.clone();
    for (m, modality) in layout.modalities.iter().enumerate().filter(|(m, _)| (query.is_queried)(k, *m)) {
        frame.values[modality.channels.clone()].copy_from_slice(&values[modality.channels.clone()]);
        frame.present[m] = true;
        if let Some(std) = frame.std.get_mut(modality.channels.clone()) {
            std.fill(0.0);
        }
    }
    frame
}
