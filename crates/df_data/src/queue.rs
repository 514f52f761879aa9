//! A queue of the samples of one stream, sorted by stamp, until their tick is built.

use std::collections::VecDeque;

/// Samples by ascending stamp; of equal stamps, in the order of arrival.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    width: usize,
    stamps: VecDeque<i64>,
    values: VecDeque<f64>,
    /// How many at the front have been looked at by [`Queue::take_settled`].
    settled: usize,
    newest_ns: Option<i64>,
}

impl Queue {
    /// The newest stamp that was ever put in; the least number if there was none.
    pub(crate) fn newest_ns(&self) -> i64 {
        self.newest_ns.unwrap_or(i64::MIN)
    }

    pub(crate) fn insert(&mut self, stamp_ns: i64, values: &[f64]) {
        self.width = values.len();
        self.newest_ns = self.newest_ns.max(Some(stamp_ns));
        // Nearly always the newest; else found by bisection.
        let place = match self.stamps.back() {
            Some(&last) if last > stamp_ns => self.stamps.partition_point(|&stamp| stamp <= stamp_ns),
            _ => self.stamps.len(),
        };
        self.stamps.insert(place, stamp_ns);
        self.values.extend(values);
        if place + 1 < self.stamps.len() {
            self.values.make_contiguous()[place * self.width..].rotate_right(self.width);
        }
    }

    /// The stamps before `complete_ns` that were not given yet.
    pub(crate) fn take_settled(&mut self, complete_ns: i64) -> impl Iterator<Item = i64> + '_ {
        let from = self.settled;
        self.settled = self.stamps.partition_point(|&stamp| stamp < complete_ns).max(from);
        self.stamps.range(from..self.settled).copied()
    }

    /// Takes every sample stamped up to `tick_ns` out.
    pub(crate) fn hand_on(&mut self, tick_ns: i64, mut to: impl FnMut(i64, &[f64])) {
        let count = self.stamps.partition_point(|&stamp| stamp <= tick_ns);
        if count == 0 {
            return;
        }
        let values = self.values.make_contiguous();
        for (i, &stamp_ns) in self.stamps.range(..count).enumerate() {
            to(stamp_ns, &values[i * self.width..][..self.width]);
        }
        self.drop_first(count);
    }

    /// Drops what no tick from `tick_ns` on can need: all before the newest sample not after it.
    pub(crate) fn forget_before(&mut self, tick_ns: i64) {
        let count = self.stamps.partition_point(|&stamp| stamp <= tick_ns).saturating_sub(1);
        self.drop_first(count);
    }

    fn drop_first(&mut self, count: usize) {
        self.stamps.drain(..count);
        self.values.drain(..count * self.width);
        self.settled = self.settled.saturating_sub(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_leave_by_stamp_and_are_settled_once() {
        let mut queue = Queue::default();
        assert_eq!(queue.newest_ns(), i64::MIN);
        for (stamp, value) in [(30, 3.0), (10, 1.0), (20, 2.0), (20, 2.5), (50, 5.0)] {
            queue.insert(stamp, &[value, -value]);
        }
        assert_eq!(queue.newest_ns(), 50);
        assert_eq!(queue.take_settled(20).collect::<Vec<_>>(), [10]);
        assert_eq!(queue.take_settled(31).collect::<Vec<_>>(), [20, 20, 30]);
        let mut taken = Vec::new();
        queue.hand_on(20, |stamp, values| taken.push((stamp, values.to_vec())));
        assert_eq!(taken, [(10, vec![1.0, -1.0]), (20, vec![2.0, -2.0]), (20, vec![2.5, -2.5])]);
        // 30 was settled before, 40 is new.
        queue.insert(40, &[4.0, -4.0]);
        assert_eq!(queue.take_settled(i64::MAX).collect::<Vec<_>>(), [40, 50]);
        // For ticks from 45 on, 40 is the newest that counts.
        queue.forget_before(45);
        taken.clear();
        queue.hand_on(i64::MAX, |stamp, values| taken.push((stamp, values.to_vec())));
        assert_eq!(taken, [(40, vec![4.0, -4.0]), (50, vec![5.0, -5.0])]);
        assert_eq!(queue.newest_ns(), 50);
    }
}
