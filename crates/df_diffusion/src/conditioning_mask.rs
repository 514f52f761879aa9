//! What is known of token sequences, and how well: levels that stay while everything else is sampled. Every question to
//! the network (plan, predict, infer, fill) is one of these.

use std::ops::Range;

use super::{Levels, NoiseSchedule, TokenSpec, Tokens};

/// Known noise groups have a fixed noise level throughout sampling; the others are sampled.
///
/// A value that is held at level `s` is a measurement of the clean value with normal noise of deviation `sigma(s) / alpha(s)`:
/// it enters as `alpha value`, which has exactly the distribution of the forward process. Level 0: the value itself. Level 1:
/// nothing is known of it, and nothing is asked: its noise stays noise, which leaves it out of the question.
#[derive(Clone, Debug)]
pub struct ConditioningMask {
    /// Not a number where the noise group is sampled.
    levels: Levels,
    values: Tokens,
    /// The level that sampling of a token begins with, `[batch][token]`; 1: from noise.
    begins: Vec<Vec<f32>>,
    channels_of_slot: Vec<Vec<usize>>,
}

/// A noise level that is none.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("a noise level of {0} lies outside [0, 1]")]
pub struct LevelError(pub f32);

impl ConditioningMask {
    /// Nothing is known: every noise group is sampled.
    pub fn nothing(batch: usize, tokens: usize, spec: &TokenSpec) -> Self {
        let mut channels_of_slot = vec![Vec::new(); spec.noise_groups()];
        spec.noise_group_of_channel.iter().enumerate().for_each(|(c, &noise_group)| channels_of_slot[noise_group].push(c));
        Self {
            levels: Levels::filled(batch, tokens, spec.noise_groups(), f32::NAN),
            values: Tokens::zeros(batch, tokens, spec.channels()),
            begins: vec![vec![1.0; tokens]; batch],
            channels_of_slot,
        }
    }

    /// Holds one noise group at `level`; `values`: one normalised value per channel of the noise group.
    ///
    /// # Errors
    /// A level outside [0, 1].
    pub fn hold(
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
        self.channels_of_slot[noise_group].iter().zip(values).for_each(|(&c, value)| of_token[c] = value);
        Ok(())
    }

    /// What stands in the sampled noise groups of a token is a sample of this `level` already: they stay there until the others of their
    /// row come by.
    pub fn begin(&mut self, (batch, token): (usize, usize), level: f32) {
        self.begins[batch][token] = level;
    }

    /// The part that concerns some of the tokens.
    pub fn window(&self, tokens: Range<usize>) -> Self {
        let begins = self.begins.iter().map(|of_sequence| of_sequence[tokens.clone()].to_vec()).collect();
        let (levels, values) = (self.levels.window(tokens.clone()), self.values.window(tokens));
        Self { levels, values, begins, channels_of_slot: self.channels_of_slot.clone() }
    }

    /// Holds the first tokens of every sequence at level 0 with the values of `x`, where they were to be sampled.
    pub fn hold_sampled(&mut self, tokens: usize, x: &Tokens) {
        for b in 0..self.levels.batch {
            for t in 0..tokens {
                let (levels, values, from) = (self.levels.at_mut(b, t), self.values.at_mut(b, t), x.at(b, t));
                for (level, channels) in levels.iter_mut().zip(&self.channels_of_slot).filter(|(l, _)| l.is_nan()) {
                    *level = 0.0;
                    channels.iter().for_each(|&c| values[c] = from[c]);
                }
            }
        }
    }

    pub fn batch(&self) -> usize {
        self.levels.batch
    }

    pub fn tokens(&self) -> usize {
        self.levels.tokens
    }

    /// Whether a noise group is sampled.
    pub fn is_sampled(&self, batch: usize, token: usize, noise_group: usize) -> bool {
        self.levels.at(batch, token)[noise_group].is_nan()
    }

    /// The levels while the sampled noise groups of token `t` stand at `sampled[t]`, or lower where they began lower,
    /// `[batch, token, noise_group]`.
    pub fn levels(&self, sampled: &[f32]) -> Levels {
        let mut levels = self.levels.clone();
        let begins = self.begins.iter().flatten();
        for ((i, of_token), begin) in levels.data.chunks_mut(levels.noise_groups).enumerate().zip(begins) {
            let level = sampled[i % sampled.len()].min(*begin);
            of_token.iter_mut().filter(|l| l.is_nan()).for_each(|l| *l = level);
        }
        levels
    }

    /// Puts the known values into `x`; sampled noise groups, and those at level 1, keep what is there (noise).
    pub fn put(&self, x: &mut Tokens, schedule: NoiseSchedule) {
        for b in 0..x.batch {
            for t in 0..x.tokens {
                let (levels, values, to) = (self.levels.at(b, t), self.values.at(b, t), x.at_mut(b, t));
                for (level, channels) in levels.iter().zip(&self.channels_of_slot) {
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
    fn known_values_enter_by_their_level() {
        // 2 frames of 2 modalities, one channel each: noise groups 0 to 3.
        let spec = TokenSpec::new(&[0, 1], 2);
        let mut known = ConditioningMask::nothing(1, 2, &spec);
        known.hold((0, 0, 0), 0.0, [5.0]).unwrap();
        known.hold((0, 0, 3), 0.5, [2.0]).unwrap();
        known.hold((0, 1, 2), 1.0, [9.0]).unwrap();
        assert_eq!(known.levels(&[0.7, 0.8]).data, [0.0, 0.7, 0.7, 0.5, 0.8, 0.8, 1.0, 0.8]);
        let mut x = Tokens { batch: 1, tokens: 2, channels: 4, data: vec![0.1; 8] };
        known.put(&mut x, NoiseSchedule(NoiseScheduleKind::Cosine));
        // Cosine schedule at 0.5: alpha = cos(pi / 4). Level 1 keeps its noise, and so does what is sampled.
        let half = std::f32::consts::FRAC_PI_4.cos() * 2.0;
        assert_eq!(x.data, [5.0, 0.1, 0.1, half, 0.1, 0.1, 0.1, 0.1]);
        assert!(known.is_sampled(0, 0, 1) && !known.is_sampled(0, 1, 2));
    }

    #[test]
    fn what_begins_lower_waits_for_its_row() {
        let mut known = ConditioningMask::nothing(2, 3, &TokenSpec::new(&[0, 1], 1));
        known.begin((1, 1), 0.6);
        known.begin((1, 2), 0.6);
        // What is held stays where it is held.
        known.hold((1, 1, 0), 0.9, [0.0]).unwrap();
        assert_eq!(known.levels(&[1.0, 0.8, 0.5]).data, [1.0, 1.0, 0.8, 0.8, 0.5, 0.5, 1.0, 1.0, 0.9, 0.6, 0.5, 0.5]);
        assert_eq!(known.window(2..3).levels(&[1.0]).data, [1.0, 1.0, 0.6, 0.6]);
    }

    #[test]
    fn a_level_that_is_none_is_refused() {
        let mut known = ConditioningMask::nothing(1, 1, &TokenSpec::new(&[0], 1));
        assert_eq!(known.hold((0, 0, 0), 1.5, [0.0]), Err(LevelError(1.5)));
        assert!(known.hold((0, 0, 0), f32::NAN, [0.0]).is_err());
    }
}
