//! Locking that continues after a panic in another thread.
//!
//! A panic while a mutex is held poisons it. The values guarded here stay valid all the same:
//! they are plain numbers, or they are replaced as a whole.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Locks `mutex`, also if a thread panicked while it held the lock.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a notification of `condvar`. Ignores poisoning as [`lock`] does.
pub(super) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a notification of `condvar`, at most for `timeout`.
pub(super) fn wait_for<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>, timeout: Duration) -> MutexGuard<'a, T> {
    condvar.wait_timeout(guard, timeout).unwrap_or_else(PoisonError::into_inner).0
}

/// Waits while `condition` holds, at most for `timeout`. The caller checks the condition again.
pub fn wait_while_for<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    timeout: Duration,
    condition: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'a, T> {
    condvar.wait_timeout_while(guard, timeout, condition).unwrap_or_else(PoisonError::into_inner).0
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_lock_is_taken_after_a_thread_panicked_with_it() {
        let mutex = Arc::new(Mutex::new(7));
        let held = mutex.clone();
        let thread = std::thread::spawn(move || {
            let _guard = lock(&held);
            panic!("poisons the lock: this is part of the test");
        });
        assert!(thread.join().is_err() && mutex.is_poisoned());
        assert_eq!(*lock(&mutex), 7);
    }
}
