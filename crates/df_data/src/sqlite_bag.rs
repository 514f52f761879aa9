//! sqlite3 storage of rosbag2, read. <https://github.com/ros2/rosbag2/tree/rolling/rosbag2_storage_sqlite3>

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tempfile::NamedTempFile;

use super::bag::Location;
use super::packed::{MAX_MESSAGE, Unpacker, is_packed, unpacking};
use super::{Bag, BagError, BagMessage, BagTopic};

/// The message encoding of ROS 2. Topics of another one are left out.
const CDR: &str = "cdr";
/// The kind of definition that this project reads.
const ROS2_MSG: &str = "ros2msg";
/// Where the header of a database says its page size, how often it was changed, how many pages it has, and after which
/// change that was so. <https://www.sqlite.org/fileformat2.html>
const PAGE_SIZE_AT: usize = 16;
const CHANGES_AT: usize = 24;
const PAGES_AT: usize = 28;
const PAGES_AFTER_AT: usize = 92;
const HEADER_LENGTH: usize = 100;

/// One sqlite3 file, packed or not.
pub(crate) struct SqliteFile {
    path: PathBuf,
    topics: Vec<BagTopic>,
}

impl SqliteFile {
    /// Reads which topics the file holds.
    ///
    /// # Errors
    /// A file that cannot be read or is none of rosbag2's.
    pub(crate) fn open(path: PathBuf) -> Result<Self, BagError> {
        let topics = Database::open(&path)?.topics()?.into_iter().map(|(_, topic)| topic).collect();
        Ok(Self { path, topics })
    }
}

impl Bag for SqliteFile {
    fn topics(&self) -> &[BagTopic] {
        &self.topics
    }

    fn read(&self, topics: &[&str], each: &mut dyn FnMut(&BagMessage)) -> Result<(), BagError> {
        // Opened again: of a recording of many packed files, only one lies unpacked on the disk.
        Database::open(&self.path)?.read(topics, each)
    }
}

/// A file while it is open.
struct Database<'a> {
    path: &'a Path,
    connection: Connection,
    /// The unpacked file, if it was packed; removed at the end.
    _unpacked: Option<NamedTempFile>,
}

impl<'a> Database<'a> {
    fn open(path: &'a Path) -> Result<Self, BagError> {
        let unreadable = |cause| BagError::Unreadable { path: path.into(), cause };
        let unpacked = if is_packed(path).map_err(unreadable)? { Some(unpack(path)?) } else { None };
        let plain = unpacked.as_ref().map_or(path, NamedTempFile::path);
        let mut header = Vec::with_capacity(HEADER_LENGTH);
        let file = File::open(plain).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        file.take(HEADER_LENGTH as u64).read_to_end(&mut header).map_err(unreadable)?;
        match stated_length(&header) {
            // Made to read it, sqlite takes what is missing of a message for zeros.
            Some(stated) if length < stated => {
                let reason = format!(
                    "expected {stated} bytes by its header; sqlite3's command .recover can save what is there into a new file"
                );
                Err(BagError::Damaged { path: path.into(), at: Location::Byte(length), reason })
            }
            _ => {
                let connection = connect(plain).map_err(|error| not_a_bag(path, &error))?;
                Ok(Self { path, connection, _unpacked: unpacked })
            }
        }
    }

    /// The topics in ROS 2's encoding by their number.
    fn topics(&self) -> Result<Vec<(i64, BagTopic)>, BagError> {
        let definitions = self.definitions().map_err(|error| self.broken(0, &error))?;
        let read = || -> rusqlite::Result<Vec<(i64, BagTopic)>> {
            let mut statement = self.connection.prepare("SELECT id, name, type, serialization_format FROM topics")?;
            let mut rows = statement.query([])?;
            let mut topics = Vec::new();
            while let Some(row) = rows.next()? {
                let (name, message_type, encoding): (String, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
                if encoding != CDR {
                    tracing::warn!(topic = name, encoding, "a topic in another encoding than cdr is left out");
                    continue;
                }
                let definition = definitions.get(&message_type).cloned();
                topics.push((row.get(0)?, BagTopic { name, message_type, definition, messages: None }));
            }
            Ok(topics)
        };
        read().map_err(|error| if is_damage(&error) { self.broken(0, &error) } else { not_a_bag(self.path, &error) })
    }

    /// Definition by type. Bags of the versions before Iron have none.
    fn definitions(&self) -> rusqlite::Result<HashMap<String, String>> {
        let known = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'message_definitions'";
        if self.connection.query_row(known, [], |row| row.get::<_, i64>(0))? == 0 {
            return Ok(HashMap::new());
        }
        let text = "SELECT topic_type, encoded_message_definition FROM message_definitions WHERE encoding = ?1";
        let mut statement = self.connection.prepare(text)?;
        statement.query_map([ROS2_MSG], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    }

    fn read(&self, topics: &[&str], each: &mut dyn FnMut(&BagMessage)) -> Result<(), BagError> {
        // One message per wanted topic, whose memory is used again.
        let message = |topic: BagTopic| BagMessage { topic: topic.name, log_ns: 0, bytes: Vec::new() };
        let wanted = self.topics()?.into_iter().filter(|(_, topic)| topics.contains(&topic.name.as_str()));
        let mut wanted: HashMap<i64, BagMessage> = wanted.map(|(id, topic)| (id, message(topic))).collect();
        // In the order of recording. sqlite reads the data of what is not wanted only where it shares a page; told
        // which topics are wanted, it would look each of them up in a tree of its own, for every message.
        let text = "SELECT id, topic_id, timestamp, data FROM messages ORDER BY id";
        let mut unpacker = Unpacker::default();
        let mut last = i64::MIN;
        let broken = |last: i64, error: &rusqlite::Error| self.broken(last.max(0), error);
        let mut statement = self.connection.prepare(text).map_err(|error| broken(last, &error))?;
        let mut rows = statement.query([]).map_err(|error| broken(last, &error))?;
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => return Ok(()),
                Err(error) => return Err(broken(last, &error)),
            };
            let mut give = || -> Result<i64, String> {
                let text = |error: rusqlite::Error| error.to_string();
                let (id, topic): (i64, i64) = (row.get(0).map_err(text)?, row.get(1).map_err(text)?);
                if id <= last {
                    return Err(format!("expected a message after {last}, got {id}"));
                }
                let Some(slot) = wanted.get_mut(&topic) else { return Ok(id) };
                slot.log_ns = row.get(2).map_err(text)?;
                let data = row.get_ref(3).map_err(text)?.as_blob().map_err(|error| error.to_string())?;
                unpacker.unpack(data, &mut slot.bytes)?;
                each(slot);
                Ok(id)
            };
            last = give().map_err(|reason| self.damaged(last.max(0), reason))?;
        }
    }

    fn damaged(&self, last: i64, reason: String) -> BagError {
        BagError::Damaged { path: self.path.into(), at: Location::AfterMessage(last), reason }
    }

    fn broken(&self, last: i64, error: &rusqlite::Error) -> BagError {
        self.damaged(last, error.to_string())
    }
}

fn not_a_bag(path: &Path, error: &rusqlite::Error) -> BagError {
    BagError::NotABag { path: path.into(), reason: error.to_string() }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    use ErrorCode::{DatabaseCorrupt, NotADatabase, SystemIoFailure};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase | SystemIoFailure))
}

/// Unpacks a file into the folder for temporary files (`TMPDIR`).
fn unpack(path: &Path) -> Result<NamedTempFile, BagError> {
    let unreadable = |cause| BagError::Unreadable { path: path.into(), cause };
    let mut unpacked = tempfile::Builder::new().prefix("df_planner-").suffix(".db3").tempfile().map_err(unreadable)?;
    let mut from = File::open(path).and_then(unpacking).map_err(unreadable)?;
    std::io::copy(&mut from, &mut unpacked).map_err(|error| {
        let length = unpacked.as_file().metadata().map_or(0, |metadata| metadata.len());
        let reason = format!("a packed file: {error}");
        BagError::Damaged { path: path.into(), at: Location::Byte(length), reason }
    })?;
    Ok(unpacked)
}

/// Opens a database that is only read. One that nobody writes is taken to be immutable: nothing is written beside it
/// then.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let beside = |ending: &str| {
        let mut name = path.as_os_str().to_os_string();
        name.push(ending);
        std::fs::metadata(name).is_ok_and(|metadata| metadata.len() > 0)
    };
    let connection = if beside("-wal") || beside("-journal") {
        // The recorder is at work, or was killed: what it had not yet put into the file lies beside it.
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?
    } else {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        Connection::open_with_flags(uri(path), flags)?
    };
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_MESSAGE as i32)?;
    connection.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;")?;
    Ok(connection)
}

fn uri(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    let escaped = path.as_os_str().as_bytes().iter().map(|&byte| match byte {
        byte if plain(byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02x}"),
    });
    format!("file:{}?immutable=1", escaped.collect::<String>())
}

/// The length that the header of a database states, bytes; `None` where it is out of date.
fn stated_length(header: &[u8]) -> Option<u64> {
    let number = |at: usize| Some(u32::from_be_bytes(header.get(at..at + 4)?.try_into().ok()?));
    if number(CHANGES_AT)? != number(PAGES_AFTER_AT)? {
        return None;
    }
    // A page size of 1 means 65,536.
    let page = match u16::from_be_bytes(header.get(PAGE_SIZE_AT..PAGE_SIZE_AT + 2)?.try_into().ok()?) {
        1 => 1 << 16,
        size => u64::from(size),
    };
    Some(page * u64::from(number(PAGES_AT)?))
}
