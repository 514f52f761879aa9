//! The trait behind which every storage of recordings stands, and what can be wrong with a recording.

use std::fmt;
use std::path::PathBuf;

use df_core::ConfigError;
use df_message::SchemaDefinitions;

/// One recorded message.
#[derive(Clone, Debug, PartialEq)]
pub struct BagMessage {
    /// The name of its topic.
    pub topic: String,
    /// When the recorder received it, nanoseconds since the epoch.
    pub log_ns: i64,
    /// The CDR bytes with their encapsulation header.
    pub bytes: Vec<u8>,
}

/// One recorded topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BagTopic {
    /// The name in the bag, such as `/odom`.
    pub name: String,
    /// `package/msg/Name`.
    pub message_type: String,
    /// The concatenated `.msg` text; `None` if the storage has none.
    pub definition: Option<String>,
    /// How many messages it has; `None` if the storage does not say so.
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
    /// The operating system refuses to read the file.
    #[error("{}: cannot be read: {cause}", path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system says.
        cause: std::io::Error,
    },
    /// The path holds no recording or dataset that this crate knows.
    #[error("{}: is not a recording: {reason}", path.display())]
    NotABag {
        /// The file or directory.
        path: PathBuf,
        /// What was expected and what is there.
        reason: String,
    },
    /// The format needs a feature that this program was built without.
    #[error("{}: is {what}; this program was built without it: build it with `--features {feature}`", path.display())]
    NotBuilt {
        /// The file or directory.
        path: PathBuf,
        /// The format.
        what: &'static str,
        /// The feature of Cargo that reads it.
        feature: &'static str,
    },
    /// The content contradicts itself. What came before it has been delivered.
    #[error("{}, {at}: damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the damage begins.
        at: Location,
        /// What was expected and what is there.
        reason: String,
    },
    /// The file ends within a record, as after the recorder was killed. What came before it has been delivered.
    #[error("{}, {at}: the recording was cut off here", path.display())]
    Unfinished {
        /// The file.
        path: PathBuf,
        /// Where the last, incomplete record begins.
        at: Location,
    },
    /// The configuration does not fit the recording.
    #[error(transparent)]
    Config(Box<ConfigError>),
    /// The bag lacks a topic of the contract, or several topics match its name.
    #[error("topic `{topic}`: expected exactly one topic of this name, got {found:?}; the bag has {has:?}")]
    Topic {
        /// The name in the contract.
        topic: String,
        /// The topics that match.
        found: Vec<String>,
        /// All topics of the bag.
        has: Vec<String>,
    },
    /// A topic has another message type than expected.
    #[error("topic `{topic}`: expected type {expected}, got {got}")]
    TopicType {
        /// The name in the bag.
        topic: String,
        /// The type of the contract, or of an earlier file of the same bag.
        expected: String,
        /// The type in the bag.
        got: String,
    },
    /// No message of a topic can be decoded.
    #[error("topic `{topic}`: not one of its {messages} messages can be decoded: {reason}")]
    Undecodable {
        /// The name in the bag.
        topic: String,
        /// How many messages it has.
        messages: u64,
        /// Why the first one cannot be decoded.
        reason: String,
    },
    /// The stamps make an episode absurdly long.
    #[error("expected an episode of at most {expected} ticks, got {got}: are the stamps right?")]
    TooLong {
        /// The maximum, ticks.
        expected: i64,
        /// The length by the stamps, ticks.
        got: i64,
    },
    /// The directory to be written exists.
    #[error("{}: already exists", path.display())]
    Exists {
        /// The directory.
        path: PathBuf,
    },
    /// The bag cannot be written.
    #[error("{}: cannot be written: {reason}", path.display())]
    Unwritable {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system or the writer says.
        reason: String,
    },
}

impl From<ConfigError> for BagError {
    fn from(error: ConfigError) -> Self {
        Self::Config(Box::new(error))
    }
}
