//! The trait behind which every storage of recordings stands.

use std::path::{Path, PathBuf};

/// One recorded message.
#[derive(Clone, Debug, PartialEq)]
pub struct BagMessage {
    pub topic: String,
    /// When it was recorded (received), nanoseconds.
    pub log_ns: i64,
    /// Serialized message with its encapsulation header.
    pub bytes: Vec<u8>,
}

/// One recorded topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BagTopic {
    pub name: String,
    /// `package/msg/Name`.
    pub message_type: String,
    /// The definition text, where the storage has one.
    pub definition: Option<String>,
    pub messages: u64,
}

/// A recording.
pub trait Bag {
    fn topics(&self) -> &[BagTopic];

    /// Calls `each` with every message of `topics` in the order of recording.
    ///
    /// # Errors
    /// Damage, with file and offset; what came before it has been delivered.
    fn read(&self, topics: &[&str], each: &mut dyn FnMut(&BagMessage)) -> Result<(), BagError>;
}

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BagError {
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
}

/// Opens a rosbag2 directory or a bare storage file.
///
/// # Errors
/// No such path, no known storage, a damaged index.
pub fn open(path: &Path) -> Result<Box<dyn Bag>, BagError> {
    let _ = path;
    unimplemented!("helper A")
}
