//! Which window comes at which position of a run: a shuffled order that is computed where it is asked for, so that it takes no
//! memory, and a run that goes on at position p sees what an uninterrupted one sees there.
//!
//! Windows come in groups of one weight each. A group is a stream of its own: one permutation of its windows after the other. An
//! epoch takes from every group the next `weight` times as many as it has windows (over the epochs exactly, a
//! fraction waits for the next one) and shuffles what it took.

/// Rounds of the network; even, so that both sides end where they began. Luby and Rackoff (1988) need four where the sides are
/// large; small ones gain from more, and a round takes 2 ns.
const ROUNDS: u64 = 8;
/// Weights are whole multiples of 2^-32 and at most 2^31: whoever draws one window in four billion as often draws it never.
const UNIT: f64 = (1u64 << 32) as f64;
const MAX_WEIGHT: f64 = (1u64 << 31) as f64;

/// Windows of one weight.
#[derive(Clone, Debug)]
struct Group {
    windows: u64,
    /// Windows taken in an epoch, in 2^-32.
    rate: u128,
}

impl Group {
    /// Windows taken before an epoch begins.
    fn taken(&self, epoch: u128) -> u128 {
        (epoch * self.rate) >> 32
    }
}

/// The order of windows, from position 0 on, without end.
#[derive(Clone, Debug)]
pub struct Order {
    seed: u64,
    groups: Vec<Group>,
}

impl Order {
    /// `groups`: windows and weight of each. At least one window in all.
    pub fn new(seed: u64, groups: impl IntoIterator<Item = (u64, f64)>) -> Self {
        let rate = |windows: u64, weight: f64| {
            let weight = (weight.min(MAX_WEIGHT) * UNIT).round() as u128;
            u128::from(windows) * weight.max(1)
        };
        let groups = groups.into_iter().map(|(windows, weight)| Group { windows, rate: rate(windows, weight) });
        Self { seed, groups: groups.collect() }
    }

    /// The epoch of a position, and the position at which it begins.
    fn epoch_and_start(&self, position: u64) -> (u128, u128) {
        let position = u128::from(position);
        let start = |epoch| self.groups.iter().map(|group| group.taken(epoch)).sum::<u128>();
        // Right to one epoch per group: every group's share is rounded down.
        let mut epoch = (position << 32) / self.groups.iter().map(|group| group.rate).sum::<u128>().max(1);
        while start(epoch + 1) <= position {
            epoch += 1;
        }
        (epoch, start(epoch))
    }

    /// The epoch of a position; in each epoch every window comes as often as it weighs.
    pub fn epoch(&self, position: u64) -> u64 {
        self.epoch_and_start(position).0 as u64
    }

    /// Group and window of a position.
    pub fn at(&self, position: u64) -> (usize, u64) {
        let (epoch, start) = self.epoch_and_start(position);
        let taken = |group: &Group| (group.taken(epoch + 1) - group.taken(epoch)) as u64;
        let all = self.groups.iter().map(taken).sum();
        let mut place = permuted(all, hash(self.seed ^ hash(epoch as u64)), (u128::from(position) - start) as u64);
        for (i, group) in self.groups.iter().enumerate() {
            if place < taken(group) {
                let drawn = group.taken(epoch) + u128::from(place);
                let (pass, place) = (drawn / u128::from(group.windows), drawn % u128::from(group.windows));
                let key = hash(hash(self.seed ^ hash(i as u64)).wrapping_add(pass as u64));
                return (i, permuted(group.windows, key, place as u64));
            }
            place -= taken(group);
        }
        (0, 0) // Not reached: the shares sum to `all`.
    }
}

/// Where a permutation of `0..count` takes `index`; the key chooses the permutation.
///
/// A Feistel network whose sides are not powers of two (Black and Rogaway 2002, "Ciphers with arbitrary finite domains", section
/// 5: `a b >= count`, sums modulo the side), walked until it falls into the domain (section 4): a b is below
/// `count + 2 sqrt(count)`, so that one walk is nearly always enough.
fn permuted(count: u64, key: u64, index: u64) -> u64 {
    if count < 2 {
        return 0;
    }
    let a = (count - 1).isqrt() + 1;
    let b = count.div_ceil(a);
    let mut at = index;
    loop {
        let (mut left, mut right, mut sides) = (at / b, at % b, (a, b));
        for round in 0..ROUNDS {
            let mixed = (left + hash(key.wrapping_add(round) ^ hash(right)) % sides.0) % sides.0;
            (left, right, sides) = (right, mixed, (sides.1, sides.0));
        }
        at = left * b + right;
        if at < count {
            return at;
        }
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014): neighbouring numbers give unrelated ones.
fn hash(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// How often each window comes at some positions.
    fn counts(order: &Order, positions: std::ops::Range<u64>) -> BTreeMap<(usize, u64), u64> {
        let mut counts = BTreeMap::new();
        positions.for_each(|position| *counts.entry(order.at(position)).or_insert(0) += 1);
        counts
    }

    proptest! {
        #[test]
        fn every_epoch_is_a_permutation(windows in 1u64..300, seed in any::<u64>(), epoch in 0u64..1_000_000_000) {
            let order = Order::new(seed, [(windows, 1.0)]);
            let from = epoch * windows;
            let counts = counts(&order, from..from + windows);
            prop_assert_eq!(counts.len() as u64, windows);
            prop_assert_eq!((order.epoch(from), order.epoch(from + windows - 1)), (epoch, epoch));
        }

        /// Whatever the weights: after e epochs, a window of weight w was drawn floor(e w) or ceil(e w) times, up to the
        /// share of the group that is a fraction of a window.
        #[test]
        fn weights_hold_over_epochs(
            groups in prop::collection::vec((1u64..20, 1u32..40), 1..5),
            epochs in 1u64..40,
            seed in any::<u64>(),
        ) {
            // In eighths: exact in binary.
            let order = Order::new(seed, groups.iter().map(|&(windows, eighths)| (windows, f64::from(eighths) / 8.0)));
            let taken: Vec<u64> = groups.iter().map(|&(windows, eighths)| epochs * windows * u64::from(eighths) / 8).collect();
            let positions = taken.iter().sum();
            let counts = counts(&order, 0..positions);
            for (i, (&(windows, _), taken)) in groups.iter().zip(taken).enumerate() {
                let of_group: Vec<u64> = (0..windows).map(|w| counts.get(&(i, w)).copied().unwrap_or(0)).collect();
                prop_assert_eq!(of_group.iter().sum::<u64>(), taken);
                prop_assert!(of_group.iter().all(|&c| c == taken / windows || c == taken.div_ceil(windows)), "{:?}", of_group);
            }
            // Light groups leave epochs empty.
            prop_assert!(order.epoch(positions) >= epochs);
            prop_assert!(positions == 0 || order.epoch(positions - 1) < epochs);
        }
    }

    #[test]
    fn epochs_and_seeds_differ() {
        let drawn = |seed, from: u64| -> Vec<u64> {
            let order = Order::new(seed, [(50, 1.0)]);
            (from..from + 50).map(|position| order.at(position).1).collect()
        };
        let all = [drawn(1, 0), drawn(1, 50), drawn(1, 100), drawn(2, 0), drawn(2, 50)];
        for (i, one) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|other| other != one), "{i}");
            assert!(*one != (0..50).collect::<Vec<_>>());
        }
        assert_eq!(drawn(1, 0), all[0]);
    }

    #[test]
    fn every_permutation_is_as_likely() {
        // 4 windows have 24 orders; of 24,000 epochs each gets 1000, deviation 31. Chi-squared of 23 degrees: mean 23, deviation
        // 6.8; five deviations: 57. With groups, what comes first is shuffled too: two of 4 and 4, pairs of (first, second).
        let order = Order::new(9, [(4, 1.0)]);
        let mut seen = BTreeMap::new();
        for epoch in 0..24_000 {
            let drawn: Vec<u64> = (0..4).map(|i| order.at(4 * epoch + i).1).collect();
            *seen.entry(drawn).or_insert(0u32) += 1;
        }
        assert_eq!(seen.len(), 24);
        let chi: f64 = seen.values().map(|&count| (f64::from(count) - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi < 57.0, "{chi}");
        // 56 pairs of different windows; 56,000 epochs; 55 degrees: deviation 10.5, five of them: 108.
        let order = Order::new(9, [(4, 1.0), (4, 1.0)]);
        let mut seen = BTreeMap::new();
        for epoch in 0..56_000 {
            *seen.entry([0, 1].map(|i| order.at(8 * epoch + i))).or_insert(0u32) += 1;
        }
        assert_eq!(seen.len(), 56);
        let chi: f64 = seen.values().map(|&count| (f64::from(count) - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi < 108.0, "{chi}");
    }

    #[test]
    fn absurd_numbers_do_not_stop_it() {
        for (windows, weight) in [(1, 1e-300), (1 << 40, 1e300), (1, 1e300), (1 << 40, 1e-9)] {
            let order = Order::new(u64::MAX, [(windows, weight), (3, 0.1)]);
            for position in [0, 1, 1 << 20, 1 << 50, u64::MAX] {
                let (group, window) = order.at(position);
                assert!(window < [windows, 3][group]);
            }
        }
    }
}
