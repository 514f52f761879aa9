//! Arrival times: the frames in which each candidate takes the goal as a known observation.

use std::ops::Range;

/// The earliest arrival, seconds. No command of the plan could matter before it.
const EARLIEST_S: f64 = 0.1;
/// Alternatives to the arrival of the last plan: a factor of its remaining time, and an offset in seconds.
const ALTERNATIVES: [(f64, f64); 4] = [(1.0, 0.0), (0.9, -0.1), (1.1, 0.1), (1.2, 0.3)];
/// Ratio of an arrival to the next later one, from the end of the horizon on. It is larger where so many arrivals would run
/// into the earliest one.
const ARRIVAL_RATIO: f64 = 0.7;

/// Proposes arrival times and remembers the one that was chosen.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrivals {
    chosen_ns: Option<i64>,
}

impl Arrivals {
    /// Forgets the chosen arrival, which does not hold for another goal.
    pub(super) fn reset(&mut self) {
        self.chosen_ns = None;
    }

    /// For each candidate: the future frames in which the goal holds.
    ///
    /// With `free`, the last of several candidates knows no goal (an empty range). The costs alone lead it to a goal beyond the
    /// horizon. Half of the others stay near the arrival that was chosen last. The rest is spread over the horizon.
    ///
    /// `first_ns`: the time of the first future frame. `frames`: future frames in the horizon. `hold`: frames of the stay at the
    /// goal.
    pub(super) fn propose(
        &self,
        first_ns: i64,
        period_ns: i64,
        frames: usize,
        hold: usize,
        candidates: usize,
        free: bool,
    ) -> Vec<Range<usize>> {
        let period_s = period_ns as f64 * 1e-9;
        let earliest = (EARLIEST_S / period_s).ceil();
        let last = (frames - 1) as f64;
        let kept = self.chosen_ns.map(|at| ((at - first_ns) as f64 / period_ns as f64).max(earliest));
        let near = kept.map_or(0, |_| candidates.div_ceil(2));
        let free = usize::from(free && candidates > 1);
        let candidates = candidates - free;
        let evenly = (earliest / last).powf(1.0 / (candidates - near).saturating_sub(1).max(1) as f64);
        let spread = evenly.clamp(ARRIVAL_RATIO, 1.0);
        (0..candidates)
            .map(|c| {
                let arrival = match kept {
                    Some(kept) if c < near => {
                        let (factor, later_s) = ALTERNATIVES[c % ALTERNATIVES.len()];
                        kept * factor + later_s / period_s
                    }
                    _ => last * spread.powi((candidates - 1 - c) as i32),
                };
                let arrival = arrival.clamp(earliest.min(last), last).round() as usize;
                arrival..arrival + hold
            })
            .chain((0..free).map(|_| 0..0))
            .collect()
    }

    /// Keeps the arrival of the chosen candidate, or none if it knew no goal.
    pub(super) fn choose(&mut self, arrival: &Range<usize>, first_ns: i64, period_ns: i64) {
        self.chosen_ns = (!arrival.is_empty()).then_some(first_ns + arrival.start as i64 * period_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_spread_at_first_and_then_near_the_chosen_one() {
        let mut arrivals = Arrivals::default();
        let period = 50_000_000;
        let starts = |ranges: &[Range<usize>]| ranges.iter().map(|r| r.start).collect::<Vec<_>>();
        // 96 frames: 95, 0.7 * 95 = 66.5, 0.49 * 95 = 46.6, 0.343 * 95 = 32.6, and none; each holds for 16 frames (0.8 s).
        let first = arrivals.propose(0, period, 96, 16, 5, true);
        assert_eq!((starts(&first), first[0].len()), (vec![33, 47, 67, 95, 0], 16));
        arrivals.choose(&first[1], 0, period);
        // 7 ticks later: 40 frames to go; 0.9 * 40 - 2 = 34, 1.1 * 40 + 2 = 46; and the end of the spread.
        assert_eq!(starts(&arrivals.propose(7 * period, period, 96, 16, 5, true)), [40, 34, 46, 95, 0]);
        // A time that has passed: the earliest, 2 frames, and 1.1 * 2 + 2 = 4 of eight.
        assert_eq!(starts(&arrivals.propose(80 * period, period, 96, 16, 9, true))[..3], [2, 2, 4]);
        // All with the goal: the spread begins one step earlier, 0.2401 * 95 = 22.8.
        assert_eq!(starts(&Arrivals::default().propose(0, period, 96, 16, 5, false)), [23, 33, 47, 67, 95]);
        // Another goal: from the start.
        arrivals.reset();
        assert_eq!(starts(&arrivals.propose(0, period, 96, 16, 5, true)), [33, 47, 67, 95, 0]);
    }

    #[test]
    fn many_candidates_spread_from_the_earliest_arrival_on() {
        let mut arrivals = Arrivals::default();
        let period = 50_000_000;
        // 32: 31 from frame 2 to frame 67 by equal ratios, (2 / 67)^(1 / 30) = 0.8896.
        let all = arrivals.propose(0, period, 68, 1, 32, true);
        let starts: Vec<usize> = all.iter().map(|range| range.start).collect();
        assert_eq!((starts[0], starts[29], starts[30], all[31].len()), (2, 60, 67, 0));
        assert!(starts[..31].is_sorted());
        // Half of them near the chosen one, four ways in turn: 20, 16, 24, 30 frames.
        arrivals.choose(&(20..21), 0, period);
        let starts: Vec<usize> = arrivals.propose(0, period, 68, 1, 32, true).iter().map(|range| range.start).collect();
        assert_eq!(starts[..8], [20, 16, 24, 30, 20, 16, 24, 30]);
        assert_eq!((starts[16], starts[30]), (2, 67));
    }
}
