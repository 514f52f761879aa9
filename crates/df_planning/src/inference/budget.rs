//! The time budget of a plan, and which denoising steps it allows. The caller supplies the clock.

use std::time::Duration;

/// The time that one plan may take.
#[derive(Clone, Copy)]
pub struct Budget<'a> {
    limit: Option<(Duration, &'a dyn Fn() -> Duration)>,
}

impl<'a> Budget<'a> {
    /// No limit. Offline work uses it, and its results are deterministic.
    pub fn unlimited() -> Self {
        Self { limit: None }
    }

    /// A limit of `total`. `spent` returns how much of it has passed.
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

/// Which denoising step the remaining time allows next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    Guided,
    Plain,
    Nothing,
}

/// Estimates how long a denoising step takes, plain and guided. A slow step raises the estimate, which then decays.
#[derive(Clone, Debug, Default)]
pub(super) struct StepTimes {
    plain_s: Option<f64>,
    guided_s: Option<f64>,
}

/// Decay of the estimate when a step is faster.
const DECAY: f64 = 0.9;
/// Decay of the estimate when a step is skipped. Skipped steps are not timed, so without decay one outlier would disable
/// that kind of step forever.
const DECAY_WHEN_SKIPPED: f64 = 0.99;

impl StepTimes {
    /// The step that is allowed next. `plain_after`: the steps that must follow it until the action is clean.
    pub(super) fn allowed(&mut self, budget: &Budget, plain_after: usize) -> Allowed {
        let left_s = budget.left_s();
        // A guided step contains a plain one, which bounds it while only one kind was timed. The first step is always tried.
        let guided_s = self.guided_s.or(self.plain_s).unwrap_or(0.0);
        let plain_s = self.plain_s.unwrap_or(guided_s);
        if guided_s + plain_s * plain_after as f64 <= left_s {
            return Allowed::Guided;
        }
        self.guided_s = self.guided_s.map(|s| s * DECAY_WHEN_SKIPPED);
        if plain_s <= left_s {
            return Allowed::Plain;
        }
        self.plain_s = self.plain_s.map(|s| s * DECAY_WHEN_SKIPPED);
        Allowed::Nothing
    }

    /// Runs a step and records its time.
    pub(super) fn timed<T>(&mut self, budget: &Budget, guided: bool, step: impl FnOnce() -> T) -> T {
        let before = budget.now_s();
        let result = step();
        let took = budget.now_s() - before;
        let estimate = if guided { &mut self.guided_s } else { &mut self.plain_s };
        *estimate = Some(estimate.map_or(took, |known| took.max(DECAY * known + (1.0 - DECAY) * took)));
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn less_remaining_time_allows_plain_steps_and_then_none() {
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
    fn one_slow_step_does_not_disable_steps_forever() {
        let spent = Cell::new(Duration::ZERO);
        let clock = || spent.get();
        let mut times = StepTimes::default();
        let slow = Budget::new(Duration::from_millis(45), &clock);
        for guided in [true, false] {
            times.timed(&slow, guided, || spent.set(spent.get() + Duration::from_millis(60)));
        }
        spent.set(Duration::ZERO);
        // 60 * 0.99^28 = 45.3 ms, 60 * 0.99^29 = 44.8 ms.
        let skipped = (0..100).take_while(|_| times.allowed(&slow, 0) == Allowed::Nothing).count();
        assert_eq!(skipped, 29);
    }

    #[test]
    fn the_estimate_after_a_slow_step_decays() {
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
