//! What a plan is conditioned on, as noise levels: which slots of which tokens are known, and their values.

use super::PlanRequest;
use crate::diffusion::{Levels, Tokens};
use crate::signal::{ACTION_MODALITY, Layout, Normaliser};

/// Known slots have a fixed level throughout sampling; the others follow the scheduling matrix.
pub struct Conditioning {
    /// Fixed level per batch, token and slot; NaN where the slot is sampled.
    fixed: Levels,
    /// Normalised values of the slots with fixed level 0.
    values: Tokens,
    /// First future token.
    pub first_future: usize,
}

/// A future observation that is taken as known: the goal.
pub struct KnownObservation<'a> {
    pub modality: usize,
    /// In units, one per channel of the modality.
    pub values: &'a [f64],
    /// Per sequence: the future frames in which it holds.
    pub frames: &'a [std::ops::Range<usize>],
}

impl Conditioning {
    /// History at level 0 and, where a modality was missing, at level 1; the committed action, which is the action of the
    /// first future frame, at level 0; everything else is sampled.
    pub fn new(request: &PlanRequest, layout: &Layout, normaliser: &Normaliser, batch: usize, horizon: usize) -> Self {
        let slots = layout.modalities.len() * layout.frame_stack;
        let history = request.history.frames().len();
        let first_future = history / layout.frame_stack;
        let tokens = first_future + horizon;
        let mut conditioning = Self {
            fixed: Levels::filled(batch, tokens, slots, f32::NAN),
            values: Tokens::zeros(batch, tokens, layout.token_channels()),
            first_future,
        };
        for b in 0..batch {
            for (k, frame) in request.history.frames().enumerate() {
                for (m, modality) in layout.modalities.iter().enumerate() {
                    let values: Vec<f32> = modality.channels.clone().map(|c| frame.values[c]).collect();
                    let level = if frame.present[m] { 0.0 } else { 1.0 };
                    conditioning.fix(b, k, m, level, &values, layout, normaliser);
                }
            }
            let committed: Vec<f32> = request.committed.iter().map(|&v| v as f32).collect();
            conditioning.fix(b, history, ACTION_MODALITY, 0.0, &committed, layout, normaliser);
        }
        conditioning
    }

    /// Adds a known future observation.
    pub fn know(&mut self, known: &KnownObservation, layout: &Layout, normaliser: &Normaliser) {
        let values: Vec<f32> = known.values.iter().map(|&v| v as f32).collect();
        let first = self.first_future * layout.frame_stack;
        let frames = self.fixed.tokens * layout.frame_stack;
        for (b, range) in known.frames.iter().enumerate() {
            for frame in range.clone().map(|f| first + f).filter(|f| *f < frames) {
                self.fix(b, frame, known.modality, 0.0, &values, layout, normaliser);
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn fix(
        &mut self,
        b: usize,
        frame: usize,
        m: usize,
        level: f32,
        values: &[f32],
        layout: &Layout,
        normaliser: &Normaliser,
    ) {
        let (token, within) = (frame / layout.frame_stack, frame % layout.frame_stack);
        self.fixed.at_mut(b, token)[within * layout.modalities.len() + m] = level;
        let of_token = self.values.at_mut(b, token);
        for (c, &value) in layout.modalities[m].channels.clone().zip(values) {
            of_token[within * layout.frame_channels() + c] = normaliser.apply(c, value);
        }
    }

    /// The levels when the future tokens stand at `row` of a scheduling matrix.
    pub fn levels(&self, row: &[f32]) -> Levels {
        let mut levels = self.fixed.clone();
        for (i, of_token) in levels.data.chunks_mut(levels.slots).enumerate() {
            let token = i % self.fixed.tokens;
            let sampled = if token < self.first_future { 1.0 } else { row[token - self.first_future] };
            of_token.iter_mut().filter(|l| l.is_nan()).for_each(|l| *l = sampled);
        }
        levels
    }

    /// Where sampling starts: known values, and `noise` everywhere else.
    pub fn start(&self, noise: Tokens, slot_of_channel: &[usize]) -> Tokens {
        let mut start = noise;
        for b in 0..start.batch {
            for t in 0..start.tokens {
                let (fixed, values) = (self.fixed.at(b, t), self.values.at(b, t));
                for (c, value) in start.at_mut(b, t).iter_mut().enumerate() {
                    if fixed[slot_of_channel[c]] == 0.0 {
                        *value = values[c];
                    }
                }
            }
        }
        start
    }

    /// Whether a channel of a token is sampled.
    pub fn is_sampled(&self, batch: usize, token: usize, slot: usize) -> bool {
        self.fixed.at(batch, token)[slot].is_nan()
    }
}
