//! Episodes split into training and validation, and their windows in shuffled order.
//!
//! Frames are not copied: they stay in the memory-mapped recording.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use rand::seq::SliceRandom;

use df_core::Normaliser;
use df_data::{EpisodeSpan, Recording};

use crate::rng::RngStream;
use crate::shuffled_sampler::ShuffledSampler;

/// The windows of the episodes of one split.
#[derive(Clone, Debug)]
pub struct Dataset {
    recording: Arc<Recording>,
    /// Episodes that are long enough for a window, grouped by weight.
    groups: Vec<Vec<Episode>>,
    sampler: ShuffledSampler,
    /// Frames per window.
    window: usize,
    episodes: usize,
    frames: usize,
}

#[derive(Clone, Debug)]
struct Episode {
    span: EpisodeSpan,
    /// The number of windows of the group in this episode and the episodes before it.
    windows_until: u64,
}

/// Why a recording gives no dataset.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// No episode is as long as a training window.
    #[error(
        "no training window of {window} frames ({window_s:.1} s) fits into the recording: {episodes} episodes, the \
         longest of {longest} frames; reduce training.window or record longer episodes"
    )]
    TooShort {
        /// Frames of a window.
        window: usize,
        /// Length of a window, seconds.
        window_s: f64,
        /// Training episodes.
        episodes: usize,
        /// Frames of the longest episode of the recording.
        longest: usize,
    },
}

/// Consecutive frames of an episode.
#[derive(Clone, Copy)]
pub struct Window<'a> {
    recording: &'a Recording,
    /// The episode of the window.
    pub episode: &'a EpisodeSpan,
    /// The first frame of the window, as an index into the episode.
    pub first: usize,
    /// The number of frames.
    pub frames: usize,
}

impl<'a> Window<'a> {
    /// The same window extended by `earlier` frames before it. The episode must have these frames.
    pub(crate) fn extended_back(self, earlier: usize) -> Self {
        Self { first: self.first - earlier, frames: self.frames + earlier, ..self }
    }

    /// The frames in order: values `[channel]` in units, and a byte `[modality]` that is 0 where the modality is
    /// missing.
    pub fn frames(&self) -> impl Iterator<Item = (&'a [f32], &'a [u8])> + use<'a> {
        let Self { recording, episode, first, frames } = *self;
        (first..first + frames).map(|k| recording.frame(episode, k))
    }
}

impl Dataset {
    /// Splits by episode and fits the normaliser on the training split. Returns training split, validation split and
    /// normaliser.
    ///
    /// `window` is in frames, `period_s` in seconds. At least one episode is kept for validation if there are two or
    /// more and `validation_share` is above 0.
    ///
    /// # Errors
    /// [`DatasetError::TooShort`] if no training window fits.
    pub fn split(
        recording: &Arc<Recording>,
        window: usize,
        period_s: f64,
        validation_share: f64,
        seed: u64,
    ) -> Result<(Self, Option<Self>, Normaliser), DatasetError> {
        let mut episodes: Vec<usize> = (0..recording.episodes.len()).collect();
        episodes.shuffle(&mut RngStream::Split.generator(seed, 0));
        let held_out = match (episodes.len(), validation_share) {
            (2.., share) if share > 0.0 => {
                ((episodes.len() as f64 * share).round() as usize).clamp(1, episodes.len() - 1)
            }
            _ => 0,
        };
        let mut validation = episodes.split_off(episodes.len() - held_out);
        // In the order on the disk, which reads faster.
        episodes.sort_unstable();
        validation.sort_unstable();
        let training = Self::new(recording, &episodes, window, seed);
        if training.windows() == 0 {
            return Err(DatasetError::TooShort {
                window,
                window_s: window as f64 * period_s,
                episodes: episodes.len(),
                longest: recording.episodes.iter().map(|episode| episode.frames).max().unwrap_or(0),
            });
        }
        let spans = episodes.iter().map(|&episode| &recording.episodes[episode]);
        let frames = spans.flat_map(|span| (0..span.frames).map(|k| recording.frame(span, k)));
        let normaliser = Normaliser::fit(&recording.layout, frames);
        recording.read_at_random();
        let validation = Self::new(recording, &validation, window, seed);
        Ok((training, (validation.windows() > 0).then_some(validation), normaliser))
    }

    fn new(recording: &Arc<Recording>, episodes: &[usize], window: usize, seed: u64) -> Self {
        // The bits of positive floats sort as the floats do.
        let mut by_weight: BTreeMap<u64, Vec<Episode>> = BTreeMap::new();
        let mut frames = 0;
        for span in episodes.iter().map(|&episode| recording.episodes[episode]) {
            frames += span.frames;
            let windows = (span.frames + 1).saturating_sub(window) as u64;
            if windows > 0 {
                let group = by_weight.entry(span.weight.to_bits()).or_default();
                let before = group.last().map_or(0, |last| last.windows_until);
                group.push(Episode { span, windows_until: before + windows });
            }
        }
        // If all weights are equal, their value has no effect.
        let is_only_group = by_weight.len() == 1;
        let windows = |group: &Vec<Episode>| group.last().map_or(0, |last| last.windows_until);
        let weighted = by_weight
            .iter()
            .map(|(&weight, group)| (windows(group), if is_only_group { 1.0 } else { f64::from_bits(weight) }));
        let sampler = ShuffledSampler::new(seed, weighted);
        let groups = by_weight.into_values().collect();
        Self { recording: recording.clone(), groups, sampler, window, episodes: episodes.len(), frames }
    }

    /// All pairs of consecutive frames, each with values `[channel]` in units and a byte `[modality]`.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = [(&[f32], &[u8]); 2]> {
        let frame = |span, k| self.recording.frame(span, k);
        self.groups.iter().flatten().flat_map(move |episode| {
            (1..episode.span.frames).map(move |k| [frame(&episode.span, k - 1), frame(&episode.span, k)])
        })
    }

    /// The number of episodes.
    pub fn episodes(&self) -> usize {
        self.episodes
    }

    /// The number of frames of all episodes.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// The number of different windows.
    pub fn windows(&self) -> usize {
        self.groups.iter().filter_map(|group| group.last()).map(|last| last.windows_until as usize).sum()
    }

    /// The number of complete epochs before this position. An epoch draws each window in proportion to its weight.
    pub fn epoch(&self, position: u64) -> u64 {
        self.sampler.epoch(position)
    }

    /// The window at a position of the shuffled order. Positions have no upper end.
    pub fn window(&self, position: u64) -> Window<'_> {
        let (group, number) = self.sampler.at(position);
        let group = &self.groups[group];
        let episode = group.partition_point(|episode| episode.windows_until <= number);
        let before = episode.checked_sub(1).map_or(0, |previous| group[previous].windows_until);
        let first = (number - before) as usize;
        Window { recording: &self.recording, episode: &group[episode].span, first, frames: self.window }
    }

    /// Asks the operating system to read the windows of these positions from the disk. Does not wait.
    pub fn prefetch(&self, positions: Range<u64>) {
        for position in positions {
            let window = self.window(position);
            self.recording.fetch(window.episode, window.first, window.frames);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use df_core::{Frame, Layout};
    use std::collections::BTreeSet;

    fn layout() -> Layout {
        Layout::new(2, [("action".into(), vec!["a".into()]), ("pose".into(), vec!["x".into()])])
    }

    /// Episode e has frames whose pose is 100 e + k.
    fn episode(e: usize, frames: usize, weight: f64) -> (Vec<Frame>, f64) {
        let frame = |k: usize| Frame {
            values: vec![k as f32, (100 * e + k) as f32],
            present: vec![true, true],
            std: Vec::new(),
        };
        ((0..frames).map(frame).collect(), weight)
    }

    fn poses(window: Window) -> Vec<i64> {
        window.frames().map(|(values, _)| values[1] as i64).collect()
    }

    #[test]
    fn windows_stay_inside_an_episode_and_splits_do_not_share_one() {
        let recording = Recording::of(&layout(), (0..10).map(|e| episode(e, 10, 1.0)).collect()).unwrap();
        let split = |seed| Dataset::split(&recording, 4, 0.1, 0.2, seed).unwrap();
        let (training, validation, normaliser) = split(3);
        let validation = validation.unwrap();
        // 10 frames hold 7 windows of 4; 8 and 2 episodes.
        assert_eq!((training.windows(), validation.windows()), (56, 14));
        assert_eq!((training.frames(), validation.frames(), training.episodes()), (80, 20, 8));
        let seen = |split: &Dataset| {
            let mut episodes = BTreeSet::new();
            // Each of the two epochs holds each window once.
            for epoch in 0..2 {
                let windows = split.windows() as u64;
                let mut all = BTreeSet::new();
                for position in epoch * windows..(epoch + 1) * windows {
                    let poses = poses(split.window(position));
                    assert!(poses.len() == 4 && poses.windows(2).all(|p| p[1] == p[0] + 1), "{poses:?}");
                    episodes.insert(poses[0] / 100);
                    assert!(all.insert(poses[0]));
                    assert_eq!(split.epoch(position), epoch);
                }
            }
            episodes
        };
        let (trained, held_out) = (seen(&training), seen(&validation));
        assert!(trained.is_disjoint(&held_out) && trained.len() == 8 && held_out.len() == 2);
        // The mean of k over 0..10 is 4.5, of the pose that plus 100 times that of the episodes.
        let mean = trained.iter().map(|&e| 100.0 * e as f32).sum::<f32>() / 8.0 + 4.5;
        assert!((normaliser.mean[0] - 4.5).abs() < 1e-6 && (normaliser.mean[1] - mean).abs() < 1e-3);
        // Another seed holds out other episodes. The same seed gives the same window at a position, in any order.
        assert!((4..9).any(|seed| seen(&split(seed).1.unwrap()) != held_out));
        let again = split(3).0;
        for position in [1000, 3, 55, 56, 0] {
            assert_eq!(poses(again.window(position)), poses(training.window(position)));
        }
    }

    #[test]
    fn a_recording_without_a_long_enough_episode_is_refused_with_its_longest_episode() {
        let message =
            Dataset::split(&Recording::of(&layout(), Vec::new()).unwrap(), 14, 0.1, 0.1, 3).unwrap_err().to_string();
        assert!(message.contains("14 frames (1.4 s)") && message.contains("0 episodes"), "{message}");
        let short = Recording::of(&layout(), vec![episode(0, 13, 1.0)]).unwrap();
        let message = Dataset::split(&short, 14, 0.1, 0.1, 3).unwrap_err().to_string();
        assert!(message.contains("1 episodes, the longest of 13 frames"), "{message}");
    }

    #[test]
    fn windows_are_drawn_in_proportion_to_the_weight_of_their_episode() {
        // 7 windows of weight 1, none (too short), 16 of weight 1/4: 7 and 4 in an epoch of 11.
        let episodes = vec![episode(0, 10, 1.0), episode(1, 3, 100.0), episode(2, 19, 0.25)];
        let weighted = Dataset::split(&Recording::of(&layout(), episodes).unwrap(), 4, 0.1, 0.0, 3).unwrap().0;
        let drawn = |dataset: &Dataset, positions: Range<u64>| {
            let mut counts = [0; 3];
            positions.for_each(|position| counts[(poses(dataset.window(position))[0] / 100) as usize] += 1);
            counts
        };
        for epoch in 0..8 {
            assert_eq!(drawn(&weighted, 11 * epoch..11 * (epoch + 1)), [7, 0, 4]);
        }
        // Equal weights of any value give the same order.
        let order = |weight: f64| {
            let episodes = vec![episode(0, 10, weight), episode(1, 19, weight)];
            let dataset = Dataset::split(&Recording::of(&layout(), episodes).unwrap(), 4, 0.1, 0.0, 3).unwrap().0;
            (0..100).map(|position| poses(dataset.window(position))[0]).collect::<Vec<_>>()
        };
        assert_eq!(order(3.0), order(1.0));
    }
}
