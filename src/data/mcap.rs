//! MCAP storage of rosbag2: reading, and writing directories that rosbag2 and `rosbags` read.

use std::path::Path;

use super::BagError;

/// Writes a rosbag2 directory with one MCAP file and its `metadata.yaml`.
pub struct BagWriter {
    _private: (),
}

impl BagWriter {
    /// Creates the directory; refuses one that exists.
    ///
    /// # Errors
    /// The directory exists or cannot be written.
    pub fn create(directory: &Path) -> Result<Self, BagError> {
        let _ = directory;
        unimplemented!("helper A")
    }

    /// Adds a topic; `definition` is the concatenated `.msg` text. Returns its number for [`BagWriter::write`].
    ///
    /// # Errors
    /// As the storage says.
    pub fn topic(&mut self, name: &str, message_type: &str, definition: &str) -> Result<usize, BagError> {
        let _ = (name, message_type, definition);
        unimplemented!("helper A")
    }

    /// Writes one serialized message.
    ///
    /// # Errors
    /// As the storage says.
    pub fn write(&mut self, topic: usize, log_ns: i64, bytes: &[u8]) -> Result<(), BagError> {
        let _ = (topic, log_ns, bytes);
        unimplemented!("helper A")
    }

    /// Ends the file and writes `metadata.yaml`.
    ///
    /// # Errors
    /// As the storage says.
    pub fn finish(self) -> Result<(), BagError> {
        unimplemented!("helper A")
    }
}
