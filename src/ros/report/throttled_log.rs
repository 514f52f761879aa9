//! A log for threads that must not wait: entries go through a bounded channel and are throttled by
//! key, as `RCLCPP_WARN_THROTTLE` does.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

/// The maximum number of entries that wait to be written. Further entries are dropped.
const MAX_WAITING: usize = 256;
/// The minimum time between two warnings or errors of one key.
const INTERVAL: Duration = Duration::from_secs(2);
/// The minimum time between two infos of one key.
const INFO_INTERVAL: Duration = Duration::from_secs(30);
/// The maximum number of remembered keys. Some keys hold what others have sent, such as frame ids.
const MAX_KEYS: usize = 512;

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogEntry {
    /// The log level.
    pub severity: Severity,
    /// Entries with the same key are throttled together.
    pub key: String,
    /// The line.
    pub text: String,
}

/// The level of a log entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// Normal operation.
    Info,
    /// The node works, but not as it should.
    Warning,
    /// Something failed.
    Error,
}

/// The sending end of the log. Each thread has a clone.
#[derive(Clone)]
pub(crate) struct ThrottledLog(mpsc::Sender<LogEntry>);

/// Makes a log: the sending end and the receiving end.
pub(crate) fn log_channel() -> (ThrottledLog, mpsc::Receiver<LogEntry>) {
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    (ThrottledLog(sender), receiver)
}

impl ThrottledLog {
    /// Logs `text` without waiting.
    pub(crate) fn log(&self, severity: Severity, key: impl Into<String>, text: impl Into<String>) {
        // Full or closed: drop the entry. The tick thread must not wait for the log.
        let _ = self.0.try_send(LogEntry { severity, key: key.into(), text: text.into() });
    }

    /// Logs an info.
    pub(crate) fn info(&self, key: impl Into<String>, text: impl Into<String>) {
        self.log(Severity::Info, key, text);
    }

    /// Logs a warning.
    pub(crate) fn warn(&self, key: impl Into<String>, text: impl Into<String>) {
        self.log(Severity::Warning, key, text);
    }

    /// Logs an error.
    pub(crate) fn error(&self, key: impl Into<String>, text: impl Into<String>) {
        self.log(Severity::Error, key, text);
    }

    /// Logs a warning that is not throttled, unless the same text comes again.
    pub(crate) fn warn_each(&self, text: String) {
        self.warn(text.clone(), text);
    }
}

/// Lets one entry of a key through per interval and counts the others.
#[derive(Default)]
pub(crate) struct Throttle {
    keys: HashMap<String, LastEntry>,
}

struct LastEntry {
    written: Instant,
    withheld: u64,
}

impl Throttle {
    /// The text to write at `now`, or None if the entry is withheld.
    pub(crate) fn pass(&mut self, entry: &LogEntry, now: Instant) -> Option<String> {
        let Some(last) = self.keys.get_mut(&entry.key) else {
            self.make_room(now);
            self.keys.insert(entry.key.clone(), LastEntry { written: now, withheld: 0 });
            return Some(entry.text.clone());
        };
        let interval = if entry.severity == Severity::Info { INFO_INTERVAL } else { INTERVAL };
        if now.duration_since(last.written) < interval {
            last.withheld += 1;
            return None;
        }
        let withheld = std::mem::take(&mut last.withheld);
        last.written = now;
        Some(if withheld == 0 { entry.text.clone() } else { format!("{} ({withheld} more like it)", entry.text) })
    }

    /// Forgets old keys if there are too many, and all keys if that is not enough.
    fn make_room(&mut self, now: Instant) {
        if self.keys.len() >= MAX_KEYS {
            self.keys.retain(|_, last| now.duration_since(last.written) < INTERVAL);
        }
        if self.keys.len() >= MAX_KEYS {
            self.keys.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_entry_of_a_key_passes_per_interval_and_the_others_are_counted() {
        let mut throttle = Throttle::default();
        let start = Instant::now();
        let entry = |key: &str| LogEntry { severity: Severity::Warning, key: key.into(), text: "late".into() };
        assert_eq!(throttle.pass(&entry("a"), start), Some("late".into()));
        assert_eq!(throttle.pass(&entry("a"), start), None);
        assert_eq!(throttle.pass(&entry("b"), start), Some("late".into()));
        assert_eq!(throttle.pass(&entry("a"), start + INTERVAL / 2), None);
        assert_eq!(throttle.pass(&entry("a"), start + INTERVAL), Some("late (2 more like it)".into()));
        assert_eq!(throttle.pass(&entry("a"), start + 2 * INTERVAL), Some("late".into()));
    }

    #[test]
    fn the_memory_for_keys_is_bounded() {
        let mut throttle = Throttle::default();
        let start = Instant::now();
        for i in 0..3 * MAX_KEYS {
            let entry = LogEntry { severity: Severity::Info, key: format!("goal {i}"), text: "new".into() };
            assert!(throttle.pass(&entry, start + Duration::from_millis(i as u64)).is_some());
            assert!(throttle.keys.len() <= MAX_KEYS);
        }
    }
}
