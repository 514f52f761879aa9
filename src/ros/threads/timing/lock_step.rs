//! Ticks on simulated time: whole multiples of the period on `/clock`.
//!
//! A tick is due when the clock has reached it and its observation and plan are there. It is due at
//! the latest when the clock reaches the next tick. So a simulator that waits for each action gets
//! exactly one action per tick. A simulator that does not wait gets one per tick of its clock. It
//! may be a fallback action.

/// Finds the next tick on simulated time.
#[derive(Clone, Debug)]
pub(crate) struct LockStep {
    period_ns: i64,
    last_ns: Option<i64>,
    /// The tick that waits for its observation or plan.
    waiting_ns: Option<i64>,
}

/// A tick on simulated time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Its time, nanoseconds.
    pub tick_ns: i64,
    /// Ticks that the clock jumped over since the last one.
    pub skipped: u64,
}

impl LockStep {
    /// `period_ns` must be above 0.
    pub(crate) fn new(period_ns: i64) -> Self {
        Self { period_ns, last_ns: None, waiting_ns: None }
    }

    /// The tick that is due at `now_ns`, if any. `is_ready` tells whether a tick has its
    /// observation and plan.
    pub(crate) fn due(&mut self, now_ns: i64, is_ready: impl FnOnce(i64) -> bool) -> Option<Step> {
        let newest = now_ns.div_euclid(self.period_ns) * self.period_ns;
        let went_back = |tick: &i64| newest < *tick;
        if self.last_ns.as_ref().is_some_and(went_back) || self.waiting_ns.as_ref().is_some_and(went_back) {
            (self.last_ns, self.waiting_ns) = (None, None);
        }
        // The first tick is one that the clock reaches from now on. Earlier ticks do not count.
        let last = *self.last_ns.get_or_insert(if newest == now_ns { newest - self.period_ns } else { newest });
        let tick_ns = match self.waiting_ns {
            Some(tick) => tick,
            None if newest > last => *self.waiting_ns.insert(newest),
            None => return None,
        };
        if newest <= tick_ns && !is_ready(tick_ns) {
            return None;
        }
        self.waiting_ns = None;
        self.last_ns = Some(tick_ns);
        let skipped = u64::try_from((tick_ns - last) / self.period_ns - 1).unwrap_or(0);
        Some(Step { tick_ns, skipped })
    }

    /// True if the clock has reached the tick after `tick_ns`.
    pub(crate) fn is_over(&self, tick_ns: i64, now_ns: i64) -> bool {
        now_ns.saturating_sub(tick_ns) >= self.period_ns
    }

    /// Takes the waiting tick although it is not ready.
    pub(crate) fn give_up(&mut self) -> Option<Step> {
        let (tick_ns, last) = (self.waiting_ns.take()?, self.last_ns?);
        self.last_ns = Some(tick_ns);
        Some(Step { tick_ns, skipped: u64::try_from((tick_ns - last) / self.period_ns - 1).unwrap_or(0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: fn(i64) -> bool = |_| true;
    const NOT_READY: fn(i64) -> bool = |_| false;

    fn step(tick_ns: i64, skipped: u64) -> Option<Step> {
        Some(Step { tick_ns, skipped })
    }

    #[test]
    fn there_is_one_tick_per_period_and_it_waits_for_its_inputs() {
        let mut steps = LockStep::new(50);
        // No tick before the first multiple of the period.
        assert_eq!(steps.due(120, READY), None);
        assert_eq!(steps.due(149, READY), None);
        assert_eq!(steps.due(150, NOT_READY), None);
        assert_eq!(steps.due(160, READY), step(150, 0));
        assert_eq!(steps.due(170, READY), None);
        // Tick 200 is never ready: it is due when the clock reaches 250. Then 250 waits.
        assert_eq!(steps.due(200, NOT_READY), None);
        assert_eq!(steps.due(249, NOT_READY), None);
        assert_eq!(steps.due(250, NOT_READY), step(200, 0));
        assert_eq!(steps.due(250, NOT_READY), None);
        assert_eq!(steps.due(250, READY), step(250, 0));
    }

    #[test]
    fn a_clock_that_starts_on_a_tick_ticks_at_once_and_skipped_ticks_are_counted() {
        let mut steps = LockStep::new(50);
        assert_eq!(steps.due(0, READY), step(0, 0));
        // From 0 to 230: 50, 100 and 150 are skipped, 200 is taken.
        assert_eq!(steps.due(230, READY), step(200, 3));
        assert_eq!(steps.due(250, NOT_READY), None);
        assert_eq!(steps.give_up(), step(250, 0));
        assert_eq!(steps.give_up(), None);
    }

    #[test]
    fn ticks_restart_after_the_clock_jumped_back() {
        let mut steps = LockStep::new(50);
        assert_eq!(steps.due(1000, READY), step(1000, 0));
        assert_eq!(steps.due(1050, NOT_READY), None);
        // Back to 120 while 1050 waits: that tick is dropped, the next one is 150.
        assert_eq!(steps.due(120, READY), None);
        assert_eq!(steps.due(151, READY), step(150, 0));
    }
}
