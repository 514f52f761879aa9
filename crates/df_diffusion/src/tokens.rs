//! The tensors of diffusion: normalised tokens, and their noise levels.

use std::ops::Range;

/// Which channels of a token share a noise level.
///
/// A *noise group* is the unit that has a noise level: one modality of one frame. Noise group `frame * modalities + m`
/// of a token is modality `m` of that frame. With one frame per token the noise groups are the modalities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSpec {
    /// The noise group of each channel of a token.
    pub noise_group_of_channel: Vec<usize>,
    /// Modalities of a frame.
    pub modalities: usize,
    /// Frames in a token.
    pub frame_stack: usize,
}

impl TokenSpec {
    /// A spec from the modality of each channel of a frame, and the number of frames in a token.
    pub fn new(modality_of_channel: &[usize], frame_stack: usize) -> Self {
        let modalities = modality_of_channel.iter().max().map_or(0, |m| m + 1);
        let noise_group_of_channel =
            (0..frame_stack).flat_map(|f| modality_of_channel.iter().map(move |m| f * modalities + m)).collect();
        Self { noise_group_of_channel, modalities, frame_stack }
    }

    /// Noise groups of one token.
    pub fn noise_groups(&self) -> usize {
        self.modalities * self.frame_stack
    }

    /// Channels of one token.
    pub fn channels(&self) -> usize {
        self.noise_group_of_channel.len()
    }
}

/// Normalised values, `[batch, token, channel]`, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Tokens {
    /// Number of sequences.
    pub batch: usize,
    /// Tokens per sequence.
    pub tokens: usize,
    /// Channels per token.
    pub channels: usize,
    /// `batch * tokens * channels` values.
    pub data: Vec<f32>,
}

impl Tokens {
    /// Zeros of the shape `[batch, tokens, channels]`.
    pub fn zeros(batch: usize, tokens: usize, channels: usize) -> Self {
        Self { batch, tokens, channels, data: vec![0.0; batch * tokens * channels] }
    }

    /// The channels of one token.
    pub fn at(&self, batch: usize, token: usize) -> &[f32] {
        let start = (batch * self.tokens + token) * self.channels;
        &self.data[start..start + self.channels]
    }

    /// The channels of one token.
    pub fn at_mut(&mut self, batch: usize, token: usize) -> &mut [f32] {
        let start = (batch * self.tokens + token) * self.channels;
        &mut self.data[start..start + self.channels]
    }

    /// A range of the tokens of every sequence.
    pub fn window(&self, tokens: Range<usize>) -> Self {
        let data =
            window(&self.data, self.tokens * self.channels, tokens.start * self.channels..tokens.end * self.channels);
        Self { tokens: tokens.len(), data, ..*self }
    }

    /// Copies the range `tokens` of every sequence from `other`, whose token 0 is token `first` here.
    pub fn put_window(&mut self, first: usize, tokens: Range<usize>, other: &Self) {
        for b in 0..self.batch {
            for t in tokens.clone() {
                self.at_mut(b, t).copy_from_slice(other.at(b, t - first));
            }
        }
    }

    /// All tokens of one sequence, `[token, channel]`.
    pub fn sequence(&self, batch: usize) -> &[f32] {
        let length = self.tokens * self.channels;
        &self.data[batch * length..(batch + 1) * length]
    }

    /// All tokens of one sequence, `[token, channel]`.
    pub fn sequence_mut(&mut self, batch: usize) -> &mut [f32] {
        let length = self.tokens * self.channels;
        &mut self.data[batch * length..(batch + 1) * length]
    }
}

/// Noise levels in [0, 1], `[batch, token, noise_group]`, row-major; 0: clean, 1: pure noise.
///
/// The level is `k / K` of Chen et al. 2024.
#[derive(Clone, Debug, PartialEq)]
pub struct Levels {
    /// Number of sequences.
    pub batch: usize,
    /// Tokens per sequence.
    pub tokens: usize,
    /// Noise groups per token.
    pub noise_groups: usize,
    /// `batch * tokens * noise_groups` levels.
    pub data: Vec<f32>,
}

impl Levels {
    /// One level for all, of the shape `[batch, tokens, noise_groups]`.
    pub fn filled(batch: usize, tokens: usize, noise_groups: usize, level: f32) -> Self {
        Self { batch, tokens, noise_groups, data: vec![level; batch * tokens * noise_groups] }
    }

    /// A range of the tokens of every sequence.
    pub fn window(&self, tokens: Range<usize>) -> Self {
        let data = window(
            &self.data,
            self.tokens * self.noise_groups,
            tokens.start * self.noise_groups..tokens.end * self.noise_groups,
        );
        Self { tokens: tokens.len(), data, ..*self }
    }

    /// The levels of one token, one per noise group.
    pub fn at(&self, batch: usize, token: usize) -> &[f32] {
        let start = (batch * self.tokens + token) * self.noise_groups;
        &self.data[start..start + self.noise_groups]
    }

    /// The levels of one token, one per noise group.
    pub fn at_mut(&mut self, batch: usize, token: usize) -> &mut [f32] {
        let start = (batch * self.tokens + token) * self.noise_groups;
        &mut self.data[start..start + self.noise_groups]
    }
}

/// A range of every chunk of `of_sequence` values.
fn window(data: &[f32], of_sequence: usize, range: Range<usize>) -> Vec<f32> {
    data.chunks(of_sequence).flat_map(|sequence| sequence[range.clone()].iter().copied()).collect()
}
