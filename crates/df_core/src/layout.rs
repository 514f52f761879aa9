//! The layout of frames and tokens: modalities, their channels, and frames per token.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// The index of the action among the modalities of a frame; the observation groups follow in the contract's order.
pub const ACTION_MODALITY: usize = 0;

/// A named group of channels that is observed or missing as one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modality {
    /// Name of the group; the action is called `action`.
    pub name: String,
    /// Range of its channels in a frame.
    pub channels: Range<usize>,
}

/// The token layout: modalities in a frame, frames in a token. Part of the checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The action first, then the observation groups in the order of the contract.
    pub modalities: Vec<Modality>,
    /// One label per channel of a frame, such as `pose.pose.position.x`.
    pub labels: Vec<String>,
    /// Consecutive frames per token.
    pub frame_stack: usize,
}

impl Layout {
    /// A layout of `frame_stack` frames per token. `modalities`: pairs of name and channel labels, the action first.
    pub fn new(frame_stack: usize, modalities: impl IntoIterator<Item = (String, Vec<String>)>) -> Self {
        let mut layout = Self { modalities: Vec::new(), labels: Vec::new(), frame_stack };
        for (name, labels) in modalities {
            let start = layout.labels.len();
            layout.labels.extend(labels);
            layout.modalities.push(Modality { name, channels: start..layout.labels.len() });
        }
        layout
    }

    /// Number of channels of one frame.
    pub fn frame_channels(&self) -> usize {
        self.labels.len()
    }

    /// Number of channels of one token, `frame_stack` times those of a frame.
    pub fn token_channels(&self) -> usize {
        self.frame_channels() * self.frame_stack
    }

    /// Range of the action's channels in a frame.
    pub fn action(&self) -> Range<usize> {
        self.modalities[ACTION_MODALITY].channels.clone()
    }

    /// Index of the modality with this name.
    pub fn modality(&self, name: &str) -> Option<usize> {
        self.modalities.iter().position(|m| m.name == name)
    }

    /// Index of the modality of each channel of a frame.
    pub fn modality_of_channel(&self) -> Vec<usize> {
        self.modalities.iter().enumerate().flat_map(|(m, modality)| modality.channels.clone().map(move |_| m)).collect()
    }
}

/// All modalities at one tick. Frame k holds the observation at tick k and the action of the interval before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// One value per channel, in the units of the contract; 0 where the modality is missing.
    pub values: Vec<f32>,
    /// One flag per modality: true if it is observed.
    pub present: Vec<bool>,
    /// Standard deviation of the measurement, one per channel in its unit. Empty: all values are exact.
    pub std: Vec<f32>,
}

impl Frame {
    /// A frame in which every modality is missing.
    pub fn missing(layout: &Layout) -> Self {
        Self {
            values: vec![0.0; layout.frame_channels()],
            present: vec![false; layout.modalities.len()],
            std: Vec::new(),
        }
    }
}
