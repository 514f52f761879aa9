//! Writes rosbag2 directories: one MCAP file and its `metadata.yaml`, as rosbag2 and the PyPI package `rosbags` read
//! them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use mcap::records::MessageHeader;
use mcap::{Compression, WriteOptions, Writer};

use super::BagError;

/// The version of rosbag2's metadata since which QoS profiles are a list.
const METADATA_VERSION: u32 = 9;

/// Writes a rosbag2 directory with one MCAP file and its `metadata.yaml`.
///
/// It grows beside its place under the name `.NAME.partial-PID` and is moved there by [`BagWriter::finish`]: a
/// directory of the right name is a whole bag.
pub struct BagWriter {
    directory: PathBuf,
    partial: PathBuf,
    file_name: String,
    writer: Writer<BufWriter<File>>,
    topics: Vec<WrittenTopic>,
    /// First and last log time.
    times: Option<(i64, i64)>,
}

struct WrittenTopic {
    name: String,
    message_type: String,
    channel: u16,
    messages: u32,
}

impl BagWriter {
    /// Starts a bag; refuses a directory that exists.
    ///
    /// # Errors
    /// The directory exists, has no name, or cannot be written.
    pub fn create(directory: &Path) -> Result<Self, BagError> {
        let Some(name) = directory.file_name().and_then(|name| name.to_str()) else {
            return Err(BagError::NotABag { path: directory.into(), reason: "a bag needs a name".into() });
        };
        if directory.exists() {
            return Err(BagError::Exists { path: directory.into() });
        }
        let partial = directory.with_file_name(format!(".{name}.partial-{}", std::process::id()));
        let file_name = format!("{name}_0.mcap");
        let unreadable = |cause| BagError::Unwritable { path: partial.clone(), reason: format!("{cause}") };
        std::fs::create_dir_all(directory.parent().unwrap_or(Path::new("."))).map_err(unreadable)?;
        std::fs::create_dir(&partial).map_err(unreadable)?;
        let file = File::create_new(partial.join(&file_name)).map_err(unreadable)?;
        // One thread: compression is not what takes time here, and the bytes are the same on every machine.
        let options = WriteOptions::new().profile("ros2").compression(Some(Compression::Zstd)).compression_threads(0);
        let writer = options.create(BufWriter::new(file));
        let writer =
            writer.map_err(|error| BagError::Unwritable { path: partial.clone(), reason: error.to_string() })?;
        Ok(Self { directory: directory.into(), partial, file_name, writer, topics: Vec::new(), times: None })
    }

    /// Adds a topic; `definition` is the concatenated `.msg` text. Returns its number for [`BagWriter::write`].
    ///
    /// # Errors
    /// The topic was added before, or as the storage says.
    pub fn topic(&mut self, name: &str, message_type: &str, definition: &str) -> Result<usize, BagError> {
        if self.topics.iter().any(|topic| topic.name == name) {
            return Err(self.unwritable(format!("the topic `{name}` was added before")));
        }
        let schema = self.writer.add_schema(message_type, "ros2msg", definition.as_bytes());
        let channel = schema.and_then(|schema| self.writer.add_channel(schema, name, "cdr", &BTreeMap::new()));
        let channel = channel.map_err(|error| self.unwritable(error))?;
        self.topics.push(WrittenTopic { name: name.into(), message_type: message_type.into(), channel, messages: 0 });
        Ok(self.topics.len() - 1)
    }

    /// Writes one serialized message, received at `log_ns` (not negative).
    ///
    /// # Errors
    /// A topic that was not added, a negative time, or as the storage says.
    pub fn write(&mut self, topic: usize, log_ns: i64, bytes: &[u8]) -> Result<(), BagError> {
        let Some(entry) = self.topics.get_mut(topic) else {
            return Err(self.unwritable(format!("there is no topic number {topic}")));
        };
        let header = MessageHeader {
            channel_id: entry.channel,
            sequence: entry.messages,
            log_time: u64::try_from(log_ns).unwrap_or(u64::MAX),
            publish_time: u64::try_from(log_ns).unwrap_or(u64::MAX),
        };
        if log_ns < 0 {
            return Err(self.unwritable(format!("expected a time of at least 0, got {log_ns} ns")));
        }
        entry.messages = entry.messages.wrapping_add(1);
        self.times = Some(self.times.map_or((log_ns, log_ns), |(first, last)| (first.min(log_ns), last.max(log_ns))));
        self.writer.write_to_known_channel(&header, bytes).map_err(|error| self.unwritable(error))
    }

    /// Ends the file, writes `metadata.yaml`, and moves the directory to its place.
    ///
    /// # Errors
    /// As the storage says; what was written then stays under the partial name.
    pub fn finish(mut self) -> Result<(), BagError> {
        self.writer.finish().map_err(|error| self.unwritable(error))?;
        let metadata = self.partial.join("metadata.yaml");
        std::fs::write(&metadata, self.metadata()).map_err(|error| self.unwritable(error))?;
        if self.directory.exists() {
            return Err(BagError::Exists { path: self.directory });
        }
        std::fs::rename(&self.partial, &self.directory).map_err(|error| self.unwritable(error))
    }

    fn unwritable(&self, reason: impl ToString) -> BagError {
        BagError::Unwritable { path: self.partial.clone(), reason: reason.to_string() }
    }

    /// The text of `metadata.yaml`, in the order in which rosbag2 writes it.
    fn metadata(&self) -> String {
        let (first, last) = self.times.unwrap_or((0, 0));
        let duration = last - first;
        let messages: u64 = self.topics.iter().map(|topic| u64::from(topic.messages)).sum();
        let file = quoted(&self.file_name);
        let mut text = format!(
            "rosbag2_bagfile_information:\n  version: {METADATA_VERSION}\n  storage_identifier: mcap\n  \
             duration:\n    nanoseconds: {duration}\n  starting_time:\n    nanoseconds_since_epoch: {first}\n  \
             message_count: {messages}\n  topics_with_message_count:{}\n",
            if self.topics.is_empty() { " []" } else { "" }
        );
        for topic in &self.topics {
            text += &format!(
                "    - topic_metadata:\n        name: {}\n        type: {}\n        serialization_format: cdr\n        \
                 offered_qos_profiles: []\n        type_description_hash: \"\"\n      message_count: {}\n",
                quoted(&topic.name),
                quoted(&topic.message_type),
                topic.messages
            );
        }
        text += &format!(
            "  compression_format: \"\"\n  compression_mode: \"\"\n  relative_file_paths:\n    - {file}\n  files:\n    \
             - path: {file}\n      starting_time:\n        nanoseconds_since_epoch: {first}\n      duration:\n        \
             nanoseconds: {duration}\n      message_count: {messages}\n  custom_data: ~\n  ros_distro: df_planner\n"
        );
        text
    }
}

/// A YAML string in double quotes.
fn quoted(text: &str) -> String {
    // JSON's escapes are YAML's.
    serde_json::Value::from(text).to_string()
}
