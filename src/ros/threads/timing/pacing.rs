//! Absolute deadlines one period apart on the steady clock.

use std::time::{Duration, Instant};

/// A tick that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// Its deadline.
    pub deadline: Instant,
    /// Unused deadlines since the last tick. They are not made up for.
    pub skipped: u64,
}

/// Deadlines on a fixed grid: a late tick does not shift the following ones.
#[derive(Clone, Debug)]
pub(crate) struct Pacer {
    period: Duration,
    next: Instant,
}

impl Pacer {
    /// The first tick is due at `start`. `period` must not be zero.
    pub(crate) fn new(period: Duration, start: Instant) -> Self {
        Self { period, next: start }
    }

    /// The next deadline.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// Takes the newest deadline that has passed. `now` must not be before [`Pacer::next`].
    pub(crate) fn due(&mut self, now: Instant) -> Due {
        let late = now.saturating_duration_since(self.next);
        let skipped = u64::try_from(late.as_nanos() / self.period.as_nanos().max(1)).unwrap_or(u64::MAX);
        let deadline = self.next + self.period * u32::try_from(skipped).unwrap_or(u32::MAX);
        self.next = deadline + self.period;
        Due { deadline, skipped }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_stay_on_the_grid_however_late_a_tick_is() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut pacer = Pacer::new(Duration::from_millis(50), start);
        assert_eq!(pacer.due(at(0)), Due { deadline: at(0), skipped: 0 });
        assert_eq!(pacer.due(at(69)), Due { deadline: at(50), skipped: 0 });
        // The thread wakes at 233 ms: 100 and 150 are skipped, 200 is taken, 250 is next.
        assert_eq!(pacer.due(at(233)), Due { deadline: at(200), skipped: 2 });
        assert_eq!(pacer.next(), at(250));
    }
}
