//! The trait behind which every storage of recordings stands, and what can be wrong with a recording.

use std::fmt;
use std::path::PathBuf;

use df_core::ConfigError;
use df_message::SchemaDefinitions;

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
    /// How many messages it has, where the storage says so without being read.
    pub messages: Option<u64>,
}

/// A recording.
pub trait Bag {
    /// The recorded topics by name.
    fn topics(&self) -> &[BagTopic];

    /// Calls `each` with every message of `topics` (names as in [`Bag::topics`]) in the order of recording.
    ///
    /// # Errors
    /// Damage, with file and offset; what came before it has been delivered. A recording that was cut off gives
    /// [`BagError::Unfinished`] after everything else has been delivered.
    fn read(&self, topics: &[&str], each: &mut dyn FnMut(&BagMessage)) -> Result<(), BagError>;

    /// The definitions that the recording carries.
    fn definitions(&self) -> SchemaDefinitions {
        SchemaDefinitions::new(self.topics().iter().filter_map(|t| Some((&t.message_type, t.definition.as_ref()?))))
    }
}

/// Where in a file something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// Bytes from the start of the file.
    Byte(u64),
    /// After the message of this number, as the storage counts them.
    AfterMessage(i64),
    /// Rows from the start of the file.
    Row(u64),
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte(offset) => write!(f, "byte {offset}"),
            Self::AfterMessage(id) => write!(f, "after message {id}"),
            Self::Row(row) => write!(f, "row {row}"),
        }
    }
}

/// Why a recording cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum BagError {
    #[error("{}: cannot be read: {cause}", path.display())]
    Unreadable { path: PathBuf, cause: std::io::Error },
    #[error("{}: is no bag: {reason}", path.display())]
    NotABag { path: PathBuf, reason: String },
    #[error("{}: is {what}; this program was built without it: build it with `--features {feature}`", path.display())]
    NotBuilt { path: PathBuf, what: &'static str, feature: &'static str },
    #[error("{}, {at}: damaged: {reason}", path.display())]
    Damaged { path: PathBuf, at: Location, reason: String },
    #[error("{}, {at}: the recording was cut off here", path.display())]
    Unfinished { path: PathBuf, at: Location },
    /// The configuration does not fit the recording.
    #[error(transparent)]
    Config(Box<ConfigError>),
    #[error("topic `{topic}`: expected exactly one topic of this name, got {found:?}; the bag has {has:?}")]
    Topic { topic: String, found: Vec<String>, has: Vec<String> },
    #[error("topic `{topic}`: expected type {expected}, got {got}")]
    TopicType { topic: String, expected: String, got: String },
    #[error("topic `{topic}`: not one of its {messages} messages can be decoded: {reason}")]
    Undecodable { topic: String, messages: u64, reason: String },
    #[error("expected an episode of at most {expected} ticks, got {got}: are the stamps right?")]
    TooLong { expected: i64, got: i64 },
    #[error("{}: exists", path.display())]
    Exists { path: PathBuf },
    #[error("{}: cannot be written: {reason}", path.display())]
    Unwritable { path: PathBuf, reason: String },
}

impl From<ConfigError> for BagError {
    fn from(error: ConfigError) -> Self {
        Self::Config(Box::new(error))
    }
}
