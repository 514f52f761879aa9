//! The shuffled order of windows: a sampler that computes the window at any position.
//!
//! It takes no memory for the order. A run that resumes at position p sees the windows of an uninterrupted run.
//!
//! Windows come in groups of equal weight. The windows of a group follow one permutation after the other. An epoch
//! takes from each group `weight` times its number of windows and shuffles what it took. A fraction of a window
//! carries over to the next epoch, so that the weights hold over many epochs.

/// Rounds of the Feistel network; even, so that both halves return to their place. Luby and Rackoff (1988) need four
/// for large halves. Small halves need more rounds; a round takes 2 ns.
const ROUNDS: u64 = 8;
/// Fixed-point unit of weights. Weights are rounded to multiples of 2^-32, at least 2^-32; such a window is in practice
/// never drawn.
const UNIT: f64 = (1u64 << 32) as f64;
/// Larger weights count as this one.
const MAX_WEIGHT: f64 = (1u64 << 31) as f64;

/// Windows of one weight.
#[derive(Clone, Debug)]
struct Group {
    windows: u64,
    /// Windows taken per epoch, in units of 2^-32.
    rate: u128,
}

impl Group {
    /// The windows taken before an epoch starts.
    fn taken(&self, epoch: u128) -> u128 {
        (epoch * self.rate) >> 32
    }
}

/// Maps positions, from 0 without end, to windows.
#[derive(Clone, Debug)]
pub(crate) struct ShuffledSampler {
    seed: u64,
    groups: Vec<Group>,
}

impl ShuffledSampler {
    /// `groups`: the number of windows and the weight of each group. There must be at least one window.
    pub(crate) fn new(seed: u64, groups: impl IntoIterator<Item = (u64, f64)>) -> Self {
        let rate = |windows: u64, weight: f64| {
            let weight = (weight.min(MAX_WEIGHT) * UNIT).round() as u128;
            u128::from(windows) * weight.max(1)
        };
        let groups = groups.into_iter().map(|(windows, weight)| Group { windows, rate: rate(windows, weight) });
        Self { seed, groups: groups.collect() }
    }

    /// The epoch of a position, and the first position of that epoch.
    fn epoch_and_start(&self, position: u64) -> (u128, u128) {
        let position = u128::from(position);
        let start = |epoch| self.groups.iter().map(|group| group.taken(epoch)).sum::<u128>();
        // An estimate that is at most one epoch per group too low: each group's count is rounded down.
        let mut epoch = (position << 32) / self.groups.iter().map(|group| group.rate).sum::<u128>().max(1);
        while start(epoch + 1) <= position {
            epoch += 1;
        }
        (epoch, start(epoch))
    }

    /// The epoch of a position. In each epoch a window of weight w is drawn about w times.
    pub(crate) fn epoch(&self, position: u64) -> u64 {
        self.epoch_and_start(position).0 as u64
    }

    /// The group of the window at a position, and the window's number in the group.
    pub(crate) fn at(&self, position: u64) -> (usize, u64) {
        let (epoch, start) = self.epoch_and_start(position);
        let in_epoch = |group: &Group| (group.taken(epoch + 1) - group.taken(epoch)) as u64;
        let total = self.groups.iter().map(in_epoch).sum();
        let mut index = permute(total, hash(self.seed ^ hash(epoch as u64)), (u128::from(position) - start) as u64);
        for (i, group) in self.groups.iter().enumerate() {
            if index < in_epoch(group) {
                let drawn = group.taken(epoch) + u128::from(index);
                let (pass, index) = (drawn / u128::from(group.windows), drawn % u128::from(group.windows));
                let key = hash(hash(self.seed ^ hash(i as u64)).wrapping_add(pass as u64));
                return (i, permute(group.windows, key, index as u64));
            }
            index -= in_epoch(group);
        }
        (0, 0) // Not reached: the counts of the groups sum to `total`.
    }
}

/// The image of `index` under a pseudorandom permutation of `0..count`; `key` selects the permutation.
///
/// A format-preserving Feistel network (Black and Rogaway 2002, "Ciphers with arbitrary finite domains"): halves of
/// sizes a and b with `a b >= count`, sums modulo the size (section 5), and cycle walking back into the domain
/// (section 4). `a b` is below `count + 2 sqrt(count)`, so that one walk is nearly always enough.
fn permute(count: u64, key: u64, index: u64) -> u64 {
    if count < 2 {
        return 0;
    }
    let a = (count - 1).isqrt() + 1;
    let b = count.div_ceil(a);
    let mut walked = index;
    loop {
        let (mut left, mut right, mut sizes) = (walked / b, walked % b, (a, b));
        for round in 0..ROUNDS {
            let next = (left + hash(key.wrapping_add(round) ^ hash(right)) % sizes.0) % sizes.0;
            (left, right, sizes) = (right, next, (sizes.1, sizes.0));
        }
        walked = left * b + right;
        if walked < count {
            return walked;
        }
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014): a hash that separates neighbouring numbers.
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

    /// How often each window is drawn in a range of positions.
    fn counts(sampler: &ShuffledSampler, positions: std::ops::Range<u64>) -> BTreeMap<(usize, u64), u64> {
        let mut counts = BTreeMap::new();
        positions.for_each(|position| *counts.entry(sampler.at(position)).or_insert(0) += 1);
        counts
    }

    proptest! {
        #[test]
        fn every_epoch_draws_each_window_once(windows in 1u64..300, seed in any::<u64>(), epoch in 0u64..1_000_000_000) {
            let sampler = ShuffledSampler::new(seed, [(windows, 1.0)]);
            let from = epoch * windows;
            let counts = counts(&sampler, from..from + windows);
            prop_assert_eq!(counts.len() as u64, windows);
            prop_assert_eq!((sampler.epoch(from), sampler.epoch(from + windows - 1)), (epoch, epoch));
        }

        /// After e epochs, a window of weight w was drawn floor(e w) or ceil(e w) times, whatever the weights. The
        /// count may be off by the fraction of a window that the group carries over.
        #[test]
        fn windows_are_drawn_in_proportion_to_their_weight(
            groups in prop::collection::vec((1u64..20, 1u32..40), 1..5),
            epochs in 1u64..40,
            seed in any::<u64>(),
        ) {
            // In eighths: exact in binary.
            let sampler = ShuffledSampler::new(seed, groups.iter().map(|&(windows, eighths)| (windows, f64::from(eighths) / 8.0)));
            let taken: Vec<u64> = groups.iter().map(|&(windows, eighths)| epochs * windows * u64::from(eighths) / 8).collect();
            let positions = taken.iter().sum();
            let counts = counts(&sampler, 0..positions);
            for (i, (&(windows, _), taken)) in groups.iter().zip(taken).enumerate() {
                let of_group: Vec<u64> = (0..windows).map(|w| counts.get(&(i, w)).copied().unwrap_or(0)).collect();
                prop_assert_eq!(of_group.iter().sum::<u64>(), taken);
                prop_assert!(of_group.iter().all(|&c| c == taken / windows || c == taken.div_ceil(windows)), "{:?}", of_group);
            }
            // A group of small weight has epochs without a window.
            prop_assert!(sampler.epoch(positions) >= epochs);
            prop_assert!(positions == 0 || sampler.epoch(positions - 1) < epochs);
        }
    }

    #[test]
    fn each_epoch_and_each_seed_has_its_own_order() {
        let drawn = |seed, from: u64| -> Vec<u64> {
            let sampler = ShuffledSampler::new(seed, [(50, 1.0)]);
            (from..from + 50).map(|position| sampler.at(position).1).collect()
        };
        let all = [drawn(1, 0), drawn(1, 50), drawn(1, 100), drawn(2, 0), drawn(2, 50)];
        for (i, one) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|other| other != one), "{i}");
            assert!(*one != (0..50).collect::<Vec<_>>());
        }
        assert_eq!(drawn(1, 0), all[0]);
    }

    #[test]
    fn all_permutations_are_equally_likely() {
        // 4 windows have 24 orders. Of 24,000 epochs each order gets 1000, standard deviation 31. Chi-squared with 23
        // degrees of freedom has mean 23 and standard deviation 6.8; five of them above the mean: 57.
        let sampler = ShuffledSampler::new(9, [(4, 1.0)]);
        let mut seen = BTreeMap::new();
        for epoch in 0..24_000 {
            let drawn: Vec<u64> = (0..4).map(|i| sampler.at(4 * epoch + i).1).collect();
            *seen.entry(drawn).or_insert(0u32) += 1;
        }
        assert_eq!(seen.len(), 24);
        let chi: f64 = seen.values().map(|&count| (f64::from(count) - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi < 57.0, "{chi}");
        // Two groups of 4 windows have 56 pairs (first, second). 56,000 epochs, 55 degrees of freedom: standard
        // deviation
        // 10.5, five of them above the mean: 108.
        let sampler = ShuffledSampler::new(9, [(4, 1.0), (4, 1.0)]);
        let mut seen = BTreeMap::new();
        for epoch in 0..56_000 {
            *seen.entry([0, 1].map(|i| sampler.at(8 * epoch + i))).or_insert(0u32) += 1;
        }
        assert_eq!(seen.len(), 56);
        let chi: f64 = seen.values().map(|&count| (f64::from(count) - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi < 108.0, "{chi}");
    }

    #[test]
    fn extreme_weights_and_positions_give_a_valid_window() {
        for (windows, weight) in [(1, 1e-300), (1 << 40, 1e300), (1, 1e300), (1 << 40, 1e-9)] {
            let sampler = ShuffledSampler::new(u64::MAX, [(windows, weight), (3, 0.1)]);
            for position in [0, 1, 1 << 20, 1 << 50, u64::MAX] {
                let (group, window) = sampler.at(position);
                assert!(window < [windows, 3][group]);
            }
        }
    }
}
