//! A mailbox for one value that keeps the newest. The sender never waits.

use std::sync::{Condvar, Mutex};

use crate::ros::lock::{lock, wait};

/// Holds at most one value. A newer value replaces an older one.
#[derive(Debug)]
pub(crate) struct Mailbox<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    value: Option<T>,
    closed: bool,
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Self { state: Mutex::new(State { value: None, closed: false }), changed: Condvar::new() }
    }
}

impl<T> Mailbox<T> {
    /// Puts a value in. Drops an older value that was not taken.
    pub(crate) fn put(&self, value: T) {
        lock(&self.state).value = Some(value);
        self.changed.notify_one();
    }

    /// Waits for a value and takes it. Returns None if the mailbox is closed.
    pub(crate) fn take(&self) -> Option<T> {
        let mut state = lock(&self.state);
        loop {
            if state.closed {
                return None;
            }
            if let Some(value) = state.value.take() {
                return Some(value);
            }
            state = wait(&self.changed, state);
        }
    }

    /// Closes the mailbox: every [`Mailbox::take`] returns None, now and later.
    pub(crate) fn close(&self) {
        lock(&self.state).closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn take_returns_the_newest_value_and_none_after_close() {
        let mailbox = Mailbox::default();
        mailbox.put(1);
        mailbox.put(2);
        assert_eq!(mailbox.take(), Some(2));
        mailbox.put(3);
        mailbox.close();
        assert_eq!(mailbox.take(), None);
    }

    #[test]
    fn a_waiting_thread_is_woken_by_a_value_and_by_close() {
        let mailbox = Arc::new(Mailbox::default());
        let waiting = mailbox.clone();
        let thread = std::thread::spawn(move || std::iter::from_fn(|| waiting.take()).last());
        mailbox.put(7);
        while lock(&mailbox.state).value.is_some() {
            std::thread::yield_now();
        }
        mailbox.close();
        assert_eq!(thread.join().unwrap(), Some(7));
    }
}
