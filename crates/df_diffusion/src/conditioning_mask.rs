//! The conditioning mask: which noise groups are known, at which level and with which value.
//!
//! Every query to the network (plan, predict, infer, fill) is one conditioning mask.

use std::ops::Range;

use crate::{Levels, NoiseSchedule, TokenSpec, Tokens};

/// Marks noise groups as conditioned: they keep a fixed level while the others are sampled.
///
/// A value conditioned at level `s` is a measurement of the clean value with normal noise of standard deviation
/// `sigma(s) / alpha(s)`. It enters as `alpha value`, which has the distribution of the forward process at `s`. Level 0
/// is the exact value. At level 1 the group stays noise: it is neither known nor sampled.
#[derive(Clone, Debug)]
pub struct ConditioningMask {
    /// NaN where the noise group is sampled.
    levels: Levels,
    values: Tokens,
    /// The level at which sampling of a token starts, `[batch][token]`; 1: from noise.
    start_levels: Vec<Vec<f32>>,
    channels_of_group: Vec<Vec<usize>>,
}

/// A noise level outside [0, 1], or NaN.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("a noise level must lie in [0, 1]; got {0}")]
pub struct LevelError(pub f32);

impl ConditioningMask {
    /// A mask over `[batch, tokens]` tokens in which every noise group is sampled.
    pub fn unconditioned(batch: usize, tokens: usize, spec: &TokenSpec) -> Self {
        let mut channels_of_group = vec![Vec::new(); spec.noise_groups()];
        for (channel, &group) in spec.noise_group_of_channel.iter().enumerate() {
            channels_of_group[group].push(channel);
        }
        Self {
            levels: Levels::filled(batch, tokens, spec.noise_groups(), f32::NAN),
            values: Tokens::zeros(batch, tokens, spec.channels()),
            start_levels: vec![vec![1.0; tokens]; batch],
            channels_of_group,
        }
    }

    /// Conditions the noise group at `(batch, token, noise_group)` on `values` at `level`.
    ///
    /// `values`: one normalised value per channel of the noise group, in the order of channels. Surplus ones are
    /// ignored; channels beyond the last value keep theirs, 0 at first.
    ///
    /// # Errors
    /// [`LevelError`]: a level outside [0, 1].
    pub fn condition(
        &mut self,
        (batch, token, noise_group): (usize, usize, usize),
        level: f32,
        values: impl IntoIterator<Item = f32>,
    ) -> Result<(), LevelError> {
        if !(0.0..=1.0).contains(&level) {
            return Err(LevelError(level));
        }
        self.levels.at_mut(batch, token)[noise_group] = level;
        let of_token = self.values.at_mut(batch, token);
        self.channels_of_group[noise_group].iter().zip(values).for_each(|(&c, value)| of_token[c] = value);
        Ok(())
    }

    /// Sets the level at which the sampled noise groups of the token at `(batch, token)` start, instead of 1.
    ///
    /// The sampler leaves them unchanged until the scheduling matrix descends to that level. A warm start uses this.
    pub fn set_start_level(&mut self, (batch, token): (usize, usize), level: f32) {
        self.start_levels[batch][token] = level;
    }

    /// The mask of a range of the tokens, in every sequence.
    pub fn window(&self, tokens: Range<usize>) -> Self {
        let start_levels = self.start_levels.iter().map(|sequence| sequence[tokens.clone()].to_vec()).collect();
        let (levels, values) = (self.levels.window(tokens.clone()), self.values.window(tokens));
        Self { levels, values, start_levels, channels_of_group: self.channels_of_group.clone() }
    }

    /// Conditions the sampled noise groups of the first `tokens` tokens of every sequence on their values in `x`, at
    /// level 0.
    ///
    /// A sliding window uses this: its first tokens are the last ones of the window before. `x`: `[batch, token,
    /// channel]`.
    pub fn condition_sampled(&mut self, tokens: usize, x: &Tokens) {
        for b in 0..self.levels.batch {
            for t in 0..tokens {
                let (levels, values, from) = (self.levels.at_mut(b, t), self.values.at_mut(b, t), x.at(b, t));
                for (level, channels) in levels.iter_mut().zip(&self.channels_of_group).filter(|(l, _)| l.is_nan()) {
                    *level = 0.0;
                    channels.iter().for_each(|&c| values[c] = from[c]);
                }
            }
        }
    }

    /// Number of sequences.
    pub fn batch(&self) -> usize {
        self.levels.batch
    }

    /// Tokens per sequence.
    pub fn tokens(&self) -> usize {
        self.levels.tokens
    }

    /// True if the noise group is sampled, false if it is conditioned.
    pub fn is_sampled(&self, batch: usize, token: usize, noise_group: usize) -> bool {
        self.levels.at(batch, token)[noise_group].is_nan()
    }

    /// The levels of all noise groups, `[batch, token, noise_group]`, when the scheduling matrix is at `row`.
    ///
    /// `row`: one level per token. A conditioned group has its own level. A sampled group of token `t` has `row[t]`, or
    /// the token's start level where that is lower.
    pub fn levels(&self, row: &[f32]) -> Levels {
        let mut levels = self.levels.clone();
        let start_levels = self.start_levels.iter().flatten();
        for ((i, of_token), start) in levels.data.chunks_mut(levels.noise_groups).enumerate().zip(start_levels) {
            let level = row[i % row.len()].min(*start);
            of_token.iter_mut().filter(|l| l.is_nan()).for_each(|l| *l = level);
        }
        levels
    }

    /// Writes the conditioned values into `x`, `[batch, token, channel]`, each scaled by the `alpha` of its level.
    ///
    /// Sampled noise groups, and those conditioned at level 1, keep what `x` holds: noise.
    pub fn apply(&self, x: &mut Tokens, schedule: NoiseSchedule) {
        for b in 0..x.batch {
            for t in 0..x.tokens {
                let (levels, values, to) = (self.levels.at(b, t), self.values.at(b, t), x.at_mut(b, t));
                for (level, channels) in levels.iter().zip(&self.channels_of_group) {
                    if *level < 1.0 {
                        let (alpha, _) = schedule.alpha_sigma(*level);
                        channels.iter().for_each(|&c| to[c] = alpha * values[c]);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NoiseScheduleKind;

    #[test]
    fn conditioned_values_enter_scaled_by_the_alpha_of_their_level() {
        // 2 frames of 2 modalities, one channel each: noise groups 0 to 3.
        let spec = TokenSpec::new(&[0, 1], 2);
        let mut known = ConditioningMask::unconditioned(1, 2, &spec);
        known.condition((0, 0, 0), 0.0, [5.0]).unwrap();
        known.condition((0, 0, 3), 0.5, [2.0]).unwrap();
        known.condition((0, 1, 2), 1.0, [9.0]).unwrap();
        assert_eq!(known.levels(&[0.7, 0.8]).data, [0.0, 0.7, 0.7, 0.5, 0.8, 0.8, 1.0, 0.8]);
        let mut x = Tokens { batch: 1, tokens: 2, channels: 4, data: vec![0.1; 8] };
        known.apply(&mut x, NoiseSchedule(NoiseScheduleKind::Cosine));
        // Cosine schedule at 0.5: alpha = cos(pi / 4). Groups at level 1 and sampled groups keep their noise.
        let half = std::f32::consts::FRAC_PI_4.cos() * 2.0;
        assert_eq!(x.data, [5.0, 0.1, 0.1, half, 0.1, 0.1, 0.1, 0.1]);
        assert!(known.is_sampled(0, 0, 1) && !known.is_sampled(0, 1, 2));
    }

    #[test]
    fn a_start_level_holds_until_the_row_is_lower() {
        let mut known = ConditioningMask::unconditioned(2, 3, &TokenSpec::new(&[0, 1], 1));
        known.set_start_level((1, 1), 0.6);
        known.set_start_level((1, 2), 0.6);
        // A conditioned group keeps its own level.
        known.condition((1, 1, 0), 0.9, [0.0]).unwrap();
        assert_eq!(known.levels(&[1.0, 0.8, 0.5]).data, [1.0, 1.0, 0.8, 0.8, 0.5, 0.5, 1.0, 1.0, 0.9, 0.6, 0.5, 0.5]);
        assert_eq!(known.window(2..3).levels(&[1.0]).data, [1.0, 1.0, 0.6, 0.6]);
    }

    #[test]
    fn a_level_outside_the_unit_interval_is_refused() {
        let mut known = ConditioningMask::unconditioned(1, 1, &TokenSpec::new(&[0], 1));
        assert_eq!(known.condition((0, 0, 0), 1.5, [0.0]), Err(LevelError(1.5)));
        assert!(known.condition((0, 0, 0), f32::NAN, [0.0]).is_err());
    }
}
