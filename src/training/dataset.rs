//! Episodes as normalised tokens' worth of frames, split by episode, drawn as windows.

use rand::seq::SliceRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::data::Episode;
use crate::signal::{Layout, Normaliser};

/// Normalised frames of many episodes, one after the other, and where windows may start.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// `[frame][channel]`, normalised; 0 where missing.
    values: Vec<f32>,
    /// `[frame][modality]`.
    present: Vec<u8>,
    seed: u64,
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
        recording: &std::sync::Arc<crate::data::Recording>,
        window: usize,
        period_s: f64,
        validation_share: f64,
        seed: u64,
    ) -> Result<(Self, Option<Self>, Normaliser), DatasetError> {
        let (mut episodes, layout) = (recording.episodes.clone(), &recording.layout);
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
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
        let training = Self::new(&episodes, layout, seed, window);
        if training.starts.is_empty() {
            return Err(short("training", episodes.len()));
        }
        let validation = Self::new(&validation, layout, seed, window);
        let validation = (!validation.starts.is_empty()).then_some(validation);
        Ok((training, validation, normaliser))
    }

    fn new(episodes: &[Episode], layout: &Layout, seed: u64, window: usize) -> Self {
        let (channels, modalities) = (layout.frame_channels(), layout.modalities.len());
        let mut all = Self {
            values: Vec::new(),
            present: Vec::new(),
            seed,
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
                all.values.extend(&frame.values);
                all.present.extend(frame.present.iter().map(|&p| u8::from(p)));
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

    pub fn window(&self, position: u64) -> Window<'_> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(position);
        let first = self.starts[self.draw_window(&mut rng)];
        let end = first + self.window;
        Window {
            values: &self.values[first * self.channels..end * self.channels],
            present: &self.present[first * self.modalities..end * self.modalities],
            channels: self.channels,
            modalities: self.modalities,
        }
    }
}

pub struct Window<'a> {
    values: &'a [f32],
    present: &'a [u8],
    channels: usize,
    modalities: usize,
}
impl<'a> Window<'a> {
    pub fn frames(&self) -> impl Iterator<Item = (&'a [f32], &'a [u8])> {
        self.values.chunks(self.channels).zip(self.present.chunks(self.modalities))
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
