//! A recording of rosbag2: a directory of files, with or without `metadata.yaml`, or a single file; MCAP or sqlite3,
//! each packed or not.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::mcap_bag::McapFile;
use super::metadata::file_names;
use super::natural_order::natural;
use super::{Bag, BagError, BagMessage, BagTopic};

/// The extension of a file that is packed as a whole.
const PACKED: &str = "zstd";

/// Opens a rosbag2 directory or a single file of one. Split files are one recording.
///
/// # Errors
/// No such path, no known storage, a file of which nothing can be read.
pub fn open_bag(path: &Path) -> Result<Box<dyn Bag>, BagError> {
    Ok(Box::new(split_bag(path)?))
}

/// As [`open_bag`].
pub(crate) fn split_bag(path: &Path) -> Result<SplitBag, BagError> {
    let unreadable = |cause| BagError::Unreadable { path: path.into(), cause };
    if !std::fs::metadata(path).map_err(unreadable)?.is_dir() {
        return SplitBag::open(vec![path.into()]);
    }
    let metadata = path.join("metadata.yaml");
    let mut files: Vec<PathBuf> = match std::fs::read(&metadata) {
        Ok(text) => {
            let names = file_names(&String::from_utf8_lossy(&text)).map_err(|error| BagError::NotABag {
                path: metadata.clone(),
                reason: format!("{error}; without this file, every bag file of the directory is read"),
            })?;
            names.iter().map(|name| path.join(name)).collect()
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(cause) => return Err(BagError::Unreadable { path: metadata, cause }),
    };
    if files.is_empty() {
        // The recorder writes it last: one that was killed left none.
        files = files_of(path).map_err(unreadable)?;
    }
    if files.is_empty() {
        let reason = "it holds no .mcap or .db3 file, packed (.zstd) or not".to_string();
        return Err(BagError::NotABag { path: path.into(), reason });
    }
    SplitBag::open(files)
}

/// The files of a directory in the order of their numbers. Where a file is there packed and unpacked, as when the
/// recorder was killed in between, the unpacked one counts.
fn files_of(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let file = entry?.path();
        if StorageFormat::of(&file).is_some() {
            files.push(file);
        }
    }
    let all = files.clone();
    files.retain(|file| file.extension() != Some(OsStr::new(PACKED)) || !all.contains(&file.with_extension("")));
    files.sort_by_key(|file| natural(&file.to_string_lossy()));
    Ok(files)
}

#[derive(Clone, Copy, PartialEq)]
enum StorageFormat {
    Mcap,
    Sqlite,
}

impl StorageFormat {
    fn of(file: &Path) -> Option<Self> {
        let name = file.file_name()?.to_str()?;
        match name.strip_suffix(&format!(".{PACKED}")).unwrap_or(name).rsplit_once('.')?.1 {
            "mcap" => Some(Self::Mcap),
            "db3" => Some(Self::Sqlite),
            _ => None,
        }
    }
}

/// Files that follow each other.
pub(crate) struct SplitBag {
    files: Vec<Box<dyn Bag>>,
    topics: Vec<BagTopic>,
}

impl SplitBag {
    fn open(paths: Vec<PathBuf>) -> Result<Self, BagError> {
        let mut files = Vec::new();
        let mut topics: Vec<BagTopic> = Vec::new();
        for path in paths {
            let file = open_file(path)?;
            for topic in file.topics() {
                match topics.iter_mut().find(|known| known.name == topic.name) {
                    None => topics.push(topic.clone()),
                    Some(known) if known.message_type == topic.message_type => {
                        known.messages = known.messages.zip(topic.messages).map(|(a, b)| a.saturating_add(b));
                        known.definition = known.definition.take().or_else(|| topic.definition.clone());
                    }
                    Some(known) => {
                        let (expected, got) = (known.message_type.clone(), topic.message_type.clone());
                        return Err(BagError::TopicType { topic: topic.name.clone(), expected, got });
                    }
                }
            }
            files.push(file);
        }
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { files, topics })
    }
}

fn open_file(path: PathBuf) -> Result<Box<dyn Bag>, BagError> {
    match StorageFormat::of(&path) {
        Some(StorageFormat::Mcap) => Ok(Box::new(McapFile::open(path)?)),
        #[cfg(feature = "formats")]
        Some(StorageFormat::Sqlite) => Ok(Box::new(super::sqlite_bag::SqliteFile::open(path)?)),
        #[cfg(not(feature = "formats"))]
        Some(StorageFormat::Sqlite) => {
            Err(BagError::NotBuilt { path, what: "a bag in sqlite3 storage", feature: "formats" })
        }
        None => {
            Err(BagError::NotABag { path, reason: "expected a .mcap or .db3 file, packed (.zstd) or not".to_string() })
        }
    }
}

impl Bag for SplitBag {
    fn topics(&self) -> &[BagTopic] {
        &self.topics
    }

    fn read(&self, topics: &[&str], each: &mut dyn FnMut(&BagMessage)) -> Result<(), BagError> {
        // A recording that was cut off goes on in its next file, if it has one.
        let mut cut = None;
        for file in &self.files {
            match file.read(topics, each) {
                Err(error @ BagError::Unfinished { .. }) => cut = cut.or(Some(error)),
                other => other?,
            }
        }
        cut.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_sorted_by_their_numbers_and_unpacked_ones_preferred() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a_10.mcap", "a_2.mcap.zstd", "a_2.mcap", "a_1.db3.zstd", "notes.txt", "x.zstd", "mcap"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let names: Vec<String> = files_of(folder.path())
            .unwrap()
            .iter()
            .map(|file| file.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(names, ["a_1.db3.zstd", "a_2.mcap", "a_10.mcap"]);
    }

    #[test]
    fn a_path_that_is_not_a_bag_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = |path: &Path| open_bag(path).err().unwrap().to_string();
        assert!(refusal(&folder.path().join("none")).contains("none: cannot be read"));
        assert!(refusal(folder.path()).contains("holds no .mcap or .db3 file"));
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).unwrap();
            folder.path().join(name)
        };
        assert!(refusal(&write("text.mcap", "this is no recording")).contains("text.mcap, byte 0: damaged"));
        assert!(refusal(&write("text.txt", "nor is this")).contains("expected a .mcap or .db3 file"));
        let sqlite = refusal(&write("text.db3", "nor is this"));
        let expected = if cfg!(feature = "formats") { "not a database" } else { "--features formats" };
        assert!(sqlite.contains("text.db3") && sqlite.contains(expected), "{sqlite}");
        // A file that metadata.yaml names but that is not there.
        write("metadata.yaml", "rosbag2_bagfile_information:\n  relative_file_paths:\n    - lost.mcap\n");
        assert!(refusal(folder.path()).contains("lost.mcap: cannot be read"));
        write("metadata.yaml", "rosbag2_bagfile_information:\n  relative_file_paths: 5\n");
        let wrong = refusal(folder.path());
        assert!(wrong.contains("metadata.yaml") && wrong.contains("relative_file_paths: invalid type"), "{wrong}");
    }
}
