//! The trait behind which every storage of recordings stands, and what can be wrong with a recording.

use std::path::{Path, PathBuf};

use super::mcap_bag::McapBag;
use crate::message::SchemaDefinitions;

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

/// Why a recording cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum BagError {
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{}: is no bag: {reason}", path.display())]
    NotABag { path: PathBuf, reason: String },
    #[error("{}: expected MCAP storage without outer compression, got {got}", path.display())]
    Storage { path: PathBuf, got: String },
    #[error("{}, byte {offset}: damaged: {reason}", path.display())]
    Damaged { path: PathBuf, offset: u64, reason: String },
    #[error("{}, byte {offset}: the recording was cut off here", path.display())]
    Unfinished { path: PathBuf, offset: u64 },
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

/// Opens a rosbag2 directory (with or without `metadata.yaml`) or a bare MCAP file.
///
/// # Errors
/// No such path, no known storage, a file of which nothing can be read.
pub fn open(path: &Path) -> Result<Box<dyn Bag>, BagError> {
    let unreadable = |path: &Path| {
        let path = path.to_path_buf();
        move |source| BagError::Unreadable { path, source }
    };
    if !std::fs::metadata(path).map_err(unreadable(path))?.is_dir() {
        return Ok(Box::new(McapBag::open(vec![path.into()])?));
    }
    let metadata = path.join("metadata.yaml");
    let mut files = Vec::new();
    match std::fs::read_to_string(&metadata) {
        Ok(text) => {
            for (key, good) in [("storage_identifier", "mcap"), ("compression_mode", "")] {
                let got = value(&text, key).unwrap_or(good.into());
                if got != good && !(key == "compression_mode" && got.eq_ignore_ascii_case("none")) {
                    return Err(BagError::Storage { path: path.into(), got: format!("{key} `{got}`") });
                }
            }
            // Old versions wrote paths from the parent folder; a bag does not reach out of its directory anyway.
            let names = items(&text, "relative_file_paths");
            files.extend(names.iter().filter_map(|name| Path::new(name).file_name()).map(|name| path.join(name)));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            for entry in std::fs::read_dir(path).map_err(unreadable(path))? {
                let file = entry.map_err(unreadable(path))?.path();
                if file.extension().is_some_and(|extension| extension == "mcap") {
                    files.push(file);
                }
            }
            files.sort_by_key(|file| natural(&file.to_string_lossy()));
        }
        Err(error) => return Err(unreadable(&metadata)(error)),
    }
    if files.is_empty() {
        let reason = "it names no file and holds no .mcap file".to_string();
        return Err(BagError::NotABag { path: path.into(), reason });
    }
    Ok(Box::new(McapBag::open(files)?))
}

/// A key for which `a_2` comes before `a_10`, as rosbag2 numbers its files.
fn natural(name: &str) -> Vec<(String, u64)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let text = &rest[..rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len())];
        rest = &rest[text.len()..];
        let digits = &rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())];
        rest = &rest[digits.len()..];
        parts.push((text.to_string(), digits.parse().unwrap_or(u64::MAX)));
    }
    parts
}

/// The scalar of a key of `metadata.yaml`. Only the few plain forms that its writers use: YAML proper stays in `config`.
fn value(text: &str, key: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(key)?.strip_prefix(':'))?;
    Some(plain(line))
}

/// The list of a key of `metadata.yaml`, one item a line or in brackets.
fn items(text: &str, key: &str) -> Vec<String> {
    let mut lines = text.lines().skip_while(|line| !line.trim_start().starts_with(&format!("{key}:")));
    let first = lines.next().and_then(|line| line.split_once(':')).map_or("", |(_, rest)| rest.trim());
    match first.strip_prefix('[').and_then(|list| list.strip_suffix(']')) {
        Some(list) => list.split(',').map(plain).filter(|item| !item.is_empty()).collect(),
        None => lines.map_while(|line| line.trim_start().strip_prefix("- ")).map(plain).collect(),
    }
}

fn plain(scalar: &str) -> String {
    let scalar = scalar.trim();
    let quoted = |quote: char| scalar.strip_prefix(quote).and_then(|s| s.strip_suffix(quote));
    quoted('"').or_else(|| quoted('\'')).unwrap_or(scalar).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_of_both_writers_is_read() {
        let rosbag2 = "rosbag2_bagfile_information:\n  version: 5\n  storage_identifier: mcap\n  relative_file_paths:\n    - a_0.mcap\n    - 'a 1.mcap'\n  duration:\n    nanoseconds: 5\n  compression_mode: \"\"\n";
        assert_eq!(items(rosbag2, "relative_file_paths"), ["a_0.mcap", "a 1.mcap"]);
        assert_eq!(value(rosbag2, "storage_identifier").as_deref(), Some("mcap"));
        assert_eq!(value(rosbag2, "compression_mode").as_deref(), Some(""));
        let unindented = "  relative_file_paths:\n  - \"b_0.mcap\"\n  files:\n  - path: b_0.mcap\n";
        assert_eq!(items(unindented, "relative_file_paths"), ["b_0.mcap"]);
        assert_eq!(items("relative_file_paths: [a.mcap, 'b.mcap']\n", "relative_file_paths"), ["a.mcap", "b.mcap"]);
    }

    #[test]
    fn files_are_sorted_by_their_numbers() {
        let mut names = ["a_10.mcap", "a_2.mcap", "a_1.mcap", "a.mcap"];
        names.sort_by_key(|name| natural(name));
        assert_eq!(names, ["a.mcap", "a_1.mcap", "a_2.mcap", "a_10.mcap"]);
    }

    #[test]
    fn what_is_no_bag_is_refused_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = |path: &Path| open(path).err().unwrap().to_string();
        assert!(refusal(&folder.path().join("none")).contains("none: cannot be read"));
        assert!(refusal(folder.path()).contains("holds no .mcap file"));
        let file = folder.path().join("text.mcap");
        std::fs::write(&file, "this is no recording").unwrap();
        assert!(refusal(&file).contains("text.mcap, byte 0: damaged"));
        std::fs::write(folder.path().join("metadata.yaml"), "  storage_identifier: sqlite3\n").unwrap();
        assert!(refusal(folder.path()).contains("got storage_identifier `sqlite3`"));
        std::fs::write(folder.path().join("metadata.yaml"), "  storage_identifier: mcap\n  compression_mode: FILE\n")
            .unwrap();
        assert!(refusal(folder.path()).contains("got compression_mode `FILE`"));
    }
}
