//! Monte Carlo guidance: costs of sampled rollouts and their gradient, averaged over the rollouts that share a token.
//!
//! Source: Chen et al., "Diffusion Forcing", NeurIPS 2024 (arXiv 2407.01392), section 3.4.

use df_core::Normaliser;
use df_core::map::SharedMap;
use df_diffusion::{TokenSpec, Tokens};

use crate::costs::{Cost, Rollout};

/// Evaluates costs over the future tokens of normalised sequences.
pub struct Guidance {
    costs: Vec<Box<dyn Cost>>,
    normaliser: Normaliser,
    frame_stack: usize,
    period_s: f64,
}

/// The frames that costs see: from the newest token of the history on, which is the one before `first_future`.
#[derive(Clone, Copy, Debug)]
pub struct CostSpan<'a> {
    /// The first token after the history.
    pub first_future: usize,
    /// Planned frames between the history and `first_future`. They lie in an earlier window.
    pub skipped: usize,
    /// Number of frames per sequence; empty: costs see nothing.
    pub frames: &'a [usize],
    /// The newest frame of the history in units. Set where it lies in an earlier window.
    pub newest: Option<&'a [f32]>,
}

/// The costs of every sequence.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// Total cost of each sequence.
    pub totals: Vec<f64>,
    /// Per cost, in the order of the configuration: its part of the total of each sequence.
    pub parts: Vec<Vec<f64>>,
}

impl Guidance {
    /// Guidance by `costs`. `period_s`: time between two frames, seconds.
    pub fn new(costs: Vec<Box<dyn Cost>>, normaliser: Normaliser, spec: &TokenSpec, period_s: f64) -> Self {
        Self { costs, normaliser, frame_stack: spec.frame_stack, period_s }
    }

    /// The names of the costs, in the order of [`Evaluation::parts`].
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.costs.iter().map(|cost| cost.name())
    }

    /// Adds a cost behind the others.
    pub fn add(&mut self, cost: Box<dyn Cost>) {
        self.costs.push(cost);
    }

    /// Sets the weights, in the order of the costs.
    pub fn set_weights(&mut self, weights: impl Iterator<Item = f64>) {
        self.costs.iter_mut().zip(weights).for_each(|(cost, weight)| *cost.weight() = weight);
    }

    /// The maps that come by topics.
    pub fn maps(&self) -> impl Iterator<Item = &SharedMap> {
        self.costs.iter().filter_map(|cost| cost.map()).filter(|map| map.topic().is_some())
    }

    /// The topic of the first map that has not come yet.
    pub fn missing_map(&self) -> Option<&str> {
        let missing = self.maps().find(|map| map.current().is_none());
        missing.and_then(SharedMap::topic).map(|map| map.topic.as_str())
    }

    /// Converts a normalised frame, `[channel]`, to units.
    pub fn in_units(&self, frame: &[f32]) -> Vec<f32> {
        frame.iter().enumerate().map(|(c, &value)| self.normaliser.invert(c, value)).collect()
    }

    /// The cost of every sequence, and its gradient with respect to the normalised clean tokens. `goal` is in units.
    ///
    /// # Shapes
    /// `clean` and the gradient are `[batch, token, channel]`. The gradient is 0 outside of `span`.
    pub fn evaluate(&self, clean: &Tokens, span: &CostSpan, goal: &[f64]) -> (Evaluation, Tokens) {
        self.evaluate_costs(&self.costs, clean, span, goal)
    }

    /// The first cost whose gradient at these clean tokens holds a value that is not finite, and that value.
    pub fn non_finite_cost(&self, clean: &Tokens, span: &CostSpan, goal: &[f64]) -> Option<(&'static str, f32)> {
        self.costs.iter().find_map(|cost| {
            let (_, gradient) = self.evaluate_costs(std::slice::from_ref(cost), clean, span, goal);
            gradient.data.iter().find(|value| !value.is_finite()).map(|value| (cost.name(), *value))
        })
    }

    fn evaluate_costs(
        &self,
        costs: &[Box<dyn Cost>],
        clean: &Tokens,
        span: &CostSpan,
        goal: &[f64],
    ) -> (Evaluation, Tokens) {
        let first = span.first_future.saturating_sub(1);
        let first_tick = 1 + span.skipped as i64 - ((span.first_future - first) * self.frame_stack) as i64;
        let channels = clean.channels / self.frame_stack;
        let mut gradient = Tokens::zeros(clean.batch, clean.tokens, clean.channels);
        let mut evaluation =
            Evaluation { totals: Vec::with_capacity(clean.batch), parts: vec![Vec::new(); costs.len()] };
        let start = first * clean.channels;
        let mut values = Vec::with_capacity(clean.tokens * clean.channels - start);
        for (batch, &frames) in span.frames.iter().enumerate().take(clean.batch) {
            let end = (start + frames * channels).min(clean.tokens * clean.channels);
            let seen = clean.sequence(batch)[start..end].iter().enumerate();
            values.clear();
            values.extend(seen.map(|(i, &normalised)| self.normaliser.invert(i % channels, normalised)));
            let of_history =
                usize::try_from(-first_tick).ok().and_then(|frame| values.chunks_exact(channels).nth(frame));
            let newest = span.newest.or(of_history);
            let rollout = Rollout { values: &values, channels, period_s: self.period_s, first_tick, newest, goal };
            let gradient = &mut gradient.sequence_mut(batch)[start..end];
            let mut total = 0.0;
            for (cost, parts) in costs.iter().zip(&mut evaluation.parts) {
                let part = cost.evaluate(&rollout, gradient);
                parts.push(part);
                total += part;
            }
            evaluation.totals.push(total);
            // From "per unit of the channel" to "per normalised unit".
            gradient.iter_mut().enumerate().for_each(|(i, g)| *g *= self.normaliser.noise_scale[i % channels]);
        }
        (evaluation, gradient)
    }
}

/// Replaces the first `shared` tokens from `first` on by their mean over the `rollouts` sequences of each candidate.
///
/// Returns the variance over the rollouts before that, summed over the shared values and averaged over the candidates. It is 0
/// for one rollout.
///
/// The rollouts are drawn given the near tokens. By the tower property the mean over rollouts of a quantity of the near
/// tokens is that quantity with the far tokens marginalised out.
///
/// # Shapes
/// `tokens` is `[candidate * rollouts, token, channel]`.
pub fn average_shared_tokens(tokens: &mut Tokens, rollouts: usize, first: usize, shared: usize) -> f64 {
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

/// Clips the Euclidean norm of each sequence to `max_norm`. Returns the largest norm before that.
///
/// # Shapes
/// `tokens` is `[batch, token, channel]`; a norm is over token and channel.
pub fn clip_norm(tokens: &mut Tokens, max_norm: f32) -> f32 {
    let length = tokens.tokens * tokens.channels;
    let mut largest = 0.0f32;
    for sequence in tokens.data.chunks_mut(length) {
        let norm = sequence.iter().map(|v| v * v).sum::<f32>().sqrt();
        largest = largest.max(norm);
        if norm > max_norm {
            sequence.iter_mut().for_each(|v| *v *= max_norm / norm);
        }
    }
    largest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_tokens_become_their_mean_and_the_others_stay() {
        // 2 candidates x 2 rollouts, 2 tokens of 1 channel; token 0 is shared.
        let mut tokens =
            Tokens { batch: 4, tokens: 2, channels: 1, data: vec![1.0, 5.0, 3.0, 6.0, 10.0, 7.0, 20.0, 8.0] };
        // Variances of two rollouts each: (1 - 3)^2 / 2 = 2 and (10 - 20)^2 / 2 = 50, mean 26.
        assert_eq!(average_shared_tokens(&mut tokens, 2, 0, 1), 26.0);
        assert_eq!(tokens.data, [2.0, 5.0, 2.0, 6.0, 15.0, 7.0, 15.0, 8.0]);
    }

    #[test]
    fn only_norms_above_the_limit_are_clipped() {
        let mut tokens = Tokens { batch: 2, tokens: 1, channels: 2, data: vec![3.0, 4.0, 0.3, 0.4] };
        assert_eq!(clip_norm(&mut tokens, 1.0), 5.0);
        // 5 -> 1: divided by 5; 0.5 stays.
        assert!((tokens.data[0] - 0.6).abs() < 1e-6 && tokens.data[3] == 0.4);
    }
}
