//! Which channel of a frame is what: modalities, their channels, and how frames stack into tokens.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// The index of the action among the modalities of a frame; the observation groups follow in the contract's order.
pub const ACTION_MODALITY: usize = 0;

/// A named group of channels that is observed or missing as one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modality {
    pub name: String,
    /// Its channels in a frame.
    pub channels: Range<usize>,
}

/// The token layout: modalities in a frame, frames in a token. Part of the checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    pub modalities: Vec<Modality>,
    /// One label per channel of a frame, such as `pose.pose.position.x`.
    pub labels: Vec<String>,
    pub frame_stack: usize,
}

impl Layout {
    /// `modalities`: name and channel labels, the action first.
    pub fn new(frame_stack: usize, modalities: impl IntoIterator<Item = (String, Vec<String>)>) -> Self {
        let mut layout = Self { modalities: Vec::new(), labels: Vec::new(), frame_stack };
        for (name, labels) in modalities {
            let start = layout.labels.len();
            layout.labels.extend(labels);
            layout.modalities.push(Modality { name, channels: start..layout.labels.len() });
        }
        layout
    }

    /// Channels of one frame.
    pub fn frame_channels(&self) -> usize {
        self.labels.len()
    }

    /// Channels of one token: `frame_stack` frames, one after the other.
    pub fn token_channels(&self) -> usize {
        self.frame_channels() * self.frame_stack
    }

    /// The channels of the action in a frame.
    pub fn action(&self) -> Range<usize> {
        self.modalities[ACTION_MODALITY].channels.clone()
    }

    /// The modality of that name.
    pub fn modality(&self, name: &str) -> Option<usize> {
        self.modalities.iter().position(|m| m.name == name)
    }

    /// The modality of each channel of a frame.
    pub fn modality_of_channel(&self) -> Vec<usize> {
        self.modalities.iter().enumerate().flat_map(|(m, modality)| modality.channels.clone().map(move |_| m)).collect()
    }
}

/// All modalities at one tick: frame k holds the action of the interval before tick k and the observation at tick k.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// One value per channel, in the units of the contract; 0 where the modality is missing.
    pub values: Vec<f32>,
    /// Per modality: was it observed?
    pub present: Vec<bool>,
    /// Standard deviation of the measurement, one per channel in its unit; empty: all are exact.
    pub std: Vec<f32>,
}

impl Frame {
    /// A frame in which everything is missing.
    pub fn missing(layout: &Layout) -> Self {
        Self {
            values: vec![0.0; layout.frame_channels()],
            present: vec![false; layout.modalities.len()],
            std: Vec::new(),
        }
    }
}
