//! Monte Carlo guidance: costs of sampled futures and their gradient, averaged over the futures that share a token.

use super::{Cost, Future};
use crate::diffusion::{TokenSpec, Tokens};
use crate::signal::Normaliser;

/// Costs over the future tokens of normalised sequences.
pub struct Guidance {
    costs: Vec<Box<dyn Cost>>,
    normaliser: Normaliser,
    frame_stack: usize,
    period_s: f64,
}

/// What guidance saw in one denoising step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Total cost of each sequence.
    pub costs: Vec<f64>,
}

impl Guidance {
    pub fn new(costs: Vec<Box<dyn Cost>>, normaliser: Normaliser, spec: &TokenSpec, period_s: f64) -> Self {
        Self { costs, normaliser, frame_stack: spec.frame_stack, period_s }
    }

    /// The cost of every sequence's future, and its gradient with respect to the normalised clean tokens (0 elsewhere).
    ///
    /// The costs see `frames[batch]` frames from the newest token of the history on, the one before `first_future`; `goal`
    /// is in units.
    pub fn evaluate(
        &self,
        clean: &Tokens,
        first_future: usize,
        frames: &[usize],
        goal: &[f64],
    ) -> (Statistics, Tokens) {
        let first = first_future.saturating_sub(1);
        let first_tick = 1 - ((first_future - first) * self.frame_stack) as i64;
        let channels = clean.channels / self.frame_stack;
        let mut gradient = Tokens::zeros(clean.batch, clean.tokens, clean.channels);
        let mut statistics = Statistics::default();
        let start = first * clean.channels;
        let mut values = Vec::with_capacity(clean.tokens * clean.channels - start);
        for (batch, &frames) in frames.iter().enumerate().take(clean.batch) {
            let end = (start + frames * channels).min(clean.tokens * clean.channels);
            let counted = clean.sequence(batch)[start..end].iter().enumerate();
            values.clear();
            values.extend(counted.map(|(i, &normalised)| self.normaliser.invert(i % channels, normalised)));
            let future = Future { values: &values, channels, period_s: self.period_s, first_tick, goal };
            let gradient = &mut gradient.sequence_mut(batch)[start..end];
            statistics.costs.push(self.costs.iter().map(|cost| cost.evaluate(&future, gradient)).sum());
            // Per unit of the channel -> per normalised unit.
            gradient.iter_mut().enumerate().for_each(|(i, g)| *g *= self.normaliser.deviation[i % channels]);
        }
        (statistics, gradient)
    }
}

/// Replaces the first `shared` tokens from `first` on by their mean over the `futures` sequences of each candidate.
///
/// By the tower property the mean over futures, drawn given the near tokens, of a quantity of the near tokens is that
/// quantity with the far tokens marginalised out.
pub fn share(tokens: &mut Tokens, futures: usize, first: usize, shared: usize) {
    if futures < 2 {
        return;
    }
    let range = first * tokens.channels..(first + shared).min(tokens.tokens) * tokens.channels;
    let length = tokens.tokens * tokens.channels;
    for candidate in tokens.data.chunks_mut(futures * length) {
        for i in range.clone() {
            let mean = (0..futures).map(|f| candidate[f * length + i]).sum::<f32>() / futures as f32;
            (0..futures).for_each(|f| candidate[f * length + i] = mean);
        }
    }
}

/// Shortens each sequence to at most `most` in the Euclidean norm; returns the longest norm before.
pub fn shorten(tokens: &mut Tokens, most: f32) -> f32 {
    let length = tokens.tokens * tokens.channels;
    let mut longest = 0.0f32;
    for sequence in tokens.data.chunks_mut(length) {
        let norm = sequence.iter().map(|v| v * v).sum::<f32>().sqrt();
        longest = longest.max(norm);
        if norm > most {
            sequence.iter_mut().for_each(|v| *v *= most / norm);
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_tokens_become_their_mean_and_others_stay() {
        // 2 candidates x 2 futures, 2 tokens of 1 channel; token 0 is shared.
        let mut tokens =
            Tokens { batch: 4, tokens: 2, channels: 1, data: vec![1.0, 5.0, 3.0, 6.0, 10.0, 7.0, 20.0, 8.0] };
        share(&mut tokens, 2, 0, 1);
        assert_eq!(tokens.data, [2.0, 5.0, 2.0, 6.0, 15.0, 7.0, 15.0, 8.0]);
    }

    #[test]
    fn long_gradients_are_shortened_and_short_ones_kept() {
        let mut tokens = Tokens { batch: 2, tokens: 1, channels: 2, data: vec![3.0, 4.0, 0.3, 0.4] };
        assert_eq!(shorten(&mut tokens, 1.0), 5.0);
        // 5 -> 1: divided by 5; 0.5 stays.
        assert!((tokens.data[0] - 0.6).abs() < 1e-6 && tokens.data[3] == 0.4);
    }
}
