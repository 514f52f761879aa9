//! Naive answers to queries, without a network: the baseline that an answer of the network must beat.

use std::ops::Range;

use df_core::Frame;
use df_data::Episode;

/// How to guess one channel in a range of frames, from the recorded values around it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Naive {
    /// The last value before the range.
    LastHeld,
    /// The straight line from the last value before the range to the first one behind it. If one is missing, the other
    /// is held.
    Interpolated,
    /// The mean of the whole recording, one value per channel. It includes the queried values, so it is the best
    /// constant.
    Mean(Vec<f32>),
}

impl Naive {
    /// The mean of each channel over the frames in which it is present; 0 if it never is.
    pub(super) fn mean(episodes: &[Episode], modality_of_channel: &[usize]) -> Self {
        let mean = |(c, &m): (usize, &usize)| {
            let frames = episodes.iter().flat_map(|episode| &episode.frames);
            let (sum, count) = frames
                .filter(|frame| frame.present[m])
                .fold((0.0, 0u64), |(sum, count), frame| (sum + f64::from(frame.values[c]), count + 1));
            (sum / count.max(1) as f64) as f32
        };
        Self::Mean(modality_of_channel.iter().enumerate().map(mean).collect())
    }

    /// The name that is shown.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::LastHeld => "last held",
            Self::Interpolated => "interpolated",
            Self::Mean(_) => "mean",
        }
    }

    /// The guess at channel `c` of modality `m` in frame `k` of the range `sampled`; `None` if no value is present that
    /// it needs.
    pub(super) fn guess(&self, frames: &[Frame], sampled: &Range<usize>, m: usize, c: usize, k: usize) -> Option<f32> {
        let value = |at: usize| frames[at].present[m].then(|| (at as f32, frames[at].values[c]));
        let before = || (0..sampled.start).rev().find_map(value);
        match self {
            Self::LastHeld => before().map(|(_, held)| held),
            Self::Interpolated => match (before(), (sampled.end..frames.len()).find_map(value)) {
                (Some((from, left)), Some((to, right))) => {
                    Some(left + (right - left) * (k as f32 - from) / (to - from))
                }
                (one, other) => one.or(other).map(|(_, held)| held),
            },
            Self::Mean(means) => Some(means[c]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One modality of one channel; `None`: missing.
    fn frames(values: &[Option<f32>]) -> Vec<Frame> {
        let frame = |value: &Option<f32>| Frame {
            values: vec![value.unwrap_or(-99.0)],
            present: vec![value.is_some()],
            std: Vec::new(),
        };
        values.iter().map(frame).collect()
    }

    #[test]
    fn guesses_use_the_present_values_around_the_range_only() {
        // Frames 2 to 4 are queried. Frames 1 and 5 are missing, so the line runs from (0, 1) to (6, 4): half a unit
        // per frame. Values within the range must not be used.
        let gap = frames(&[Some(1.0), None, Some(50.0), Some(60.0), Some(70.0), None, Some(4.0)]);
        let guess = |naive: &Naive, k| naive.guess(&gap, &(2..5), 0, 0, k);
        assert_eq!([2, 3, 4].map(|k| guess(&Naive::Interpolated, k)), [Some(2.0), Some(2.5), Some(3.0)]);
        assert_eq!([2, 4].map(|k| guess(&Naive::LastHeld, k)), [Some(1.0), Some(1.0)]);
        assert_eq!(guess(&Naive::Mean(vec![7.0]), 3), Some(7.0));

        // No value behind the range: the last one is held. No value before it: the first one behind. No value: no
        // guess.
        assert_eq!(Naive::Interpolated.guess(&gap, &(2..7), 0, 0, 6), Some(1.0));
        assert_eq!(Naive::Interpolated.guess(&gap[1..], &(0..4), 0, 0, 1), Some(4.0));
        assert_eq!(Naive::LastHeld.guess(&gap[1..], &(1..4), 0, 0, 1), None);
        assert_eq!(Naive::Interpolated.guess(&gap[1..6], &(0..5), 0, 0, 1), None);
    }

    #[test]
    fn the_mean_is_over_the_frames_in_which_a_channel_is_present() {
        // 1 and 3 in one episode, 8 in another: 12 / 3.
        let episode = |values: &[Option<f32>]| Episode { start_ns: 0, frames: frames(values) };
        let episodes = [episode(&[Some(1.0), None, Some(3.0)]), episode(&[Some(8.0)])];
        assert_eq!(Naive::mean(&episodes, &[0]), Naive::Mean(vec![4.0]));
    }
}
