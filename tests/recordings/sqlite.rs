//! Bags in sqlite3 storage, as rosbag2 writes them.

use std::path::Path;

use df_message::Definitions;
use rusqlite::Connection;

use super::{FORCE, ODOM, Written, definitions};

/// The tables of rosbag2.
const TABLES: &str = "CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL,
    serialization_format TEXT NOT NULL, offered_qos_profiles TEXT NOT NULL);
    CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, timestamp INTEGER NOT NULL, data BLOB NOT NULL);
    CREATE INDEX timestamp_idx ON messages (timestamp ASC);";
/// The columns that ROS 2 Iron added.
const SINCE_IRON: &str = "ALTER TABLE topics ADD COLUMN type_description_hash TEXT NOT NULL DEFAULT '';
    CREATE TABLE message_definitions(id INTEGER PRIMARY KEY, topic_type TEXT NOT NULL, encoding TEXT NOT NULL,
    encoded_message_definition TEXT NOT NULL, type_description_hash TEXT NOT NULL);
    CREATE TABLE schema(schema_version INTEGER PRIMARY KEY, ros_distro TEXT NOT NULL);
    INSERT INTO schema VALUES (4, 'jazzy');";

/// Messages in one transaction.
const BATCH: usize = 10_000;

/// Writes one file.
pub struct SqliteWriter {
    connection: Connection,
    messages: usize,
}

impl SqliteWriter {
    /// `topics`: name, type and definition. Without definitions, as before Iron.
    pub fn create(path: &Path, topics: &[(&str, &str, Option<String>)]) -> Self {
        let connection = Connection::open(path).unwrap();
        connection.execute_batch("PRAGMA synchronous = OFF").unwrap();
        connection.execute_batch(TABLES).unwrap();
        if topics.iter().any(|(.., definition)| definition.is_some()) {
            connection.execute_batch(SINCE_IRON).unwrap();
        }
        for (topic, message_type, definition) in topics {
            let into =
                "INSERT INTO topics(name, type, serialization_format, offered_qos_profiles) VALUES (?1, ?2, 'cdr', '')";
            connection.execute(into, [topic, message_type]).unwrap();
            if let Some(text) = definition {
                let into = "INSERT INTO message_definitions(topic_type, encoding, encoded_message_definition,
                    type_description_hash) VALUES (?1, 'ros2msg', ?2, '')";
                connection.execute(into, [*message_type, text.as_str()]).unwrap();
            }
        }
        connection.execute_batch("BEGIN").unwrap();
        Self { connection, messages: 0 }
    }

    /// `topic`: its index in the given topics.
    pub fn write(&mut self, topic: usize, log_ns: i64, bytes: &[u8]) {
        let into = "INSERT INTO messages(topic_id, timestamp, data) VALUES (?1, ?2, ?3)";
        self.connection.prepare_cached(into).unwrap().execute((topic as i64 + 1, log_ns, bytes)).unwrap();
        self.messages += 1;
        if self.messages.is_multiple_of(BATCH) {
            self.connection.execute_batch("COMMIT; BEGIN").unwrap();
        }
    }

    pub fn finish(self) {
        self.connection.execute_batch("COMMIT").unwrap();
    }
}

/// Writes the messages of a drive; `packed` compresses each of them.
pub fn write_sqlite(path: &Path, messages: &[Written], with_definitions: bool, packed: bool) {
    let topic =
        |name, message_type| (name, message_type, with_definitions.then(|| definitions().text(message_type).unwrap()));
    let topics = [topic(ODOM, "nav_msgs/msg/Odometry"), topic(FORCE, "geometry_msgs/msg/WrenchStamped")];
    let mut writer = SqliteWriter::create(path, &topics);
    for (name, log_ns, bytes) in messages {
        let topic = topics.iter().position(|(topic, ..)| topic == name).unwrap();
        let packed = if packed { zstd::bulk::compress(bytes, 1).unwrap() } else { bytes.clone() };
        writer.write(topic, *log_ns, &packed);
    }
    writer.finish();
}
