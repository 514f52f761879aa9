//! Seeded noise, and the tokens that the rollouts of a candidate share.

use df_diffusion::Tokens;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Normal noise from an explicit seed. The same seed and stream give the same noise.
pub struct SeededNoise {
    rng: ChaCha8Rng,
    temperature: f32,
}

impl SeededNoise {
    /// Noise of the standard deviation `temperature`, in normalised units. Every `stream` of a seed is independent.
    pub fn new(seed: u64, stream: u64, temperature: f32) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self { rng, temperature }
    }

    /// Replaces every value of `x`, `[batch, token, channel]`, in the order of memory.
    pub fn fill(&mut self, x: &mut Tokens) {
        x.data.iter_mut().for_each(|value| {
            let drawn: f32 = StandardNormal.sample(&mut self.rng);
            *value = self.temperature * drawn;
        });
    }
}

/// Copies the `shared` tokens from token `first` on from the first rollout of each candidate to its other rollouts.
///
/// Shared tokens must be one sample. The mean of several samples has too little variance to be one.
///
/// # Shapes
/// `x` is `[candidate * rollouts, token, channel]`.
pub fn tie_prefix(x: &mut Tokens, rollouts: usize, first: usize, shared: usize) {
    let length = x.tokens * x.channels;
    let range = first * x.channels..(first + shared).min(x.tokens) * x.channels;
    for candidate in x.data.chunks_mut(rollouts * length) {
        let (own, others) = candidate.split_at_mut(length);
        others.chunks_mut(length).for_each(|other| other[range.clone()].copy_from_slice(&own[range.clone()]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rollouts_of_a_candidate_share_the_tokens_of_the_first() {
        let mut x = Tokens { batch: 4, tokens: 2, channels: 1, data: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0] };
        tie_prefix(&mut x, 2, 0, 1);
        assert_eq!(x.data, [1.0, 2.0, 1.0, 4.0, 5.0, 6.0, 5.0, 8.0]);
    }

    #[test]
    fn seed_and_stream_fix_the_noise() {
        let drawn = |seed, stream, temperature| {
            let mut x = Tokens::zeros(1, 2, 2);
            SeededNoise::new(seed, stream, temperature).fill(&mut x);
            x.data
        };
        assert_eq!(drawn(1, 2, 1.0), drawn(1, 2, 1.0));
        assert!(drawn(1, 2, 1.0) != drawn(1, 3, 1.0) && drawn(1, 2, 1.0) != drawn(2, 2, 1.0));
        // The temperature scales the same draws.
        let halved: Vec<f32> = drawn(1, 2, 1.0).iter().map(|value| 0.5 * value).collect();
        assert_eq!(drawn(1, 2, 0.5), halved);
    }
}
