//! The plan that lives across ticks: shifted by the time that has passed, raised by a little noise, denoised again. In the
//! streaming mode every candidate does, at levels of its own; in the full mode the chosen one does, clean, beside new ones.
//!
//! ```text
//! level 1 |            ____ fresh noise          level of token t after a tick: end[t], the pyramid's row in which the
//!         |        ___/                          nearest token is clean. Before its denoising steps: start[t], higher by
//!         |    ___/  end                         `refresh`, and by at least one token's lag, which a shift may need
//!       0 |___/________________ token
//! ```

use df_diffusion::{ConditioningMask, Levels, NoiseSchedule, Solver, TokenSpec, Tokens};

/// The future tokens of every sequence, at the levels in which the last tick left them.
#[derive(Clone, Debug)]
pub struct Buffer {
    /// `[batch, token, channel]`.
    pub x: Tokens,
    pub levels: Levels,
    /// The level of each token where nothing is known.
    pub row: Vec<f32>,
    /// The tick of the first frame, nanoseconds.
    pub first_ns: i64,
}

/// The levels of a tick: where its denoising starts and ends, per token.
pub struct Descent {
    pub start: Vec<f32>,
    pub end: Vec<f32>,
}

impl Descent {
    /// `end`: the row that a tick ends with. `row`: where the last tick ended, which was another row if settings have changed or
    /// the time was short. `shift`: frames that have passed.
    pub fn new(end: &[f32], row: &[f32], refresh: f32, shift: usize, frame_stack: usize) -> Self {
        // A frame may come from so many tokens further back, and nothing can be raised to a lower level.
        let lag = shift.div_ceil(frame_stack);
        let came_from = |token: usize| end.get(token + lag).zip(row.get(token + lag)).map_or(1.0, |(a, b)| a.max(*b));
        let start = |token: usize| (end[token] + refresh).max(came_from(token)).min(1.0);
        Self { start: (0..end.len()).map(start).collect(), end: end.to_vec() }
    }
}

impl Buffer {
    /// One clean sequence.
    pub fn clean(x: Tokens, noise_groups: usize, first_ns: i64) -> Self {
        let levels = Levels::filled(x.batch, x.tokens, noise_groups, 0.0);
        Self { levels, row: vec![0.0; x.tokens], x, first_ns }
    }

    /// Whether the plan can be continued: the same sizes, and not wholly past.
    pub fn continues(&self, batch: usize, tokens: usize, shift: usize, frame_stack: usize) -> bool {
        self.x.batch == batch && self.x.tokens == tokens && shift < tokens * frame_stack
    }

    /// The buffer `shift` frames later: every frame raised to its token's level in `start` by the forward process, and `noise`
    /// where there was nothing yet. `noise` is standard normal of the buffer's shape, or of more sequences, which all continue
    /// the buffer's only one.
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
            let of_buffer = b % self.x.batch;
            let (old, to) = (self.x.sequence(of_buffer), x.sequence_mut(b));
            for k in 0..frames - shift.min(frames) {
                let (from_token, from_frame) = ((k + shift) / spec.frame_stack, (k + shift) % spec.frame_stack);
                let levels = self.levels.at(of_buffer, from_token);
                let level = start[k / spec.frame_stack];
                for c in 0..frame {
                    let noise_group = spec.noise_group_of_channel[from_frame * frame + c];
                    let (keep, fresh) = Solver::renoise(schedule, levels[noise_group], level);
                    let value = &mut to[k * frame + c];
                    *value = keep * old[(k + shift) * frame + c] + fresh * *value;
                }
            }
        }
        x
    }

    /// Gives candidate `chosen` and candidate 0 each other's place: the first candidate goes on with what was chosen.
    pub fn put_first(&mut self, chosen: usize, rollouts: usize) {
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

/// Lets the first `sequences` begin with what a buffer holds for them, `future`, at the levels `start` of its tokens; the others stay
/// the noise that they are.
pub fn warm_start(
    x: &mut Tokens,
    known: &mut ConditioningMask,
    first: usize,
    future: &Tokens,
    start: &[f32],
    sequences: usize,
) {
    for b in 0..sequences {
        for (t, level) in start.iter().enumerate() {
            x.at_mut(b, first + t).copy_from_slice(future.at(b, t));
            known.set_start_level((b, first + t), *level);
        }
    }
}

/// Gives the futures of each candidate the first one's `shared` tokens from token `first` on: what they share must be one
/// sample, and a mean of samples is none.
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
    use df_diffusion::SchedulingMatrix;
    use df_diffusion::{MatrixKind, NoiseScheduleKind};

    #[test]
    fn levels_of_a_tick() {
        // 4 rows a token, one row between tokens; after 4 rows the first one is clean.
        let matrix = SchedulingMatrix::new(MatrixKind::Pyramid, 5, 4, 1.0).unwrap().truncated(4);
        let row = matrix.row(4);
        let start = |refresh, shift| Descent::new(row, row, refresh, shift, 2).start;
        assert_eq!(Descent::new(row, row, 0.0, 1, 2).end, [0.0, 0.25, 0.5, 0.75, 1.0]);
        // No refresh, a shift of one frame of two: the next token's level is needed.
        assert_eq!(start(0.0, 1), [0.25, 0.5, 0.75, 1.0, 1.0]);
        // A refresh of 0.5 is more than that; a shift of three frames needs two tokens' levels, as much.
        assert_eq!(start(0.5, 1), [0.5, 0.75, 1.0, 1.0, 1.0]);
        assert_eq!(start(0.0, 3), [0.5, 0.75, 1.0, 1.0, 1.0]);
        // The last tick left its tokens noisier than this one will: what is there cannot be lowered.
        assert_eq!(Descent::new(row, &[0.5, 0.6, 0.7, 1.0, 1.0], 0.0, 1, 2).start, [0.6, 0.7, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn a_shift_moves_frames_and_raises_them() {
        // 2 tokens of 2 frames of 1 channel; clean 10, 20 and 30, 40 at level 0.5.
        let schedule = NoiseSchedule(NoiseScheduleKind::Cosine);
        let spec = TokenSpec::new(&[0], 2);
        let mut levels = Levels::filled(1, 2, 2, 0.0);
        levels.at_mut(0, 1).fill(0.5);
        let x = Tokens { batch: 1, tokens: 2, channels: 2, data: vec![10.0, 20.0, 30.0, 40.0] };
        let buffer = Buffer { x, levels, row: vec![0.0, 0.5], first_ns: 0 };
        let noise = Tokens { batch: 1, tokens: 2, channels: 2, data: vec![0.0, 0.0, 0.0, 7.0] };
        let shifted = buffer.shifted(1, &[0.5, 1.0], noise, &spec, schedule);
        // 20 raised from 0 to 0.5: times cos(pi/4); 30 is there already; 40 to level 1: nothing left; then fresh noise.
        let expected = [20.0 * std::f32::consts::FRAC_PI_4.cos(), 30.0, 0.0, 7.0];
        assert!(shifted.data.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4), "{:?}", shifted.data);
    }

    #[test]
    fn what_is_shared_is_the_first_futures_sample_and_the_chosen_one_comes_first() {
        let mut x = Tokens { batch: 4, tokens: 2, channels: 1, data: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0] };
        tie_prefix(&mut x, 2, 0, 1);
        assert_eq!(x.data, [1.0, 2.0, 1.0, 4.0, 5.0, 6.0, 5.0, 8.0]);
        let mut buffer = Buffer { x, levels: Levels::filled(4, 2, 1, 0.0), row: vec![0.0; 2], first_ns: 0 };
        buffer.put_first(1, 2);
        assert_eq!(buffer.x.data, [5.0, 6.0, 5.0, 8.0, 1.0, 2.0, 1.0, 4.0]);
    }
}
