//! Warm start: the last plan, shifted by the time that has passed and re-noised, is denoised again.
//!
//! In the streaming mode every sequence is warm-started, at levels that rise with the token. In the full mode the chosen
//! sequence is warm-started beside new ones.
//!
//! ```text
//! level 1 |            ____ new noise            end[t]: level of token t after a tick, the pyramid's row in which the
//!         |        ___/                          nearest token is clean. start[t]: its level before the denoising steps
//!         |    ___/  end                         of a tick, higher by `renoise_level`, and at least as high as the
//!       0 |___/________________ token            levels of the tokens that the shift takes frames from.
//! ```

use df_diffusion::{ConditioningMask, Levels, NoiseSchedule, Solver, TokenSpec, Tokens};

/// The future tokens of a plan, at the levels in which the last tick left them.
#[derive(Clone, Debug)]
pub struct PlanBuffer {
    /// `[batch, token, channel]`, normalised.
    pub x: Tokens,
    /// `[batch, token, noise_group]`.
    pub levels: Levels,
    /// The level of each token's sampled noise groups, `[token]`.
    pub row: Vec<f32>,
    /// The tick of the first frame, nanoseconds.
    pub first_ns: i64,
}

/// The levels of a tick, per token.
pub struct RenoiseSchedule {
    /// Before the denoising steps of the tick.
    pub start: Vec<f32>,
    /// After them.
    pub end: Vec<f32>,
}

impl RenoiseSchedule {
    /// `end`: the row that the tick ends with. `previous`: the row that the last tick ended with. They differ if the
    /// configuration has changed or the time was short. `shift`: frames that have passed.
    pub fn new(end: &[f32], previous: &[f32], renoise_level: f32, shift: usize, frame_stack: usize) -> Self {
        // A frame may come from a token so much further back, and re-noising cannot lower its level.
        let lag = shift.div_ceil(frame_stack);
        let origin_level =
            |token: usize| end.get(token + lag).zip(previous.get(token + lag)).map_or(1.0, |(a, b)| a.max(*b));
        let start = |token: usize| (end[token] + renoise_level).max(origin_level(token)).min(1.0);
        Self { start: (0..end.len()).map(start).collect(), end: end.to_vec() }
    }
}

impl PlanBuffer {
    /// A buffer of clean tokens `x`, `[batch, token, channel]`.
    pub fn clean(x: Tokens, noise_groups: usize, first_ns: i64) -> Self {
        let levels = Levels::filled(x.batch, x.tokens, noise_groups, 0.0);
        Self { levels, row: vec![0.0; x.tokens], x, first_ns }
    }

    /// Whether the buffer holds this number of sequences and tokens.
    pub fn has_size(&self, batch: usize, tokens: usize) -> bool {
        self.x.batch == batch && self.x.tokens == tokens
    }

    /// Frames from the buffer's first frame to a frame at `first_ns`. `None` if that lies before the buffer or behind it.
    pub fn shift_to(&self, first_ns: i64, period_ns: i64, frame_stack: usize) -> Option<usize> {
        // To the nearest tick: a live tick may be some microseconds off the grid.
        let passed_ns = first_ns - self.first_ns + period_ns / 2;
        let shift = usize::try_from(passed_ns.div_euclid(period_ns)).ok()?;
        (shift < self.x.tokens * frame_stack).then_some(shift)
    }

    /// The buffer `shift` frames later. Every frame is re-noised to the level `start` of its token; frames behind the buffer's
    /// end are `noise`.
    ///
    /// # Shapes
    /// `noise` and the result are `[batch, token, channel]`, standard normal. The batch of `noise` is a multiple of the
    /// buffer's: its sequences start from those of the buffer in turn.
    pub fn shifted(
        &self,
        shift: usize,
        start: &[f32],
        noise: Tokens,
        spec: &TokenSpec,
        schedule: NoiseSchedule,
    ) -> Tokens {
        let mut x = noise;
        let frame = x.channels / spec.frame_stack;
        let frames = x.tokens * spec.frame_stack;
        for b in 0..x.batch {
            let own = b % self.x.batch;
            let (old, new) = (self.x.sequence(own), x.sequence_mut(b));
            for k in 0..frames - shift.min(frames) {
                let (from_token, from_frame) = ((k + shift) / spec.frame_stack, (k + shift) % spec.frame_stack);
                let levels = self.levels.at(own, from_token);
                let level = start[k / spec.frame_stack];
                for c in 0..frame {
                    let noise_group = spec.noise_group_of_channel[from_frame * frame + c];
                    let (keep, add) = Solver::renoise(schedule, levels[noise_group], level);
                    let value = &mut new[k * frame + c];
                    *value = keep * old[(k + shift) * frame + c] + add * *value;
                }
            }
        }
        x
    }

    /// Exchanges candidate `chosen` and candidate 0, so that the first candidate continues the chosen plan.
    pub fn swap_to_front(&mut self, chosen: usize, rollouts: usize) {
        let (values, levels) =
            (rollouts * self.x.tokens * self.x.channels, rollouts * self.levels.tokens * self.levels.noise_groups);
        for i in 0..values {
            self.x.data.swap(i, chosen * values + i);
        }
        for i in 0..levels {
            self.levels.data.swap(i, chosen * levels + i);
        }
    }
}

/// Warm-starts the first `sequences` sequences: copies `future` into `x` from token `first` on, and records the levels
/// `start` of its tokens in the mask. The other sequences keep their noise.
///
/// # Shapes
/// `x` and `future` are `[batch, token, channel]`; `start` has one level per token of `future`.
pub fn warm_start(
    x: &mut Tokens,
    mask: &mut ConditioningMask,
    first: usize,
    future: &Tokens,
    start: &[f32],
    sequences: usize,
) {
    for b in 0..sequences {
        for (t, level) in start.iter().enumerate() {
            x.at_mut(b, first + t).copy_from_slice(future.at(b, t));
            mask.set_start_level((b, first + t), *level);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use df_diffusion::{MatrixKind, NoiseScheduleKind, SchedulingMatrix};

    #[test]
    fn a_tick_starts_above_the_levels_that_the_shift_brings() {
        // 4 rows a token, one row between tokens; after 4 rows the first one is clean.
        let matrix = SchedulingMatrix::new(MatrixKind::Pyramid, 5, 4, 1.0).unwrap().truncated(4);
        let row = matrix.row(4);
        let start = |renoise_level, shift| RenoiseSchedule::new(row, row, renoise_level, shift, 2).start;
        assert_eq!(RenoiseSchedule::new(row, row, 0.0, 1, 2).end, [0.0, 0.25, 0.5, 0.75, 1.0]);
        // Without re-noising, a shift of one frame of two: the next token's level is needed.
        assert_eq!(start(0.0, 1), [0.25, 0.5, 0.75, 1.0, 1.0]);
        // Re-noising by 0.5 is more than that; a shift of three frames needs two tokens' levels, as much.
        assert_eq!(start(0.5, 1), [0.5, 0.75, 1.0, 1.0, 1.0]);
        assert_eq!(start(0.0, 3), [0.5, 0.75, 1.0, 1.0, 1.0]);
        // The last tick left its tokens noisier than this tick will. Re-noising cannot lower their levels.
        assert_eq!(RenoiseSchedule::new(row, &[0.5, 0.6, 0.7, 1.0, 1.0], 0.0, 1, 2).start, [0.6, 0.7, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn a_shift_moves_frames_and_renoises_them() {
        // 2 tokens of 2 frames of 1 channel; clean 10, 20 and 30, 40 at level 0.5.
        let schedule = NoiseSchedule(NoiseScheduleKind::Cosine);
        let spec = TokenSpec::new(&[0], 2);
        let mut levels = Levels::filled(1, 2, 2, 0.0);
        levels.at_mut(0, 1).fill(0.5);
        let x = Tokens { batch: 1, tokens: 2, channels: 2, data: vec![10.0, 20.0, 30.0, 40.0] };
        let buffer = PlanBuffer { x, levels, row: vec![0.0, 0.5], first_ns: 0 };
        let noise = Tokens { batch: 1, tokens: 2, channels: 2, data: vec![0.0, 0.0, 0.0, 7.0] };
        let shifted = buffer.shifted(1, &[0.5, 1.0], noise, &spec, schedule);
        // 20 re-noised from 0 to 0.5: times cos(pi/4). 30 is at 0.5 already. 40 at level 1: 0 of it remains. Then new noise.
        let expected = [20.0 * std::f32::consts::FRAC_PI_4.cos(), 30.0, 0.0, 7.0];
        assert!(shifted.data.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4), "{:?}", shifted.data);
    }

    #[test]
    fn the_chosen_candidate_changes_places_with_the_first() {
        let x = Tokens { batch: 4, tokens: 2, channels: 1, data: vec![1.0, 2.0, 1.0, 4.0, 5.0, 6.0, 5.0, 8.0] };
        let mut buffer = PlanBuffer::clean(x, 1, 0);
        buffer.swap_to_front(1, 2);
        assert_eq!(buffer.x.data, [5.0, 6.0, 5.0, 8.0, 1.0, 2.0, 1.0, 4.0]);
    }

    #[test]
    fn a_buffer_is_shifted_to_the_nearest_tick_and_not_beyond_its_ends() {
        // 3 tokens of 2 frames, 100 ns a tick, from 1000 ns on.
        let buffer = PlanBuffer::clean(Tokens::zeros(1, 3, 2), 1, 1000);
        let shift = |first_ns| buffer.shift_to(first_ns, 100, 2);
        assert_eq!([shift(1000), shift(1240), shift(1260), shift(1500)], [Some(0), Some(2), Some(3), Some(5)]);
        assert_eq!([shift(1600), shift(900)], [None, None]);
    }
}
