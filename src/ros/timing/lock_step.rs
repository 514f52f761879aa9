//! Ticks on simulated time: whole multiples of the period on `/clock`.
//!
//! A tick is due once the clock has reached it and what it waits for has come (an observation, the plan), and at the latest when
//! the clock reaches the tick after it. So a simulator that waits for each action before it goes on gets exactly one action per
//! tick, however long planning takes; one that does not wait gets its actions in its own time, or the ladder's.

/// Which tick is next.
#[derive(Clone, Debug)]
pub struct LockStep {
    period_ns: i64,
    last_ns: Option<i64>,
    /// The tick that waits for what it needs.
    waiting_ns: Option<i64>,
}

/// A tick of simulated time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub tick_ns: i64,
    /// Ticks that the clock jumped over since the last one.
    pub skipped: u64,
}

impl LockStep {
    /// `period_ns` is above 0.
    pub fn new(period_ns: i64) -> Self {
        Self { period_ns, last_ns: None, waiting_ns: None }
    }

    /// The tick that is due at `now_ns`, if any; `has_come` says whether what that tick waits for is there.
    pub fn due(&mut self, now_ns: i64, has_come: impl FnOnce(i64) -> bool) -> Option<Step> {
        let newest = now_ns.div_euclid(self.period_ns) * self.period_ns;
        let went_back = |tick: &i64| newest < *tick;
        if self.last_ns.as_ref().is_some_and(went_back) || self.waiting_ns.as_ref().is_some_and(went_back) {
            (self.last_ns, self.waiting_ns) = (None, None);
        }
        // The first tick is one that the clock reaches while we look: what came before it was not for us.
        let last = *self.last_ns.get_or_insert(if newest == now_ns { newest - self.period_ns } else { newest });
        let tick_ns = match self.waiting_ns {
            Some(tick) => tick,
            None if newest > last => *self.waiting_ns.insert(newest),
            None => return None,
        };
        if newest <= tick_ns && !has_come(tick_ns) {
            return None;
        }
        self.waiting_ns = None;
        self.last_ns = Some(tick_ns);
        let skipped = u64::try_from((tick_ns - last) / self.period_ns - 1).unwrap_or(0);
        Some(Step { tick_ns, skipped })
    }

    /// Whether the tick after `tick_ns` has been reached.
    pub fn is_over(&self, tick_ns: i64, now_ns: i64) -> bool {
        now_ns.saturating_sub(tick_ns) >= self.period_ns
    }

    /// Does not wait any longer for what the tick needs: it is due now.
    pub fn give_up(&mut self) -> Option<Step> {
        let (tick_ns, last) = (self.waiting_ns.take()?, self.last_ns?);
        self.last_ns = Some(tick_ns);
        Some(Step { tick_ns, skipped: u64::try_from((tick_ns - last) / self.period_ns - 1).unwrap_or(0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COME: fn(i64) -> bool = |_| true;
    const NOT_YET: fn(i64) -> bool = |_| false;

    fn step(tick_ns: i64, skipped: u64) -> Option<Step> {
        Some(Step { tick_ns, skipped })
    }

    #[test]
    fn one_tick_per_period_once_everything_has_come() {
        let mut steps = LockStep::new(50);
        // Before the first multiple of the period: nothing.
        assert_eq!(steps.due(120, COME), None);
        assert_eq!(steps.due(149, COME), None);
        assert_eq!(steps.due(150, NOT_YET), None);
        assert_eq!(steps.due(160, COME), step(150, 0));
        assert_eq!(steps.due(170, COME), None);
        // Nothing came for 200: it is due when the clock reaches 250, and 250 waits in its turn.
        assert_eq!(steps.due(200, NOT_YET), None);
        assert_eq!(steps.due(249, NOT_YET), None);
        assert_eq!(steps.due(250, NOT_YET), step(200, 0));
        assert_eq!(steps.due(250, NOT_YET), None);
        assert_eq!(steps.due(250, COME), step(250, 0));
    }

    #[test]
    fn a_clock_that_starts_on_a_tick_ticks_at_once_and_jumps_are_counted() {
        let mut steps = LockStep::new(50);
        assert_eq!(steps.due(0, COME), step(0, 0));
        // From 0 to 230: 50, 100 and 150 are skipped, 200 is taken.
        assert_eq!(steps.due(230, COME), step(200, 3));
        assert_eq!(steps.due(250, NOT_YET), None);
        assert_eq!(steps.give_up(), step(250, 0));
        assert_eq!(steps.give_up(), None);
    }

    #[test]
    fn a_backward_jump_starts_anew() {
        let mut steps = LockStep::new(50);
        assert_eq!(steps.due(1000, COME), step(1000, 0));
        assert_eq!(steps.due(1050, NOT_YET), None);
        // Back to 120 while 1050 waits: that tick is gone, the next one is 150.
        assert_eq!(steps.due(120, COME), None);
        assert_eq!(steps.due(151, COME), step(150, 0));
    }
}
