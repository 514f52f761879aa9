//! Noise levels for training: a mix of patterns, so that one network answers every question that planning asks.
//!
//! | pattern | levels |
//! |---|---|
//! | `independent`, `shared` | one per token and modality, or one per token (Chen et al. 2024, algorithm 1); half of the windows begin with a clean history |
//! | `planning` | clean history, then a row of a scheduling matrix; often a committed action and a known future observation |
//! | `hidden_modality` | `planning`, with one modality at level 1 throughout |
//! | `variable_length` | any of the others (`planning` if there is none), on windows that are cut to a random length |
//! | `noisy_history` | `planning`, with one modality of the history noisy, old or silent |
//! | `queries` | one level for all, or a row of a scheduling matrix; some modalities known throughout, in a range, or outside of one |

mod window;

use rand::{Rng, RngExt};

use self::window::Window;
use super::TokenSpec;
use serde::{Deserialize, Serialize};

/// Shares of the training windows that get each pattern of noise levels (`diffusion::mix`); one that is left out is 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NoiseLevelSamplerConfig {
    /// A level of its own per token and modality.
    pub independent: f64,
    /// A level of its own per token, which all modalities share: the paper's pattern.
    pub shared: f64,
    /// What planning uses: clean history, a row of a scheduling matrix, sometimes known future observations.
    pub planning: f64,
    /// As `planning`, with one modality at level 1 throughout.
    pub hidden_modality: f64,
    /// Any of the others by their shares (`planning` if there is none), on windows that are cut to a random length.
    pub variable_length: f64,
    /// As `planning`, with one modality of the history noisy, old or silent.
    pub noisy_history: f64,
    /// Some modalities known throughout, in a range, or outside of one; the rest is conditioning for.
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

/// What planning asks of the network, and training shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditioningSpec {
    /// The modality of the goal, which planning may take as known in the future, and, where it has one, that of its rate.
    pub goal: Vec<usize>,
    /// Whether the history's actions are known.
    pub history_actions: bool,
}

/// How the levels of one window are drawn; `variable_length` is any of these on a window that [`sample_length`] shortens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    Independent,
    Shared,
    Planning,
    HiddenModality,
    NoisyHistory,
    Queries,
}

/// The length in tokens to which the windows of a batch are cut, in the share `variable_length` of the batches.
///
/// The tail is not there, rather than noise: a shorter sequence is just that when planning, and a network that attends
/// to everything must not learn to expect more. All windows of a batch share the length, since they are one tensor.
pub fn sample_length(mix: &NoiseLevelSamplerConfig, window: usize, rng: &mut impl Rng) -> Option<usize> {
    (window > 2 && rng.random_bool(mix.variable_length)).then(|| rng.random_range(2..window))
}

/// The pattern of a window, by the shares of the mix beside `variable_length`.
pub fn sample_pattern(mix: &NoiseLevelSamplerConfig, rng: &mut impl Rng) -> Pattern {
    let shares = [
        (Pattern::Independent, mix.independent),
        (Pattern::Shared, mix.shared),
        (Pattern::HiddenModality, mix.hidden_modality),
        (Pattern::NoisyHistory, mix.noisy_history),
        (Pattern::Queries, mix.queries),
    ];
    let mut left = rng.random::<f64>() * (1.0 - mix.variable_length);
    for (pattern, share) in shares {
        if left < share {
            return pattern;
        }
        left -= share;
    }
    Pattern::Planning
}

/// Levels of one window of `tokens` tokens, `[token, noise_group]`.
pub fn levels(pattern: Pattern, spec: &TokenSpec, conditioning: &ConditioningSpec, tokens: usize, rng: &mut impl Rng) -> Vec<f32> {
    let mut window = Window::unknown(spec, tokens);
    match pattern {
        Pattern::Independent => window.per_token(false, rng),
        Pattern::Shared => window.per_token(true, rng),
        Pattern::Planning => window.planning(conditioning, rng),
        Pattern::HiddenModality => window.hidden_modality(conditioning, rng),
        Pattern::NoisyHistory => window.noisy_history(conditioning, rng),
        Pattern::Queries => window.queries(rng),
    }
    window.levels
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn patterns_come_in_their_shares() {
        let mix = NoiseLevelSamplerConfig {
            independent: 0.1,
            shared: 0.1,
            planning: 0.2,
            hidden_modality: 0.05,
            variable_length: 0.2,
            noisy_history: 0.15,
            queries: 0.2,
        };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let draws = 20_000;
        let mut lengths = std::collections::BTreeMap::new();
        let mut counts = std::collections::HashMap::new();
        for _ in 0..draws {
            match sample_length(&mix, 6, &mut rng) {
                Some(length) => *lengths.entry(length).or_insert(0) += 1,
                None => *counts.entry(format!("{:?}", sample_pattern(&mix, &mut rng))).or_insert(0) += 1,
            }
        }
        // Deviation of a share of 20,000 draws: at most sqrt(0.2 * 0.8 / 20000) = 0.003.
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
        // 2, 3, 4 or 5 of 6 tokens are left.
        assert_eq!(lengths.keys().copied().collect::<Vec<_>>(), [2, 3, 4, 5]);
        lengths.values().for_each(|count| near(*count, 0.05));
    }

    #[test]
    fn every_pattern_gives_levels_of_the_unit_interval_for_every_shape() {
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
                    let levels = levels(pattern, &spec, &conditioning, tokens, &mut rng);
                    assert_eq!(levels.len(), tokens * spec.noise_groups());
                    assert!(levels.iter().all(|l| (0.0..=1.0).contains(l)), "{pattern:?}: {levels:?}");
                }
            }
        }
    }
}
