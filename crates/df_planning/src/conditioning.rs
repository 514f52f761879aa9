//! What a plan is conditioned on, as noise levels: which noise groups of which tokens are known, how well, and their values.

use super::PlanRequest;
use df_core::{ACTION_MODALITY, Frame, Layout, Normaliser};
use df_diffusion::{ConditioningMask, LevelError, NoiseSchedule, TokenSpec};

/// Frames and values to noise groups.
pub struct Conditioning<'a> {
    pub layout: &'a Layout,
    pub normaliser: &'a Normaliser,
    pub schedule: NoiseSchedule,
    pub spec: &'a TokenSpec,
    /// Whether the history's actions are known.
    pub history_actions: bool,
}

/// A future observation that is taken as known: the goal.
pub struct KnownObservation<'a> {
    pub modality: usize,
    /// In units, one per channel of the modality.
    pub values: &'a [f64],
    /// Per sequence: the future frames in which it holds.
    pub frames: &'a [std::ops::Range<usize>],
    /// Of these, every so many-th.
    pub every: usize,
}

impl Conditioning<'_> {
    /// History known as well as it was measured and, where a modality was missing, at level 1, as its actions are where they are
    /// to be hidden; the committed action, if there is one, which is the action of the first future frame, at level 0; everything
    /// else is sampled.
    ///
    /// # Errors
    /// A level outside [0, 1].
    pub fn of_request(
        &self,
        request: &PlanRequest,
        batch: usize,
        horizon: usize,
    ) -> Result<ConditioningMask, LevelError> {
        let history = request.history.frames().len();
        let tokens = history / self.layout.frame_stack + horizon;
        let mut known = ConditioningMask::unconditioned(batch, tokens, self.spec);
        let committed: Option<Vec<f32>> = request.committed.as_ref().map(|c| c.iter().map(|&v| v as f32).collect());
        for b in 0..batch {
            for (k, frame) in request.history.frames().enumerate() {
                for m in 0..self.layout.modalities.len() {
                    if m == ACTION_MODALITY && !self.history_actions {
                        self.hold(&mut known, b, k, m, 1.0, &[])?;
                        continue;
                    }
                    self.hold_frame(&mut known, b, k, m, frame)?;
                }
            }
            if let Some(committed) = &committed {
                self.hold(&mut known, b, history, ACTION_MODALITY, 0.0, committed)?;
            }
        }
        Ok(known)
    }

    /// Adds a known future observation; `first`: the first future frame.
    ///
    /// # Errors
    /// Never, as it stands: level 0 is a level.
    pub fn know(
        &self,
        known: &mut ConditioningMask,
        first: usize,
        observation: &KnownObservation,
    ) -> Result<(), LevelError> {
        let values: Vec<f32> = observation.values.iter().map(|&v| v as f32).collect();
        let frames = known.tokens() * self.layout.frame_stack;
        for (b, range) in observation.frames.iter().enumerate() {
            for frame in range.clone().step_by(observation.every).map(|f| first + f).filter(|f| *f < frames) {
                self.hold(known, b, frame, observation.modality, 0.0, &values)?;
            }
        }
        Ok(())
    }

    /// Holds one modality of frame `k` as it was observed: missing at level 1, exact at level 0, measured with noise at the
    /// level of its deviation.
    ///
    /// # Errors
    /// A deviation that is not a number.
    pub fn hold_frame(
        &self,
        known: &mut ConditioningMask,
        b: usize,
        k: usize,
        m: usize,
        frame: &Frame,
    ) -> Result<(), LevelError> {
        let channels = self.layout.modalities[m].channels.clone();
        let level = if frame.present[m] { self.level(frame, m) } else { 1.0 };
        self.hold(known, b, k, m, level, &frame.values[channels])
    }

    /// The channels of a modality share a level: that of the least certain one.
    fn level(&self, frame: &Frame, m: usize) -> f32 {
        let channels = self.layout.modalities[m].channels.clone();
        let normalised = |c: usize| frame.std.get(c).map_or(0.0, |d| d / self.normaliser.noise_scale[c]);
        self.schedule.level_of(channels.map(normalised).fold(0.0, f32::max))
    }

    fn hold(
        &self,
        known: &mut ConditioningMask,
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
        known.condition((b, token, noise_group), level, normalised)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use df_diffusion::NoiseScheduleKind;

    #[test]
    fn a_goal_is_known_at_the_moments_of_its_range() {
        let layout = Layout::new(2, [("action".into(), vec!["u".into()]), ("x".into(), vec!["x".into()])]);
        let normaliser = Normaliser::new(vec![0.0, 1.0], vec![1.0, 2.0]);
        let spec = TokenSpec::new(&layout.modality_of_channel(), layout.frame_stack);
        let schedule = NoiseSchedule(NoiseScheduleKind::Cosine);
        let conditioning =
            Conditioning { layout: &layout, normaliser: &normaliser, schedule, spec: &spec, history_actions: true };
        let mut known = ConditioningMask::unconditioned(2, 4, &spec);
        // Two frames a token. Of 3..7 after frame 2 every third, 5 and 8, which is beyond the end; of the other sequence none.
        let frames = [3..7, 0..0];
        let goal = KnownObservation { modality: 1, values: &[5.0], frames: &frames, every: 3 };
        conditioning.know(&mut known, 2, &goal).unwrap();
        let held = |b: usize| -> Vec<usize> {
            (0..8).filter(|frame| !known.is_sampled(b, frame / 2, frame % 2 * 2 + 1)).collect()
        };
        assert_eq!((held(0), held(1)), (vec![5], vec![]));
        // Of 0..4 every one: 2 to 5.
        let frames = [0..0, 0..4];
        conditioning.know(&mut known, 2, &KnownObservation { every: 1, frames: &frames, ..goal }).unwrap();
        let held: Vec<usize> = (0..8).filter(|frame| !known.is_sampled(1, frame / 2, frame % 2 * 2 + 1)).collect();
        assert_eq!(held, [2, 3, 4, 5]);
        let mut x = df_diffusion::Tokens::zeros(2, 4, spec.channels());
        known.apply(&mut x, schedule);
        // (5 - 1) / 2, in the second frame of token 2.
        assert_eq!(x.at_mut(0, 2)[3], 2.0);
    }
}
