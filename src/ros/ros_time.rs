//! ROS time: the system's clock or the topic `/clock`. Wakes the threads that wait for a time or
//! an event.

use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use r2r::builtin_interfaces::msg::Time;

use super::lock::{lock, wait_for};

const NS_PER_S: i64 = 1_000_000_000;

/// The time of one node, shared by all its threads.
#[derive(Debug)]
pub struct RosTime {
    simulated: bool,
    /// The newest time of `/clock` in nanoseconds. None before the first message, and always on
    /// the system's clock.
    clock_ns: Mutex<Option<i64>>,
    wakeup: Condvar,
}

impl RosTime {
    /// `simulated`: the times come from [`RosTime::set`]. Otherwise the system's clock is used.
    pub fn new(simulated: bool) -> Self {
        Self { simulated, clock_ns: Mutex::new(None), wakeup: Condvar::new() }
    }

    /// True if the time comes from `/clock`.
    pub fn is_simulated(&self) -> bool {
        self.simulated
    }

    /// The time in nanoseconds since 1970. On simulated time 0 before the first `/clock` message,
    /// as everywhere in ROS.
    pub fn now_ns(&self) -> i64 {
        if self.simulated { lock(&self.clock_ns).unwrap_or(0) } else { system_ns() }
    }

    /// Sets the simulated time in nanoseconds and wakes all waiting threads.
    pub fn set(&self, now_ns: i64) {
        *lock(&self.clock_ns) = Some(now_ns);
        self.wakeup.notify_all();
    }

    /// Wakes all threads in [`RosTime::wait`]: something that they check has changed.
    pub fn notify(&self) {
        // Taking the lock makes sure that no thread is between its check and its wait.
        drop(lock(&self.clock_ns));
        self.wakeup.notify_all();
    }

    /// Waits until `check` returns a value. `check` gets the simulated time in nanoseconds. It runs
    /// at once, at every [`RosTime::set`] and at every [`RosTime::notify`]. Returns `None` after
    /// `timeout`.
    pub fn wait<T>(&self, timeout: Duration, mut check: impl FnMut(Option<i64>) -> Option<T>) -> Option<T> {
        let until = Instant::now() + timeout;
        let mut clock_ns = lock(&self.clock_ns);
        loop {
            if let Some(found) = check(*clock_ns) {
                return Some(found);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            clock_ns = wait_for(&self.wakeup, clock_ns, left);
        }
    }
}

/// Converts nanoseconds since 1970 to a message's time.
pub fn stamp(ns: i64) -> Time {
    // The message holds 32 bits of seconds, which end in 2038: later times become the last one.
    let sec = i32::try_from(ns.div_euclid(NS_PER_S)).unwrap_or(i32::MAX);
    Time { sec, nanosec: ns.rem_euclid(NS_PER_S) as u32 }
}

/// Converts a message's time to nanoseconds since 1970.
pub fn stamped_ns(stamp: &Time) -> i64 {
    i64::from(stamp.sec) * NS_PER_S + i64::from(stamp.nanosec)
}

/// The system's clock in nanoseconds since 1970; 0 if it is set before 1970 or after 2262.
pub fn system_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|d| i64::try_from(d.as_nanos()).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_time_is_the_same_after_conversion_to_a_message_and_back() {
        // Before 1970 the seconds are rounded down.
        for (ns, (sec, nanosec)) in [(0, (0, 0)), (5_250_000_000, (5, 250_000_000)), (-1, (-1, 999_999_999))] {
            let message = stamp(ns);
            assert_eq!((message.sec, message.nanosec), (sec, nanosec));
            assert_eq!(stamped_ns(&message), ns);
        }
    }

    #[test]
    fn simulated_time_is_the_newest_time_of_the_clock_topic() {
        let time = RosTime::new(true);
        assert_eq!(time.now_ns(), 0);
        time.set(7);
        assert_eq!(time.now_ns(), 7);
        assert!(RosTime::new(false).now_ns() > 1_700_000_000_000_000_000);
    }

    #[test]
    fn a_waiting_thread_is_woken_by_the_clock_and_by_a_notification() {
        let time = Arc::new(RosTime::new(true));
        let event = Arc::new(AtomicBool::new(false));
        let (waiting, seen) = (time.clone(), event.clone());
        let thread = std::thread::spawn(move || {
            let timeout = Duration::from_secs(60);
            let at = waiting.wait(timeout, |now| now.filter(|&now| now >= 5));
            let event = waiting.wait(timeout, |_| seen.load(Ordering::Relaxed).then_some(()));
            (at, event)
        });
        time.set(4);
        time.set(5);
        event.store(true, Ordering::Relaxed);
        time.notify();
        assert_eq!(thread.join().unwrap(), (Some(5), Some(())));
        assert_eq!(time.wait(Duration::from_millis(1), |_| None::<()>), None);
    }
}
