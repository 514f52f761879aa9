//! Monte Carlo guidance: costs of sampled futures and their gradient, averaged over the futures that share a token.

use df_core::map::SharedMap;

use crate::costs::{Cost, Rollout};
use df_core::Normaliser;
use df_diffusion::{TokenSpec, Tokens};

/// Costs over the future tokens of normalised sequences.
pub struct Guidance {
    costs: Vec<Box<dyn Cost>>,
    normaliser: Normaliser,
    frame_stack: usize,
    period_s: f64,
}

/// Which frames costs see: those from the newest token of the history on, the one before `first_future`.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    pub first_future: usize,
    /// Planned frames between the history and `first_future`, which lie in an earlier window.
    pub skipped: usize,
    /// How many frames, per sequence; empty: none.
    pub frames: &'a [usize],
    /// The newest frame of the history in units, where the tokens do not hold it (an earlier window does).
    pub newest: Option<&'a [f32]>,
}

/// The costs of every sequence.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// Total cost of each sequence.
    pub totals: Vec<f64>,
    /// Per cost of the configuration: its part of the total of each sequence.
    pub parts: Vec<Vec<f64>>,
}

impl Guidance {
    pub fn new(costs: Vec<Box<dyn Cost>>, normaliser: Normaliser, spec: &TokenSpec, period_s: f64) -> Self {
        Self { costs, normaliser, frame_stack: spec.frame_stack, period_s }
    }

    /// The names of the costs, in the order of [`Evaluation::parts`].
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.costs.iter().map(|cost| cost.name())
    }

    /// New weights, in the order of the costs.
    pub fn set_weights(&mut self, weights: impl Iterator<Item = f64>) {
        self.costs.iter_mut().zip(weights).for_each(|(cost, weight)| *cost.weight() = weight);
    }

    /// The maps that topics feed.
    pub fn maps(&self) -> impl Iterator<Item = &SharedMap> {
        self.costs.iter().filter_map(|cost| cost.map()).filter(|map| map.topic().is_some())
    }

    /// One normalised frame in units.
    pub fn in_units(&self, frame: &[f32]) -> Vec<f32> {
        frame.iter().enumerate().map(|(c, &value)| self.normaliser.invert(c, value)).collect()
    }

    /// The cost of every sequence's future, and its gradient with respect to the normalised clean tokens (0 elsewhere).
    ///
    /// `clean`: `[batch, token, channel]`; `goal` is in units.
    pub fn evaluate(&self, clean: &Tokens, span: &Span, goal: &[f64]) -> (Evaluation, Tokens) {
        let first = span.first_future.saturating_sub(1);
        let first_tick = 1 + span.skipped as i64 - ((span.first_future - first) * self.frame_stack) as i64;
        let channels = clean.channels / self.frame_stack;
        let mut gradient = Tokens::zeros(clean.batch, clean.tokens, clean.channels);
        let mut evaluation =
            Evaluation { totals: Vec::with_capacity(clean.batch), parts: vec![Vec::new(); self.costs.len()] };
        let start = first * clean.channels;
        let mut values = Vec::with_capacity(clean.tokens * clean.channels - start);
        for (batch, &frames) in span.frames.iter().enumerate().take(clean.batch) {
            let end = (start + frames * channels).min(clean.tokens * clean.channels);
            let cost_horizon = clean.sequence(batch)[start..end].iter().enumerate();
            values.clear();
            values.extend(cost_horizon.map(|(i, &normalised)| self.normaliser.invert(i % channels, normalised)));
            let of_history =
                usize::try_from(-first_tick).ok().and_then(|frame| values.chunks_exact(channels).nth(frame));
            let newest = span.newest.or(of_history);
            let future = Rollout { values: &values, channels, period_s: self.period_s, first_tick, newest, goal };
            let gradient = &mut gradient.sequence_mut(batch)[start..end];
            let mut total = 0.0;
            for (cost, parts) in self.costs.iter().zip(&mut evaluation.parts) {
                let part = cost.evaluate(&future, gradient);
                parts.push(part);
                total += part;
            }
            evaluation.totals.push(total);
            // Per unit of the channel -> per normalised unit.
            gradient.iter_mut().enumerate().for_each(|(i, g)| *g *= self.normaliser.noise_scale[i % channels]);
        }
        (evaluation, gradient)
    }
}

/// Replaces the first `shared` tokens from `first` on by their mean over the `rollouts` sequences of each candidate. Returns the
/// variance over the futures before that, summed over the shared values and averaged over candidates: 0 for one future.
///
/// By the tower property the mean over futures, drawn given the near tokens, of a quantity of the near tokens is that
/// quantity with the far tokens marginalised out.
pub fn share(tokens: &mut Tokens, rollouts: usize, first: usize, shared: usize) -> f64 {
    if rollouts < 2 {
        return 0.0;
    }
    let range = first * tokens.channels..(first + shared).min(tokens.tokens) * tokens.channels;
    let length = tokens.tokens * tokens.channels;
    let candidates = tokens.batch / rollouts;
    let mut variance = 0.0;
    for candidate in tokens.data.chunks_mut(rollouts * length) {
        for i in range.clone() {
            let mean = (0..rollouts).map(|f| candidate[f * length + i]).sum::<f32>() / rollouts as f32;
            let squares: f32 = (0..rollouts).map(|f| (candidate[f * length + i] - mean).powi(2)).sum();
            variance += f64::from(squares) / (rollouts - 1) as f64;
            (0..rollouts).for_each(|f| candidate[f * length + i] = mean);
        }
    }
    variance / candidates.max(1) as f64
}

/// Shortens each sequence to at most `max` in the Euclidean norm; returns the longest norm before.
pub fn shorten(tokens: &mut Tokens, max: f32) -> f32 {
    let length = tokens.tokens * tokens.channels;
    let mut longest = 0.0f32;
    for sequence in tokens.data.chunks_mut(length) {
        let norm = sequence.iter().map(|v| v * v).sum::<f32>().sqrt();
        longest = longest.max(norm);
        if norm > max {
            sequence.iter_mut().for_each(|v| *v *= max / norm);
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
        // Variances of two futures each: (1 - 3)^2 / 2 = 2 and (10 - 20)^2 / 2 = 50, mean 26.
        assert_eq!(share(&mut tokens, 2, 0, 1), 26.0);
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
