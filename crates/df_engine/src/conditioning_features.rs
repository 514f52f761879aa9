//! What the network is told about the noise in its input: features of the levels, and optionally the clean values
//! alone.

use df_diffusion::{Levels, NoiseSchedule, RecentLevels, TokenSpec, Tokens};

use crate::network_config::FEATURES_PER_NOISE_GROUP;

/// Makes the conditioning features of a network for tokens of one kind.
#[derive(Clone, Debug)]
pub struct ConditioningFeatures {
    /// Which channels of a token share a level.
    pub spec: TokenSpec,
    /// From a level to alpha and sigma.
    pub schedule: NoiseSchedule,
    /// Whether clean values are features too, beside the levels.
    pub condition_on_clean_values: bool,
}

impl ConditioningFeatures {
    /// The features of every token. Per noise group: level, alpha, sigma, and 1 if it is clean (level 0), else 0.
    /// Then, with `condition_on_clean_values`, per channel: its value if it is clean, else 0.
    ///
    /// The clean values stand apart because a network that adds up its inputs learns slowly to tell them from noisy
    /// ones.
    ///
    /// # Shapes
    /// - `x`: `[batch, token, channel]`
    /// - `levels`: `[batch, token, noise group]`
    /// - result: `[batch, token, 4 * noise group (+ channel)]`
    pub fn evaluate(&self, x: &Tokens, levels: &Levels) -> Vec<f32> {
        let values = if self.condition_on_clean_values { x.data.len() } else { 0 };
        let mut features = Vec::with_capacity(levels.data.len() * FEATURES_PER_NOISE_GROUP + values);
        let mut schedule = RecentLevels::new(self.schedule);
        for (levels, x) in levels.data.chunks(levels.noise_groups).zip(x.data.chunks(x.channels)) {
            for &level in levels {
                let (alpha, sigma) = schedule.alpha_sigma(level);
                features.extend([level, alpha, sigma, if level <= 0.0 { 1.0 } else { 0.0 }]);
            }
            if self.condition_on_clean_values {
                let clean = self.spec.noise_group_of_channel.iter().map(|&group| levels[group] <= 0.0);
                features.extend(x.iter().zip(clean).map(|(&value, clean)| if clean { value } else { 0.0 }));
            }
        }
        features
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use df_diffusion::NoiseScheduleKind;

    #[test]
    fn clean_values_are_additional_features_that_are_zero_for_noisy_values() {
        // Two frames a token, two modalities of one and two channels.
        let spec = TokenSpec::new(&[0, 1, 1], 2);
        let x = Tokens { batch: 1, tokens: 2, channels: 6, data: (1..=12).map(|v| v as f32).collect() };
        let levels = Levels { data: vec![0.0, 1.0, 0.5, 0.0, 1.0, 1.0, 1.0, 1.0], ..Levels::filled(1, 2, 4, 0.0) };
        let features = |condition_on_clean_values| ConditioningFeatures {
            spec: spec.clone(),
            schedule: NoiseSchedule(NoiseScheduleKind::Linear),
            condition_on_clean_values,
        };
        let (without, with) = (features(false).evaluate(&x, &levels), features(true).evaluate(&x, &levels));
        assert_eq!((without.len(), with.len()), (2 * 16, 2 * 22));
        for token in 0..2 {
            assert_eq!(with[22 * token..22 * token + 16], without[16 * token..16 * (token + 1)]);
        }
        // Level 0: alpha 1, sigma 0, clean; level 1: alpha 0, sigma 1.
        assert_eq!(without[..8], [0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0]);
        assert_eq!(with[16..22], [1.0, 0.0, 0.0, 0.0, 5.0, 6.0]);
        assert_eq!(with[38..], [0.0; 6]);
    }
}
