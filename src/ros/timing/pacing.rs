//! The tick thread's clock: absolute deadlines one period apart on the steady clock.

use std::time::{Duration, Instant};

/// When a tick is due and how many before it were missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    pub deadline: Instant,
    /// Deadlines that passed unused since the last tick: there is no burst to make up for them.
    pub skipped: u64,
}

/// Deadlines on a fixed grid: waking late never shifts the ticks that follow.
#[derive(Clone, Debug)]
pub struct Pacer {
    period: Duration,
    next: Instant,
}

impl Pacer {
    /// The first tick is due at `start`; `period` is not zero.
    pub fn new(period: Duration, start: Instant) -> Self {
        Self { period, next: start }
    }

    /// The next deadline.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// The tick that is due at `now`, which is not before [`Pacer::next`]: the newest deadline that has passed.
    pub fn due(&mut self, now: Instant) -> Due {
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
    fn the_grid_stays_however_late_a_tick_is() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut pacer = Pacer::new(Duration::from_millis(50), start);
        assert_eq!(pacer.due(at(0)), Due { deadline: at(0), skipped: 0 });
        assert_eq!(pacer.due(at(69)), Due { deadline: at(50), skipped: 0 });
        // Asleep until 233 ms: 100 and 150 have passed unused, 200 is taken now, 250 is next.
        assert_eq!(pacer.due(at(233)), Due { deadline: at(200), skipped: 2 });
        assert_eq!(pacer.next(), at(250));
    }
}
