//! How long a plan may take, and what the time allows. The clock is the caller's.

use std::time::Duration;

/// Time for one plan.
#[derive(Clone, Copy)]
pub struct Budget<'a> {
    limit: Option<(Duration, &'a dyn Fn() -> Duration)>,
}

impl<'a> Budget<'a> {
    /// As long as it takes: what offline work wants, and what is deterministic.
    pub fn unlimited() -> Self {
        Self { limit: None }
    }

    /// `total`, of which `spent` tells how much is gone.
    pub fn new(total: Duration, spent: &'a dyn Fn() -> Duration) -> Self {
        Self { limit: Some((total, spent)) }
    }

    fn now_s(&self) -> f64 {
        self.limit.map_or(0.0, |(_, spent)| spent().as_secs_f64())
    }

    fn left_s(&self) -> f64 {
        self.limit.map_or(f64::INFINITY, |(total, spent)| total.as_secs_f64() - spent().as_secs_f64())
    }
}

/// What the time left allows for the next denoising step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    Guided,
    Plain,
    Nothing,
}

/// How long a denoising step takes, plain and guided, as seen lately. Remembers slow ones for a while.
#[derive(Clone, Debug, Default)]
pub struct StepTimes {
    plain_s: Option<f64>,
    guided_s: Option<f64>,
}

/// How much of the last estimate outlives a faster step.
const MEMORY: f64 = 0.9;
/// How much of it outlives a refusal. What is refused is not timed again: without this, one slow step would end a kind of
/// step for good.
const MEMORY_OF_REFUSED: f64 = 0.99;

impl StepTimes {
    /// What the next step may be. `plain_after`: steps that must still follow it for the action to come out clean.
    pub fn allowed(&mut self, budget: &Budget, plain_after: usize) -> Allowed {
        let left_s = budget.left_s();
        // A guided step holds a plain one: a bound while only one of them was seen. Nothing seen: the first step is tried.
        let guided_s = self.guided_s.or(self.plain_s).unwrap_or(0.0);
        let plain_s = self.plain_s.unwrap_or(guided_s);
        if guided_s + plain_s * plain_after as f64 <= left_s {
            return Allowed::Guided;
        }
        self.guided_s = self.guided_s.map(|s| s * MEMORY_OF_REFUSED);
        if plain_s <= left_s {
            return Allowed::Plain;
        }
        self.plain_s = self.plain_s.map(|s| s * MEMORY_OF_REFUSED);
        Allowed::Nothing
    }

    /// Runs a step and notes its time.
    pub fn timed<T>(&mut self, budget: &Budget, guided: bool, step: impl FnOnce() -> T) -> T {
        let before = budget.now_s();
        let result = step();
        let took = budget.now_s() - before;
        let estimate = if guided { &mut self.guided_s } else { &mut self.plain_s };
        *estimate = Some(estimate.map_or(took, |known| took.max(MEMORY * known + (1.0 - MEMORY) * took)));
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn what_is_allowed_shrinks_with_the_time_left() {
        let spent = Cell::new(Duration::ZERO);
        let clock = || spent.get();
        let budget = Budget::new(Duration::from_micros(10_500), &clock);
        let mut times = StepTimes::default();
        let mut step = |guided, ms| times.timed(&budget, guided, || spent.set(spent.get() + Duration::from_millis(ms)));
        step(true, 3);
        step(false, 1);
        // 4 of 10.5 ms are gone. A guided step and 3 plain ones take 6 of the other 6.5.
        assert_eq!((times.allowed(&budget, 3), times.allowed(&budget, 4)), (Allowed::Guided, Allowed::Plain));
        spent.set(Duration::from_millis(9));
        assert_eq!(times.allowed(&budget, 0), Allowed::Plain);
        spent.set(Duration::from_micros(9_900));
        assert_eq!(times.allowed(&budget, 0), Allowed::Nothing);
        assert_eq!(times.allowed(&Budget::unlimited(), 1000), Allowed::Guided);
    }

    #[test]
    fn after_one_step_that_took_too_long_there_are_plans_again() {
        let spent = Cell::new(Duration::ZERO);
        let clock = || spent.get();
        let mut times = StepTimes::default();
        let slow = Budget::new(Duration::from_millis(45), &clock);
        for guided in [true, false] {
            times.timed(&slow, guided, || spent.set(spent.get() + Duration::from_millis(60)));
        }
        spent.set(Duration::ZERO);
        // 60 * 0.99^28 = 45.3 ms, 60 * 0.99^29 = 44.8 ms.
        let refused = (0..100).take_while(|_| times.allowed(&slow, 0) == Allowed::Nothing).count();
        assert_eq!(refused, 29);
    }

    #[test]
    fn a_slow_step_is_remembered_and_slowly_forgotten() {
        let spent = Cell::new(Duration::ZERO);
        let clock = || spent.get();
        let budget = Budget::new(Duration::from_millis(100), &clock);
        let mut times = StepTimes::default();
        for ms in [10, 2, 2] {
            times.timed(&budget, false, || spent.set(spent.get() + Duration::from_millis(ms)));
        }
        // 10, then 0.9 * 10 + 0.1 * 2 = 9.2, then 0.9 * 9.2 + 0.2 = 8.48.
        assert!((times.plain_s.unwrap() - 8.48e-3).abs() < 1e-9, "{times:?}");
    }
}
