//! The fields of a message type as a tree, and what the messages read so far contained.

use crate::projection::Count;
use crate::schema::Scalar;

/// Arrays with more elements than this have one channel for all elements.
pub(super) const MAX_ELEMENTS: usize = 16;

/// What the messages read so far contained: channels, arrays, element names, stamp and frame id.
#[derive(Default)]
pub(super) struct Inventory {
    /// One per channel.
    pub(super) channels: Vec<ChannelLabel>,
    pub(super) arrays: Vec<ArrayRecord>,
    /// Per array of strings: the first message's strings, and whether all later ones were equal.
    pub(super) names: Vec<(Option<Vec<String>>, bool)>,
    pub(super) stamp_ns: Option<i64>,
    pub(super) frame_id: Option<String>,
    pub(super) empty_arrays: usize,
}

/// How a channel is named.
pub(super) enum ChannelLabel {
    Plain(String),
    Element { array: usize, index: usize },
    All { array: usize },
}

/// What is known of one array.
pub(super) struct ArrayRecord {
    pub(super) label: String,
    pub(super) is_fixed: bool,
    pub(super) of_numbers: bool,
    /// Fewest and most elements; `None` before the first message.
    pub(super) range: Option<(u32, u32)>,
    pub(super) names: Option<usize>,
}

/// One field of a structure; the `u32` of a number is its channel.
pub(super) enum FieldNode {
    Number(Scalar, u32),
    /// Seconds and nanoseconds as one number of seconds.
    Duration(u32),
    /// A time; true if it is the stamp of the message.
    Time(bool),
    FrameId(Option<u32>),
    String(Option<u32>),
    WideString(Option<u32>),
    Array {
        array: usize,
        count: Count,
        element: ArrayElement,
    },
}

/// What one element of an array is.
pub(super) enum ArrayElement {
    Numbers(Scalar, ElementChannels),
    Strings { bound: Option<u32>, names: usize },
    WideStrings(Option<u32>),
    Structure(Vec<FieldNode>),
}

/// The channels of the elements of one array.
pub(super) enum ElementChannels {
    /// No element has occurred yet.
    Unknown,
    Each(Vec<u32>),
    All(u32),
}

impl Inventory {
    pub(super) fn channel(&mut self, label: ChannelLabel) -> u32 {
        self.channels.push(label);
        (self.channels.len() - 1) as u32
    }

    /// The field of the array of strings of this number.
    pub(super) fn arrays_name(&self, names: usize) -> String {
        let strings = self.arrays.iter().filter(|array| array.names == Some(names) && !array.of_numbers);
        strings.map(|array| array.label.rsplit('.').next().unwrap_or_default().to_string()).next().unwrap_or_default()
    }
}
