//! Episodes as normalised tokens' worth of frames, split by episode, drawn as windows.

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

use crate::data::Episode;
use crate::signal::{Layout, Normaliser};

/// Normalised frames of many episodes, one after the other, and where windows may start.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// `[frame][channel]`, normalised; 0 where missing.
    values: Vec<f32>,
    /// `[frame][modality]`.
    present: Vec<bool>,
    /// First frame of each possible window.
    starts: Vec<usize>,
    /// Where the windows of each episode end in `starts`, and the weights of all windows up to there. Empty: all weigh the same.
    weighed: Vec<(usize, f64)>,
    channels: usize,
    modalities: usize,
    window: usize,
}

/// Why no dataset can be made.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    #[error(
        "no {what} window of {window} frames ({window_s:.1} s) fits into the recording: {episodes} episodes, the longest of {longest} frames"
    )]
    TooShort { what: &'static str, window: usize, window_s: f64, episodes: usize, longest: usize },
}

impl Dataset {
    /// Splits by episode, fits the normaliser on the training split, and gives both splits.
    ///
    /// `window`: frames per window. At least one episode is kept for validation when there are two or more and
    /// `validation_share` is above 0.
    ///
    /// # Errors
    /// No window fits.
    pub fn split(
        mut episodes: Vec<Episode>,
        layout: &Layout,
        window: usize,
        period_s: f64,
        validation_share: f64,
        rng: &mut impl Rng,
    ) -> Result<(Self, Option<Self>, Normaliser), DatasetError> {
        episodes.retain(|e| !e.frames.is_empty());
        episodes.shuffle(rng);
        let longest = episodes.iter().map(|e| e.frames.len()).max().unwrap_or(0);
        let short = |what, episodes| DatasetError::TooShort {
            what,
            window,
            window_s: window as f64 * period_s,
            episodes,
            longest,
        };
        let held_out = match (episodes.len(), validation_share) {
            (2.., share) if share > 0.0 => {
                ((episodes.len() as f64 * share).round() as usize).clamp(1, episodes.len() - 1)
            }
            _ => 0,
        };
        let validation = episodes.split_off(episodes.len() - held_out);
        let frames = || episodes.iter().flat_map(|e| &e.frames);
        let normaliser = Normaliser::fit(layout, frames().map(|f| (f.values.as_slice(), f.present.as_slice())));
        let training = Self::new(&episodes, layout, &normaliser, window);
        if training.starts.is_empty() {
            return Err(short("training", episodes.len()));
        }
        let validation = Self::new(&validation, layout, &normaliser, window);
        let validation = (!validation.starts.is_empty()).then_some(validation);
        Ok((training, validation, normaliser))
    }

    fn new(episodes: &[Episode], layout: &Layout, normaliser: &Normaliser, window: usize) -> Self {
        let modality_of = layout.modality_of_channel();
        let (channels, modalities) = (layout.frame_channels(), layout.modalities.len());
        let mut all = Self {
            values: Vec::new(),
            present: Vec::new(),
            starts: Vec::new(),
            weighed: Vec::new(),
            channels,
            modalities,
            window,
        };
        let mut weights = 0.0;
        for episode in episodes {
            let (first, windows) = (all.frames(), (episode.frames.len() + 1).saturating_sub(window));
            all.starts.extend((first..).take(windows));
            weights += windows as f64 * episode.weight;
            all.weighed.push((all.starts.len(), weights));
            for frame in &episode.frames {
                let value = |c: usize| {
                    if frame.present[modality_of[c]] { normaliser.apply(c, frame.values[c]) } else { 0.0 }
                };
                all.values.extend((0..channels).map(value));
                all.present.extend(&frame.present);
            }
        }
        if episodes.windows(2).all(|pair| pair[0].weight == pair[1].weight) {
            all.weighed.clear();
        }
        all
    }

    pub fn frames(&self) -> usize {
        self.present.len() / self.modalities.max(1)
    }

    pub fn windows(&self) -> usize {
        self.starts.len()
    }

    /// A random window, as often as its episode's weight says: its values `[frame][channel]` and presence
    /// `[frame][modality]`.
    pub fn draw(&self, rng: &mut impl Rng) -> (&[f32], &[bool]) {
        let first = self.starts[self.draw_window(rng)];
        let end = first + self.window;
        (
            &self.values[first * self.channels..end * self.channels],
            &self.present[first * self.modalities..end * self.modalities],
        )
    }
}

impl Dataset {
    fn draw_window(&self, rng: &mut impl Rng) -> usize {
        let Some(&(_, all)) = self.weighed.last() else { return rng.random_range(0..self.starts.len()) };
        let drawn = rng.random_range(0.0..all);
        let episode = self.weighed.partition_point(|(_, weights)| *weights <= drawn).min(self.weighed.len() - 1);
        let from = episode.checked_sub(1).map_or(0, |before| self.weighed[before].0);
        rng.random_range(from..self.weighed[episode].0.max(from + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::Frame;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn windows_stay_inside_an_episode_and_splits_do_not_share_one() {
        let layout = Layout::new(2, [("action".into(), vec!["a".into()]), ("pose".into(), vec!["x".into()])]);
        // Episode e has 10 frames whose pose is 100 e + k.
        let episode = |e: usize| Episode {
            weight: 1.0,
            start_ns: 0,
            frames: (0..10)
                .map(|k| Frame {
                    values: vec![k as f32, (100 * e + k) as f32],
                    present: vec![true, true],
                    deviation: Vec::new(),
                })
                .collect(),
        };
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let episodes = (0..10).map(episode).collect();
        let (training, validation, normaliser) = Dataset::split(episodes, &layout, 4, 0.1, 0.2, &mut rng).unwrap();
        let validation = validation.unwrap();
        // 10 frames hold 7 windows of 4; 8 and 2 episodes.
        assert_eq!((training.windows(), validation.windows()), (56, 14));
        let mut seen = [std::collections::BTreeSet::new(), std::collections::BTreeSet::new()];
        for (split, seen) in [&training, &validation].into_iter().zip(&mut seen) {
            for _ in 0..300 {
                let (values, present) = split.draw(&mut rng);
                let poses: Vec<i64> = values.chunks(2).map(|f| normaliser.invert(1, f[1]).round() as i64).collect();
                assert!(poses.windows(2).all(|p| p[1] == p[0] + 1) && present.len() == 8, "{poses:?}");
                seen.insert(poses[0] / 100);
            }
        }
        assert!(seen[0].is_disjoint(&seen[1]));
    }

    #[test]
    fn a_recording_that_is_too_short_says_how_short() {
        let layout = Layout::new(1, [("action".into(), vec!["a".into()])]);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let message = Dataset::split(Vec::new(), &layout, 14, 0.1, 0.1, &mut rng).unwrap_err().to_string();
        assert!(message.contains("14 frames (1.4 s)") && message.contains("0 episodes"), "{message}");
    }

    #[test]
    fn windows_are_drawn_as_often_as_their_episode_weighs() {
        let layout = Layout::new(1, [("action".into(), vec!["a".into()])]);
        let episode = |frames: usize, value: f32, weight: f64| Episode {
            weight,
            start_ns: 0,
            frames: (0..frames)
                .map(|_| Frame { values: vec![value], present: vec![true], deviation: Vec::new() })
                .collect(),
        };
        let normaliser = Normaliser { mean: vec![0.0], deviation: vec![1.0] };
        // 7 windows of weight 1, none (too short), 16 of weight 1/4: 7 and 4 shares.
        let episodes = [episode(10, 0.0, 1.0), episode(3, 9.0, 100.0), episode(19, 1.0, 0.25)];
        let weighed = Dataset::new(&episodes, &layout, &normaliser, 4);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let draws = 20_000;
        let ones: f32 = (0..draws).map(|_| weighed.draw(&mut rng).0[0]).sum();
        // Binomial: 4/11 of the draws, deviation sqrt(20000 4/11 7/11) = 68; four of them.
        let expected = draws as f32 * 4.0 / 11.0;
        assert!((ones - expected).abs() < 4.0 * 68.0, "{ones}, expected {expected}");
        // Equal weights, whatever they are, draw as if there were none.
        let same = [episode(10, 0.0, 3.0), episode(19, 1.0, 3.0)];
        let plain = [episode(10, 0.0, 1.0), episode(19, 1.0, 1.0)];
        let draws = |episodes: &[Episode]| {
            let dataset = Dataset::new(episodes, &layout, &normaliser, 4);
            let mut rng = ChaCha8Rng::seed_from_u64(3);
            (0..100).map(|_| dataset.draw(&mut rng).0[0]).collect::<Vec<_>>()
        };
        assert_eq!(draws(&same), draws(&plain));
    }
}
