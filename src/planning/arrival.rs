//! When to be at the goal: the frames in which each candidate takes the goal as a known observation.

use std::ops::Range;

/// How long a candidate stays at the goal once there, seconds; what it does after that is left open.
const HOLD_S: f64 = 0.8;
/// The earliest arrival, seconds: sooner than this no command of the plan could matter.
const EARLIEST_S: f64 = 0.1;
/// Alternatives to the arrival of the last plan, as shares of its time to go.
const ALTERNATIVES: [f64; 3] = [1.0, 0.85, 1.2];

/// Proposes arrival times and remembers the one that was chosen.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    chosen_ns: Option<i64>,
    goal: Vec<f64>,
}

impl Arrivals {
    /// For each of `candidates`: the future frames in which the goal holds. The first ones stay near the arrival that was
    /// chosen last, the others are spread evenly over the horizon, so that a better one is always on offer.
    ///
    /// `first_ns`: the time of the first future frame. `frames`: future frames in the horizon.
    pub fn propose(
        &mut self,
        goal: &[f64],
        first_ns: i64,
        period_ns: i64,
        frames: usize,
        candidates: usize,
    ) -> Vec<Range<usize>> {
        if self.goal != goal {
            *self = Self { chosen_ns: None, goal: goal.to_vec() };
        }
        let period_s = period_ns as f64 * 1e-9;
        let earliest = (EARLIEST_S / period_s).ceil();
        let last = (frames - 1) as f64;
        let kept = self.chosen_ns.map(|at| ((at - first_ns) as f64 / period_ns as f64).max(earliest));
        let near = kept.map_or(0, |_| ALTERNATIVES.len().min(candidates));
        let spread = candidates - near;
        let hold = (HOLD_S / period_s).round() as usize;
        (0..candidates)
            .map(|c| {
                let arrival = match kept {
                    Some(kept) if c < near => kept * ALTERNATIVES[c],
                    _ => last * (c - near + 1) as f64 / spread as f64,
                };
                let arrival = arrival.clamp(earliest.min(last), last).round() as usize;
                arrival..arrival + hold
            })
            .collect()
    }

    /// Keeps the arrival of the chosen candidate.
    pub fn choose(&mut self, arrival: &Range<usize>, first_ns: i64, period_ns: i64) {
        self.chosen_ns = Some(first_ns + arrival.start as i64 * period_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_spread_then_near_the_chosen_one() {
        let mut arrivals = Arrivals::default();
        let period = 50_000_000;
        let starts = |ranges: &[Range<usize>]| ranges.iter().map(|r| r.start).collect::<Vec<_>>();
        // 96 frames: 95 * c / 4; each holds for 16 frames (0.8 s).
        let first = arrivals.propose(&[1.0, 2.0], 0, period, 96, 4);
        assert_eq!((starts(&first), first[0].len()), (vec![24, 48, 71, 95], 16));
        arrivals.choose(&first[1], 0, period);
        // 8 ticks later: 40 frames to go; 0.85 * 40 = 34, 1.2 * 40 = 48, and the end of the horizon.
        assert_eq!(starts(&arrivals.propose(&[1.0, 2.0], 8 * period, period, 96, 4)), [40, 34, 48, 95]);
        // A time that has passed: the earliest, 2 frames.
        assert_eq!(starts(&arrivals.propose(&[1.0, 2.0], 80 * period, period, 96, 4))[..2], [2, 2]);
        // Another goal: from the start.
        assert_eq!(starts(&arrivals.propose(&[0.0, 2.0], 0, period, 96, 4)), [24, 48, 71, 95]);
    }
}
