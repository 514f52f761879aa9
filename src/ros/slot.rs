//! A place for one value that keeps the newest: the tick thread never waits for the planning thread.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Holds at most one value; a newer one replaces it.
#[derive(Debug)]
pub struct Slot<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    value: Option<T>,
    closed: bool,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { state: Mutex::new(State { value: None, closed: false }), changed: Condvar::new() }
    }
}

impl<T> Slot<T> {
    /// Leaves a value; one that was not taken yet is dropped.
    pub fn put(&self, value: T) {
        self.lock().value = Some(value);
        self.changed.notify_one();
    }

    /// Waits for a value; `None` once the slot is closed.
    pub fn take(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(value) = state.value.take() {
                return Some(value);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends every wait, now and later.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn keeps_the_newest_and_ends_when_closed() {
        let slot = Slot::default();
        slot.put(1);
        slot.put(2);
        assert_eq!(slot.take(), Some(2));
        slot.put(3);
        slot.close();
        assert_eq!(slot.take(), None);
    }

    #[test]
    fn a_waiting_thread_is_woken_by_a_value_and_by_the_end() {
        let slot = Arc::new(Slot::default());
        let waiting = slot.clone();
        let thread = std::thread::spawn(move || std::iter::from_fn(|| waiting.take()).last());
        slot.put(7);
        while slot.lock().value.is_some() {
            std::thread::yield_now();
        }
        slot.close();
        assert_eq!(thread.join().unwrap(), Some(7));
    }
}
