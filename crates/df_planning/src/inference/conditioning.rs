//! Conditioning: known frames and values as noise levels of a [`ConditioningMask`].

use std::ops::Range;

use df_core::{ACTION_MODALITY, Frame, Layout, Normaliser};
use df_diffusion::{ConditioningMask, LevelError, NoiseSchedule, TokenSpec};

/// Writes frames and values, in units, into a mask of noise groups.
pub struct Conditioning<'a> {
    /// Groups and channels of a frame.
    pub layout: &'a Layout,
    /// From units to normalised values.
    pub normaliser: &'a Normaliser,
    /// Noise level of a standard deviation.
    pub schedule: NoiseSchedule,
    /// Noise groups of a token.
    pub spec: &'a TokenSpec,
    /// Whether the actions of the history are known.
    pub history_actions: bool,
}

/// A future observation that is taken as known, such as the goal.
pub struct KnownObservation<'a> {
    /// The group, as index of [`Layout::modalities`].
    pub modality: usize,
    /// One value per channel of the group, in units.
    pub values: &'a [f64],
    /// Per sequence: the future frames in which it holds, counted from the first future frame.
    pub frames: &'a [Range<usize>],
    /// Frames between two of these that are known; 1: all of them.
    pub every: usize,
}

impl Conditioning<'_> {
    /// Conditions sequence `b` on a history that begins at frame 0.
    ///
    /// A measured group is known at the level of its standard deviation. A missing group is at level 1. Actions are at level 1
    /// if [`Conditioning::history_actions`] is false.
    ///
    /// # Errors
    /// A standard deviation that is not a number.
    pub fn condition_history<'f>(
        &self,
        mask: &mut ConditioningMask,
        b: usize,
        history: impl Iterator<Item = &'f Frame>,
    ) -> Result<(), LevelError> {
        for (k, frame) in history.enumerate() {
            for m in 0..self.layout.modalities.len() {
                if m == ACTION_MODALITY && !self.history_actions {
                    self.condition(mask, b, k, m, 1.0, &[])?;
                } else {
                    self.condition_frame(mask, b, k, m, frame)?;
                }
            }
        }
        Ok(())
    }

    /// Conditions sequence `b` on the action of frame `k`, which is already on its way, at level 0.
    ///
    /// # Errors
    /// That of the mask. Level 0 is always valid.
    pub fn condition_committed_action(
        &self,
        mask: &mut ConditioningMask,
        b: usize,
        k: usize,
        action: &[f32],
    ) -> Result<(), LevelError> {
        self.condition(mask, b, k, ACTION_MODALITY, 0.0, action)
    }

    /// Conditions every sequence on a future observation, at level 0. `first`: the first future frame.
    ///
    /// # Errors
    /// That of the mask. Level 0 is always valid.
    pub fn condition_observation(
        &self,
        mask: &mut ConditioningMask,
        first: usize,
        observation: &KnownObservation,
    ) -> Result<(), LevelError> {
        let values: Vec<f32> = observation.values.iter().map(|&v| v as f32).collect();
        let frames = mask.tokens() * self.layout.frame_stack;
        for (b, range) in observation.frames.iter().enumerate() {
            for frame in range.clone().step_by(observation.every).map(|f| first + f).filter(|f| *f < frames) {
                self.condition(mask, b, frame, observation.modality, 0.0, &values)?;
            }
        }
        Ok(())
    }

    /// Conditions sequence `b` on group `m` of a frame, which becomes frame `k`.
    ///
    /// The level is 1 where the group is missing, 0 where it is exact, and else the level of its standard deviation.
    ///
    /// # Errors
    /// A standard deviation that is not a number.
    pub fn condition_frame(
        &self,
        mask: &mut ConditioningMask,
        b: usize,
        k: usize,
        m: usize,
        frame: &Frame,
    ) -> Result<(), LevelError> {
        let channels = self.layout.modalities[m].channels.clone();
        let level = if frame.present[m] { self.level(frame, m) } else { 1.0 };
        self.condition(mask, b, k, m, level, &frame.values[channels])
    }

    /// The channels of a group share a level: that of the least certain one.
    fn level(&self, frame: &Frame, m: usize) -> f32 {
        let channels = self.layout.modalities[m].channels.clone();
        let normalised = |c: usize| frame.std.get(c).map_or(0.0, |d| d / self.normaliser.noise_scale[c]);
        self.schedule.level_of(channels.map(normalised).fold(0.0, f32::max))
    }

    fn condition(
        &self,
        mask: &mut ConditioningMask,
        b: usize,
        k: usize,
        m: usize,
        level: f32,
        values: &[f32],
    ) -> Result<(), LevelError> {
        let (token, within) = (k / self.layout.frame_stack, k % self.layout.frame_stack);
        let noise_group = within * self.layout.modalities.len() + m;
        let channels = self.layout.modalities[m].channels.clone();
        let normalised = channels.zip(values).map(|(c, &value)| self.normaliser.apply(c, value));
        mask.condition((b, token, noise_group), level, normalised)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use df_diffusion::NoiseScheduleKind;

    #[test]
    fn a_goal_is_known_in_the_frames_of_its_range() {
        let layout = Layout::new(2, [("action".into(), vec!["u".into()]), ("x".into(), vec!["x".into()])]);
        let normaliser = Normaliser::new(vec![0.0, 1.0], vec![1.0, 2.0]);
        let spec = TokenSpec::new(&layout.modality_of_channel(), layout.frame_stack);
        let schedule = NoiseSchedule(NoiseScheduleKind::Cosine);
        let conditioning =
            Conditioning { layout: &layout, normaliser: &normaliser, schedule, spec: &spec, history_actions: true };
        let mut mask = ConditioningMask::unconditioned(2, 4, &spec);
        // Two frames a token. Of 3..7 after frame 2 every third: 5, and 8, which is beyond the end. The other sequence: none.
        let frames = [3..7, 0..0];
        let goal = KnownObservation { modality: 1, values: &[5.0], frames: &frames, every: 3 };
        conditioning.condition_observation(&mut mask, 2, &goal).unwrap();
        let known = |mask: &ConditioningMask, b: usize| -> Vec<usize> {
            (0..8).filter(|frame| !mask.is_sampled(b, frame / 2, frame % 2 * 2 + 1)).collect()
        };
        assert_eq!((known(&mask, 0), known(&mask, 1)), (vec![5], vec![]));
        // Of 0..4 every one: 2 to 5.
        let frames = [0..0, 0..4];
        let throughout = KnownObservation { every: 1, frames: &frames, ..goal };
        conditioning.condition_observation(&mut mask, 2, &throughout).unwrap();
        assert_eq!(known(&mask, 1), [2, 3, 4, 5]);
        let mut x = df_diffusion::Tokens::zeros(2, 4, spec.channels());
        mask.apply(&mut x, schedule);
        // (5 - 1) / 2, in the second frame of token 2.
        assert_eq!(x.at_mut(0, 2)[3], 2.0);
    }
}
