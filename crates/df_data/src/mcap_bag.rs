//! MCAP storage of rosbag2, read.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::bag::Location;
use super::packed::Unpacker;
use super::record::{Record, RecordError};
use super::record_reader::Records;
use super::{Bag, BagError, BagMessage, BagTopic};

/// The message encoding of ROS 2. Topics of another one are left out.
const CDR: &str = "cdr";
/// The schema encoding that this project reads.
const ROS2_MSG: &str = "ros2msg";

/// One MCAP file, packed or not.
#[derive(Debug)]
pub(crate) struct McapFile {
    path: PathBuf,
    topics: Vec<BagTopic>,
}

impl McapFile {
    /// Reads which topics the file holds: from the summary, or, where it has none, from all of it.
    ///
    /// # Errors
    /// A file that cannot be read, or of which not one topic can; one topic of two types.
    pub(crate) fn open(path: PathBuf) -> Result<Self, BagError> {
        let topics = topics_of(&path)?;
        Ok(Self { path, topics })
    }
}

impl Bag for McapFile {
    fn topics(&self) -> &[BagTopic] {
        &self.topics
    }

    fn read(&self, topics: &[&str], each: &mut dyn FnMut(&BagMessage)) -> Result<(), BagError> {
        read_file(&self.path, topics, each)
    }
}

fn located(path: &Path) -> impl Fn(RecordError) -> BagError + '_ {
    |error| match error {
        RecordError::Io(cause) => BagError::Unreadable { path: path.into(), cause },
        RecordError::Cut { offset } => BagError::Unfinished { path: path.into(), at: Location::Byte(offset) },
        RecordError::Damaged { offset, reason } => {
            BagError::Damaged { path: path.into(), at: Location::Byte(offset), reason }
        }
    }
}

fn read_file(path: &Path, topics: &[&str], each: &mut dyn FnMut(&BagMessage)) -> Result<(), BagError> {
    let mut records = Records::open(path).map_err(located(path))?;
    // One message per wanted channel, whose memory is used again; `None`: not wanted.
    let mut channels: HashMap<u16, Option<BagMessage>> = HashMap::new();
    let mut unpacker = Unpacker::default();
    let mut handle = |record: Record| {
        match record {
            Record::Channel(channel) => {
                let wanted = channel.message_encoding == CDR && topics.contains(&channel.topic);
                let message = || BagMessage { topic: channel.topic.into(), log_ns: 0, bytes: Vec::new() };
                match channels.entry(channel.id).or_insert_with(|| wanted.then(message)) {
                    Some(known) if known.topic != channel.topic => {
                        return Err(format!("channel {} is `{}` and `{}`", channel.id, known.topic, channel.topic));
                    }
                    _ => {}
                }
            }
            Record::Message(message) => match channels.get_mut(&message.channel_id) {
                Some(Some(slot)) => {
                    slot.log_ns = i64::try_from(message.log_time).unwrap_or(i64::MAX);
                    unpacker.unpack(message.data, &mut slot.bytes)?;
                    each(slot);
                }
                Some(None) => {}
                None => return Err(format!("a message of channel {}, which is not declared", message.channel_id)),
            },
            Record::Schema(_) | Record::Statistics(_) | Record::Other => {}
        }
        Ok(())
    };
    records.data(&mut handle).map_err(located(path))
}

/// What is known of a file's channels.
#[derive(Default)]
struct ChannelTable {
    /// Type and definition by schema.
    schemas: HashMap<u16, (String, Option<String>)>,
    /// Schema and topic by channel; in ROS 2's encoding.
    channels: HashMap<u16, (u16, String)>,
    counts: HashMap<u16, u64>,
    has_statistics: bool,
}

impl ChannelTable {
    fn add(&mut self, record: Record) -> Result<(), String> {
        match record {
            Record::Schema(schema) => {
                let is_text = schema.encoding == ROS2_MSG;
                let text = std::str::from_utf8(schema.data).ok().filter(|_| is_text).map(String::from);
                self.schemas.entry(schema.id).or_insert_with(|| (schema.name.into(), text));
            }
            Record::Channel(channel) if channel.message_encoding == CDR => {
                self.channels.entry(channel.id).or_insert_with(|| (channel.schema_id, channel.topic.into()));
            }
            Record::Channel(channel) => {
                tracing::warn!(
                    topic = channel.topic,
                    encoding = channel.message_encoding,
                    "a topic in another encoding than cdr is left out"
                );
            }
            Record::Message(message) => *self.counts.entry(message.channel_id).or_default() += 1,
            Record::Statistics(counts) => {
                self.has_statistics = true;
                self.counts = counts.into_iter().collect();
            }
            Record::Other => {}
        }
        Ok(())
    }
}

fn topics_of(path: &Path) -> Result<Vec<BagTopic>, BagError> {
    let mut records = Records::open(path).map_err(located(path))?;
    let mut contents = ChannelTable::default();
    let summary = records.summary(&mut |record| contents.add(record));
    let complete = matches!(summary, Ok(true)) && contents.has_statistics;
    if !complete || contents.counts.keys().any(|id| !contents.channels.contains_key(id)) {
        // Unfinished, damaged, or written without a summary: look through all of it.
        contents = ChannelTable::default();
        let outcome = Records::open(path).and_then(|mut records| records.data(&mut |record| contents.add(record)));
        if let (Err(error), true) = (outcome, contents.channels.is_empty()) {
            return Err(located(path)(error));
        }
    }
    let mut topics: Vec<BagTopic> = Vec::new();
    for (id, (schema, name)) in contents.channels {
        let messages = Some(contents.counts.get(&id).copied().unwrap_or(0));
        let (message_type, definition) = contents.schemas.get(&schema).cloned().unwrap_or_default();
        match topics.iter_mut().find(|topic| topic.name == name) {
            // Several publishers of one topic.
            Some(topic) if topic.message_type == message_type => {
                topic.messages = topic.messages.zip(messages).map(|(a, b)| a.saturating_add(b));
            }
            Some(topic) => {
                let (expected, got) = (topic.message_type.clone(), message_type);
                return Err(BagError::TopicType { topic: name, expected, got });
            }
            None => topics.push(BagTopic { name, message_type, definition, messages }),
        }
    }
    Ok(topics)
}
