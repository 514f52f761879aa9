//! What the working threads want told to people: sent without waiting, throttled, and logged elsewhere.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

/// Notices that may wait to be told; more are dropped (the throttle would have dropped them anyway).
const WAITING: usize = 256;
/// A warning or an error of one kind is told at most this often.
const INTERVAL: Duration = Duration::from_secs(2);
/// An information of one kind is told at most this often.
const INFO_INTERVAL: Duration = Duration::from_secs(30);
/// Kinds that are remembered. Some hold what others have sent, such as the names of frames.
const KINDS_MAX: usize = 512;

/// Something worth telling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub severity: Severity,
    /// Notices of one kind are throttled together.
    pub kind: String,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Info,
    Warning,
    Error,
}

/// The sending end, one per thread.
#[derive(Clone)]
pub struct Notices(mpsc::Sender<Notice>);

/// The sending and the receiving end.
pub fn channel() -> (Notices, mpsc::Receiver<Notice>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Notices(sender), receiver)
}

impl Notices {
    /// Sends without waiting.
    pub fn send(&self, severity: Severity, kind: impl Into<String>, text: impl Into<String>) {
        // Full or closed: a notice is not worth a wait, least of all on the tick thread.
        let _ = self.0.try_send(Notice { severity, kind: kind.into(), text: text.into() });
    }

    pub fn info(&self, kind: impl Into<String>, text: impl Into<String>) {
        self.send(Severity::Info, kind, text);
    }

    pub fn error(&self, kind: impl Into<String>, text: impl Into<String>) {
        self.send(Severity::Error, kind, text);
    }

    pub fn warn(&self, kind: impl Into<String>, text: impl Into<String>) {
        self.send(Severity::Warning, kind, text);
    }
}

/// Lets one notice of a kind through per interval and counts the others.
#[derive(Default)]
pub struct Throttle {
    kinds: HashMap<String, (Instant, u64)>,
}

impl Throttle {
    /// The text to tell now, if any.
    pub fn pass(&mut self, notice: &Notice, now: Instant) -> Option<String> {
        let Some((last, withheld)) = self.kinds.get_mut(&notice.kind) else {
            if self.kinds.len() >= KINDS_MAX {
                self.kinds.retain(|_, (last, _)| now.duration_since(*last) < INTERVAL);
            }
            // More kinds than that within an interval: some are told again too early.
            if self.kinds.len() >= KINDS_MAX {
                self.kinds.clear();
            }
            self.kinds.insert(notice.kind.clone(), (now, 0));
            return Some(notice.text.clone());
        };
        let interval = if notice.severity == Severity::Info { INFO_INTERVAL } else { INTERVAL };
        if now.duration_since(*last) < interval {
            *withheld += 1;
            return None;
        }
        let more = std::mem::take(withheld);
        *last = now;
        Some(if more == 0 { notice.text.clone() } else { format!("{} ({more} more like it)", notice.text) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_kind_per_interval_and_the_rest_counted() {
        let mut throttle = Throttle::default();
        let start = Instant::now();
        let notice = |kind: &str| Notice { severity: Severity::Warning, kind: kind.into(), text: "late".into() };
        assert_eq!(throttle.pass(&notice("a"), start), Some("late".into()));
        assert_eq!(throttle.pass(&notice("a"), start), None);
        assert_eq!(throttle.pass(&notice("b"), start), Some("late".into()));
        assert_eq!(throttle.pass(&notice("a"), start + INTERVAL / 2), None);
        assert_eq!(throttle.pass(&notice("a"), start + INTERVAL), Some("late (2 more like it)".into()));
        assert_eq!(throttle.pass(&notice("a"), start + 2 * INTERVAL), Some("late".into()));
    }

    #[test]
    fn kinds_without_number_take_no_memory_without_bound() {
        let mut throttle = Throttle::default();
        let start = Instant::now();
        for i in 0..3 * KINDS_MAX {
            let notice = Notice { severity: Severity::Info, kind: format!("goal {i}"), text: "new".into() };
            assert!(throttle.pass(&notice, start + Duration::from_millis(i as u64)).is_some());
            assert!(throttle.kinds.len() <= KINDS_MAX);
        }
    }
}
