//! CDR bytes of one message type to the channels of one field list.

use super::MessageError;

/// What one message says about one group of channels.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The stamp of the message's `header` (or top-level `stamp`), if the type has one. Nanoseconds.
    pub stamp_ns: Option<i64>,
    /// The frame id of the message's `header`, if the type has one.
    pub frame_id: Option<String>,
    /// Channel values in the order of the fields.
    pub values: Vec<f64>,
}

/// Decodes one message type into the channels of one field list.
#[derive(Debug)]
pub struct Extractor {
    _private: (),
}

impl Extractor {
    /// One label per channel, such as `pose.pose.position.x`.
    pub fn labels(&self) -> &[String] {
        unimplemented!("helper A")
    }

    /// Decodes a serialized message (4-byte encapsulation header, then CDR).
    ///
    /// # Errors
    /// Truncated, malformed or oversized bytes, an array of another length than the contract says, a non-finite value.
    pub fn extract(&self, bytes: &[u8]) -> Result<Sample, MessageError> {
        let _ = bytes;
        unimplemented!("helper A")
    }
}
