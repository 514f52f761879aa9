//! Channel values to the CDR bytes of a message: fields that are not written stay zero.

use super::MessageError;

/// Encodes one message type from the channels of one field list.
#[derive(Debug)]
pub struct Encoder {
    _private: (),
}

impl Encoder {
    /// The serialized message (little-endian XCDR1 with encapsulation header), stamped where the type has a header.
    ///
    /// # Errors
    /// Not one value per channel, or a value that the field's type cannot hold.
    pub fn encode(&self, stamp_ns: i64, frame_id: &str, values: &[f64]) -> Result<Vec<u8>, MessageError> {
        let _ = (stamp_ns, frame_id, values);
        unimplemented!("helper A")
    }
}
