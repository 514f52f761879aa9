//! ROS time: the system's clock, or what `/clock` says. And the bell that wakes whoever waits for time or for an event.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use r2r::builtin_interfaces::msg::Time;

const NS_PER_S: i64 = 1_000_000_000;

/// The time of one process. Shared by all threads.
#[derive(Debug)]
pub struct RosTime {
    simulated: bool,
    /// What `/clock` said last; none before the first message, and on the system's clock.
    clock_ns: Mutex<Option<i64>>,
    rung: Condvar,
}

impl RosTime {
    /// The system's clock, or (`simulated`) the times given to [`RosTime::set`].
    pub fn new(simulated: bool) -> Self {
        Self { simulated, clock_ns: Mutex::new(None), rung: Condvar::new() }
    }

    pub fn is_simulated(&self) -> bool {
        self.simulated
    }

    /// Nanoseconds since 1970; of a simulated clock that has not been heard yet: 0, as everywhere in ROS.
    pub fn now_ns(&self) -> i64 {
        if self.simulated { self.lock().unwrap_or(0) } else { system_ns() }
    }

    /// `/clock` says so.
    pub fn set(&self, now_ns: i64) {
        *self.lock() = Some(now_ns);
        self.rung.notify_all();
    }

    /// Something came that a thread may be waiting for: it looks again.
    pub fn ring(&self) {
        // With the lock taken once, nobody is between looking and waiting.
        drop(self.lock());
        self.rung.notify_all();
    }

    /// Waits until `look` finds something: it is asked at once, at every change of the clock and at every ring, with the
    /// simulated time. `None`: it found nothing within `patience`.
    pub fn wait<T>(&self, patience: Duration, mut look: impl FnMut(Option<i64>) -> Option<T>) -> Option<T> {
        let until = Instant::now() + patience;
        let mut clock_ns = self.lock();
        loop {
            if let Some(found) = look(*clock_ns) {
                return Some(found);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            clock_ns = self.rung.wait_timeout(clock_ns, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<i64>> {
        self.clock_ns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nanoseconds as a message says them.
pub fn stamp(ns: i64) -> Time {
    // Seconds beyond i32 (the year 2038) cannot be said in this message.
    let sec = i32::try_from(ns.div_euclid(NS_PER_S)).unwrap_or(i32::MAX);
    Time { sec, nanosec: ns.rem_euclid(NS_PER_S) as u32 }
}

/// What a message says, in nanoseconds.
pub fn stamped_ns(stamp: &Time) -> i64 {
    i64::from(stamp.sec) * NS_PER_S + i64::from(stamp.nanosec)
}

/// Nanoseconds of the system's clock.
pub fn system_ns() -> i64 {
    // Before 1970 or after 2262 the clock is not set; 0 makes every age absurd, which is what it is.
    SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|d| i64::try_from(d.as_nanos()).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_time_survives_its_message() {
        // Before 1970 the seconds are rounded down.
        for (ns, (sec, nanosec)) in [(0, (0, 0)), (5_250_000_000, (5, 250_000_000)), (-1, (-1, 999_999_999))] {
            let message = stamp(ns);
            assert_eq!((message.sec, message.nanosec), (sec, nanosec));
            assert_eq!(stamped_ns(&message), ns);
        }
    }

    #[test]
    fn simulated_time_is_what_the_clock_said() {
        let time = RosTime::new(true);
        assert_eq!(time.now_ns(), 0);
        time.set(7);
        assert_eq!(time.now_ns(), 7);
        assert!(RosTime::new(false).now_ns() > 1_700_000_000_000_000_000);
    }

    #[test]
    fn who_waits_is_woken_by_the_clock_and_by_the_bell() {
        let time = Arc::new(RosTime::new(true));
        let event = Arc::new(AtomicBool::new(false));
        let (waiting, seen) = (time.clone(), event.clone());
        let thread = std::thread::spawn(move || {
            let long = Duration::from_secs(60);
            let at = waiting.wait(long, |now| now.filter(|&now| now >= 5));
            let rung = waiting.wait(long, |_| seen.load(Ordering::Relaxed).then_some(()));
            (at, rung)
        });
        time.set(4);
        time.set(5);
        event.store(true, Ordering::Relaxed);
        time.ring();
        assert_eq!(thread.join().unwrap(), (Some(5), Some(())));
        assert_eq!(time.wait(Duration::from_millis(1), |_| None::<()>), None);
    }
}
