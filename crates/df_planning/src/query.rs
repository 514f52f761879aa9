//! Questions other than "what to do": the same network, other levels.
//!
//! | known | asked for | the network is |
//! |---|---|---|
//! | past, future actions | future observations | a world model |
//! | past and future observations | actions | an inverse model |
//! | frames around a gap | the gap | a filler of recordings |

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::budget::Budget;
use super::conditioning::Conditioning;
use super::sliding_window::SlidingWindow;
use super::{PlanError, Planner};
use crate::PlannerConfig;
use df_core::Frame;
use df_diffusion::MatrixKind;
use df_diffusion::{ConditioningMask, Tokens};

/// A stretch of frames, and what of it is to be found out.
pub struct Query<'a> {
    /// Consecutive frames, any number. What is present is known as well as it was measured, unless it is asked for; what is
    /// neither is left out of the question (level 1).
    pub frames: &'a [Frame],
    /// Whether modality `m` of frame `k` is asked for.
    pub asked: &'a dyn Fn(usize, usize) -> bool,
}

impl Planner {
    /// Samples answers: each is the question's frames with everything that was asked for in place. The configured solver,
    /// denoising steps, `eta` and temperature hold; all frames descend together, and nothing guides. A stretch longer than the
    /// network's window is answered by sliding it; each window begins with the last history tokens' worth of the one before.
    ///
    /// The same question and seed give the same answers.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn answer(&mut self, question: &Query, samples: usize, seed: u64) -> Result<Vec<Vec<Frame>>, PlanError> {
        let (layout, stack) = (self.layout.clone(), self.layout.frame_stack);
        let tokens = question.frames.len().div_ceil(stack);
        if tokens == 0 || samples == 0 {
            return Ok(vec![Vec::new(); samples]);
        }
        let mut known = ConditioningMask::unconditioned(samples, tokens, &self.generator.spec);
        let conditioning = Conditioning {
            layout: &layout,
            normaliser: &self.normaliser,
            schedule: self.generator.schedule,
            spec: &self.generator.spec,
            history_actions: true,
        };
        // The last token may be longer than the question: what is beyond it is not known and not asked.
        let beyond = Frame::missing(&layout);
        for b in 0..samples {
            for k in 0..tokens * stack {
                let frame = question.frames.get(k);
                for m in 0..layout.modalities.len() {
                    if frame.is_none() || !(question.asked)(k, m) {
                        conditioning.hold_frame(&mut known, b, k, m, frame.unwrap_or(&beyond))?;
                    }
                }
            }
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let temperature = self.settings.temperature as f32;
        let mut noise = |x: &mut Tokens| {
            x.data.iter_mut().for_each(|value| {
                let drawn: f32 = StandardNormal.sample(&mut rng);
                *value = temperature * drawn;
            });
        };
        let mut x = Tokens::zeros(samples, tokens, layout.token_channels());
        noise(&mut x);
        let settings = PlannerConfig { rollouts: 1, ..self.settings.clone() };
        let whole = SlidingWindow {
            known: &known,
            first: 0,
            overlap: self.settings.history.max(1),
            acting: 0,
            matrix: MatrixKind::FullSequence,
            cost_horizon: &[],
            goal: &[],
            settings: &settings,
            budget: &Budget::unlimited(),
        };
        self.generator.sample_sliding_window(&mut x, &whole, &mut noise)?;
        let answered = |b: usize| {
            let frames = self.frames(&x, b, 0).into_iter().zip(question.frames).enumerate();
            frames.map(|(k, (values, given))| fill(given, k, &values, question, &layout)).collect()
        };
        Ok((0..samples).map(answered).collect())
    }
}

/// The given frame with what was asked for.
fn fill(given: &Frame, k: usize, values: &[f32], question: &Query, layout: &df_core::Layout) -> Frame {
    let mut frame = given.clone();
    for (m, modality) in layout.modalities.iter().enumerate().filter(|(m, _)| (question.asked)(k, *m)) {
        frame.values[modality.channels.clone()].copy_from_slice(&values[modality.channels.clone()]);
        frame.present[m] = true;
        if let Some(std) = frame.std.get_mut(modality.channels.clone()) {
            std.fill(0.0);
        }
    }
    frame
}
