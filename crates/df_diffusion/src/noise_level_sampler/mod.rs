//! The noise level sampler: shares of patterns, and the draw of lengths and levels of training windows.

mod patterns;

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use self::patterns::WindowLevels;
use crate::TokenSpec;

/// Shares of the training windows that get each pattern of noise levels; see [`NoiseLevelSampler`].
///
/// An omitted share is 0. The shares sum to 1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NoiseLevelSamplerConfig {
    /// One level per token and modality.
    pub independent: f64,
    /// One level per token, shared by its modalities: the pattern of Chen et al. 2024.
    pub shared: f64,
    /// The levels that planning uses: clean history, then a row of a scheduling matrix, sometimes known future
    /// observations.
    pub planning: f64,
    /// As `planning`, with one modality at level 1 throughout.
    pub hidden_modality: f64,
    /// Any of the others by their shares (`planning` if they are 0), on windows that are cut to a random length.
    pub variable_length: f64,
    /// As `planning`, with one modality of the history noisy or silent.
    pub noisy_history: f64,
    /// Some modalities are known throughout, in a range, or outside of one; the rest is sampled or left out.
    #[serde(alias = "questions")]
    pub queries: f64,
}

impl NoiseLevelSamplerConfig {
    /// Every share with its key.
    pub fn shares(&self) -> [(&'static str, f64); 7] {
        [
            ("independent", self.independent),
            ("shared", self.shared),
            ("planning", self.planning),
            ("hidden_modality", self.hidden_modality),
            ("variable_length", self.variable_length),
            ("noisy_history", self.noisy_history),
            ("queries", self.queries),
        ]
    }
}

/// What planning conditions on, beside the history's observations and the committed action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditioningSpec {
    /// The modalities that planning may take as known in the future: the goal's modality and, where it has one, that of
    /// its rate. Empty without a goal.
    pub goal: Vec<usize>,
    /// Whether the history's actions are known.
    pub history_actions: bool,
}

/// How the levels of one window are drawn; see the table of [`NoiseLevelSampler`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pattern {
    Independent,
    Shared,
    Planning,
    HiddenModality,
    NoisyHistory,
    Queries,
}

/// Draws lengths and noise levels of training windows from a mix of patterns.
///
/// Diffusion forcing trains with an independent level `k_t` per token (Chen et al. 2024, algorithm 1). Planning uses
/// only some combinations of levels. The sampler draws those more often, so that one network serves every query.
///
/// | pattern | levels |
/// |---|---|
/// | `independent` | one per token and modality; half of the windows begin with a clean history |
/// | `shared` | one per token, for all of its modalities; half of the windows begin with a clean history |
/// | `planning` | clean history, row of a scheduling matrix; often a committed action and a known future observation |
/// | `hidden_modality` | `planning`, with one modality at level 1 throughout |
/// | `noisy_history` | `planning`, with one modality of the history at a higher level, or at level 1 |
/// | `queries` | one level, or a row of a scheduling matrix; some modalities known throughout, in or outside a range |
/// | `variable_length` | any of the others (`planning` if their shares are 0), on windows cut to a random length |
///
/// The same state of the generator gives the same draws.
#[derive(Clone, Copy, Debug)]
pub struct NoiseLevelSampler<'a> {
    config: &'a NoiseLevelSamplerConfig,
    conditioning: &'a ConditioningSpec,
    spec: &'a TokenSpec,
}

impl<'a> NoiseLevelSampler<'a> {
    /// A sampler for windows of tokens of `spec`.
    ///
    /// The shares of `config` lie in [0, 1] and sum to at most 1; `conditioning.goal` holds modalities of `spec`.
    pub fn new(config: &'a NoiseLevelSamplerConfig, conditioning: &'a ConditioningSpec, spec: &'a TokenSpec) -> Self {
        Self { config, conditioning, spec }
    }

    /// Draws the length, tokens, to which the windows of a batch are cut; `None`: they keep their `window` tokens.
    ///
    /// The windows of a batch are one tensor, so they share the length. Cut tokens are absent, not noise: a network
    /// that attends to all tokens would otherwise learn to expect a tail that short plans do not have.
    pub fn sample_length(&self, window: usize, rng: &mut impl Rng) -> Option<usize> {
        (window > 2 && rng.random_bool(self.config.variable_length)).then(|| rng.random_range(2..window))
    }

    /// Draws a pattern, and with it the levels of one window of `tokens` tokens, `[token, noise_group]`.
    pub fn sample_levels(&self, tokens: usize, rng: &mut impl Rng) -> Vec<f32> {
        let pattern = self.sample_pattern(rng);
        self.levels_of(pattern, tokens, rng)
    }

    /// Draws a pattern by the shares beside `variable_length`.
    fn sample_pattern(&self, rng: &mut impl Rng) -> Pattern {
        let config = self.config;
        let shares = [
            (Pattern::Independent, config.independent),
            (Pattern::Shared, config.shared),
            (Pattern::HiddenModality, config.hidden_modality),
            (Pattern::NoisyHistory, config.noisy_history),
            (Pattern::Queries, config.queries),
        ];
        let mut left = rng.random::<f64>() * (1.0 - config.variable_length);
        for (pattern, share) in shares {
            if left < share {
                return pattern;
            }
            left -= share;
        }
        Pattern::Planning
    }

    /// Draws levels of one pattern, `[token, noise_group]`.
    fn levels_of(&self, pattern: Pattern, tokens: usize, rng: &mut impl Rng) -> Vec<f32> {
        let mut window = WindowLevels::noise(self.spec, tokens);
        match pattern {
            Pattern::Independent => window.per_token(false, rng),
            Pattern::Shared => window.per_token(true, rng),
            Pattern::Planning => window.planning(self.conditioning, rng),
            Pattern::HiddenModality => window.hidden_modality(self.conditioning, rng),
            Pattern::NoisyHistory => window.noisy_history(self.conditioning, rng),
            Pattern::Queries => window.queries(rng),
        }
        window.levels
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn each_pattern_is_drawn_in_its_share_of_the_windows() {
        let config = NoiseLevelSamplerConfig {
            independent: 0.1,
            shared: 0.1,
            planning: 0.2,
            hidden_modality: 0.05,
            variable_length: 0.2,
            noisy_history: 0.15,
            queries: 0.2,
        };
        let conditioning = ConditioningSpec { goal: vec![1], history_actions: true };
        let spec = TokenSpec::new(&[0, 1], 1);
        let sampler = NoiseLevelSampler::new(&config, &conditioning, &spec);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let draws = 20_000;
        let mut lengths = std::collections::BTreeMap::new();
        let mut counts = std::collections::HashMap::new();
        for _ in 0..draws {
            match sampler.sample_length(6, &mut rng) {
                Some(length) => *lengths.entry(length).or_insert(0) += 1,
                None => *counts.entry(format!("{:?}", sampler.sample_pattern(&mut rng))).or_insert(0) += 1,
            }
        }
        // Standard deviation of a share of 20,000 draws: at most sqrt(0.2 * 0.8 / 20000) = 0.003.
        let near = |count: i32, share: f64| assert!((f64::from(count) / f64::from(draws) - share).abs() < 0.015);
        for (pattern, share) in [
            (Pattern::Independent, 0.1),
            (Pattern::Shared, 0.1),
            (Pattern::Planning, 0.2),
            (Pattern::HiddenModality, 0.05),
            (Pattern::NoisyHistory, 0.15),
            (Pattern::Queries, 0.2),
        ] {
            near(counts[&format!("{pattern:?}")], share);
        }
        // Windows of 6 tokens are cut to 2, 3, 4 or 5.
        assert_eq!(lengths.keys().copied().collect::<Vec<_>>(), [2, 3, 4, 5]);
        lengths.values().for_each(|count| near(*count, 0.05));
    }

    #[test]
    fn every_pattern_draws_levels_in_the_unit_interval_for_every_shape() {
        let config = NoiseLevelSamplerConfig::default();
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let patterns = [
            Pattern::Independent,
            Pattern::Shared,
            Pattern::Planning,
            Pattern::HiddenModality,
            Pattern::NoisyHistory,
            Pattern::Queries,
        ];
        // One modality (the action alone), two, three; one frame in a token or two; one token to seven.
        for (modalities, frame_stack) in [(&[0][..], 1), (&[0, 1], 2), (&[0, 0, 1, 2], 2)] {
            let spec = TokenSpec::new(modalities, frame_stack);
            let goal = [1, 2][..(spec.modalities - 1).min(2)].to_vec();
            for pattern in patterns {
                for draw in 0..700 {
                    let tokens = 1 + draw % 7;
                    let conditioning = ConditioningSpec { goal: goal.clone(), history_actions: draw % 2 == 0 };
                    let sampler = NoiseLevelSampler::new(&config, &conditioning, &spec);
                    let levels = sampler.levels_of(pattern, tokens, &mut rng);
                    assert_eq!(levels.len(), tokens * spec.noise_groups());
                    assert!(levels.iter().all(|l| (0.0..=1.0).contains(l)), "{pattern:?}: {levels:?}");
                }
            }
        }
    }
}
