//! Percentiles of any number of values in bounded memory, in one pass.
//!
//! Values are counted in buckets whose width is a 128th of an octave of their distance from a centre, the median of the
//! first values. So a percentile is off by at most [`ERROR`] of its distance from the centre: neither a large offset (a
//! position in an earth-wide frame) nor a single wild value costs accuracy. Up to [`EXACT`] values are kept as they
//! are.

/// Most that a percentile is off, relative to its distance from the centre: half a bucket.
pub(super) const ERROR: f64 = 1.0 / 256.0;
/// So many values are kept as they are.
pub(super) const EXACT: usize = 1024;
/// Buckets in an octave.
const BUCKETS: usize = 128;
/// The bits of a mantissa above those of the bucket.
const MANTISSA_SHIFT: u32 = 52 - 7;
/// Distances below 2^-64 count as none, distances of 2^129 and more as the largest: values are within f32.
const MIN_EXPONENT: i64 = -64;
const OCTAVES: usize = 64 + 129;

/// Counts of values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sketch {
    first: Vec<f64>,
    centre: f64,
    /// Octaves of distances below the centre, then above it. None until the centre is known.
    octaves: Vec<Option<Box<[u64; BUCKETS]>>>,
    at_centre: u64,
    count: u64,
    min: f64,
    max: f64,
}

impl Sketch {
    /// Counts a finite value.
    #[inline]
    pub(crate) fn add(&mut self, value: f64) {
        if self.count == 0 {
            (self.min, self.max) = (value, value);
        }
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.count += 1;
        if self.octaves.is_empty() {
            self.first.push(value);
            if self.first.len() > EXACT {
                self.spread();
            }
        } else {
            self.put(value);
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The value below which a share of the values lies, the nearest rank; `None` without values.
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        let rank = (share.clamp(0.0, 1.0) * self.count.checked_sub(1)? as f64).round() as u64;
        if self.octaves.is_empty() {
            let mut sorted = self.first.clone();
            sorted.sort_by(f64::total_cmp);
            return sorted.get(rank as usize).copied();
        }
        if rank == 0 || rank + 1 == self.count {
            return Some(if rank == 0 { self.min } else { self.max });
        }
        let mut before = 0;
        self.buckets().find_map(|(low, high, count)| {
            before += count;
            (before > rank).then_some((low + high) / 2.0)
        })
    }

    /// The share of the values that are at most `value`, to within a bucket.
    pub(crate) fn share_up_to(&self, value: f64) -> f64 {
        let below: u64 = if self.octaves.is_empty() {
            self.first.iter().filter(|first| **first <= value).count() as u64
        } else {
            self.buckets().filter(|(low, high, _)| (low + high) / 2.0 <= value).map(|(.., count)| count).sum()
        };
        below as f64 / self.count.max(1) as f64
    }

    /// How many values lie in each of `bins` equal parts of `low..high`.
    pub(crate) fn histogram(&self, low: f64, high: f64, bins: usize) -> Vec<u64> {
        let mut counts = vec![0.0; bins];
        let width = (high - low) / bins as f64;
        let mut put = |from: f64, to: f64, count: f64| {
            let place = |value: f64| ((value - low) / width).clamp(0.0, bins as f64);
            let (a, b) = (place(from), place(to));
            let (first, last) = (a as usize, (b as usize).min(bins - 1));
            if b - a <= 0.0 {
                if (low..=high).contains(&from) {
                    counts[first.min(bins - 1)] += count;
                }
                return;
            }
            // Spread evenly over the bucket; what of it lies outside is left out.
            let density = count / ((to - from) / width);
            for (k, bin) in counts.iter_mut().enumerate().take(last + 1).skip(first) {
                *bin += density * ((k + 1) as f64).min(b).max(a) - density * (k as f64).max(a).min(b);
            }
        };
        if self.octaves.is_empty() {
            self.first.iter().for_each(|value| put(*value, *value, 1.0));
        } else {
            self.buckets().for_each(|(from, to, count)| put(from, to, count as f64));
        }
        counts.into_iter().map(|count: f64| count.round() as u64).collect()
    }

    fn spread(&mut self) {
        self.octaves = vec![None; 2 * OCTAVES];
        let first = std::mem::take(&mut self.first);
        let mut sorted = first.clone();
        sorted.sort_by(f64::total_cmp);
        self.centre = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
        first.into_iter().for_each(|value| self.put(value));
    }

    #[inline]
    fn put(&mut self, value: f64) {
        let distance = value - self.centre;
        let bits = distance.to_bits();
        let exponent = ((bits >> 52) & 0x7ff) as i64 - 1023;
        if exponent < MIN_EXPONENT {
            self.at_centre += 1;
            return;
        }
        let octave = ((exponent - MIN_EXPONENT) as usize).min(OCTAVES - 1);
        let place = if distance < 0.0 { octave } else { OCTAVES + octave };
        let bucket = (bits >> MANTISSA_SHIFT) as usize & (BUCKETS - 1);
        self.octaves[place].get_or_insert_with(|| Box::new([0; BUCKETS]))[bucket] += 1;
    }

    /// Lower end, upper end and count of every bucket that has values, ascending; none reaches beyond the values.
    fn buckets(&self) -> impl Iterator<Item = (f64, f64, u64)> + '_ {
        let edge = |octave: usize, bucket: usize| {
            let exponent = octave as i64 + MIN_EXPONENT;
            (1.0 + bucket as f64 / BUCKETS as f64) * (exponent as f64).exp2()
        };
        let side = move |octave: usize, above: bool| {
            let counts = self.octaves.get(if above { OCTAVES + octave } else { octave });
            let counts = counts.and_then(Option::as_ref).map(|counts| counts.iter().copied().enumerate());
            counts.into_iter().flatten().filter(|(_, count)| *count > 0).map(move |(bucket, count)| {
                let (near, far) = (edge(octave, bucket), edge(octave, bucket + 1));
                if above {
                    (self.centre + near, self.centre + far, count)
                } else {
                    (self.centre - far, self.centre - near, count)
                }
            })
        };
        let below = (0..OCTAVES).rev().flat_map(move |octave| {
            let mut buckets: Vec<_> = side(octave, false).collect();
            buckets.reverse();
            buckets
        });
        let centre = (self.at_centre > 0).then_some((self.centre, self.centre, self.at_centre));
        let all = below.chain(centre).chain((0..OCTAVES).flat_map(move |octave| side(octave, true)));
        all.map(|(low, high, count)| (low.clamp(self.min, self.max), high.clamp(self.min, self.max), count))
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn sketch(values: &[f64]) -> Sketch {
        let mut sketch = Sketch::default();
        values.iter().for_each(|value| sketch.add(*value));
        sketch
    }

    #[test]
    fn few_values_are_exact() {
        let few = sketch(&[5.0, 1.0, 3.0, 2.0, 4.0]);
        // Ranks 0, 2 and 4 of five.
        assert_eq!([0.0, 0.5, 1.0].map(|share| few.quantile(share)), [1.0, 3.0, 5.0].map(Some));
        assert_eq!(few.share_up_to(3.0), 0.6);
        assert_eq!(few.histogram(0.0, 6.0, 3), [1, 2, 2]);
        assert_eq!(sketch(&[]).quantile(0.5), None);
    }

    #[test]
    fn percentiles_are_off_by_half_a_bucket_of_their_distance_from_the_centre() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        // An offset of 5 million with a spread of 10, and an outlier.
        for (offset, spread) in [(0.0, 1.0), (5e6, 10.0), (-3.0, 1e-3)] {
            let mut values: Vec<f64> =
                (0..50_000).map(|_| offset + spread * rng.random_range(-1.0f64..1.0).powi(3)).collect();
            values[30_000] = 1e9;
            let sketch = sketch(&values);
            values.sort_by(f64::total_cmp);
            for share in [0.0, 0.01, 0.05, 0.5, 0.95, 0.99] {
                let exact = values[(share * 49_999.0f64).round() as usize];
                let got = sketch.quantile(share).unwrap();
                let allowed = ERROR * (exact - sketch.centre).abs() + 1e-9 * spread;
                assert!((got - exact).abs() <= allowed * 1.001, "{share}: {got}, {exact}, {allowed}");
            }
            assert!((sketch.share_up_to(offset) - 0.5).abs() < 0.01);
            // A uniform cube root: half of the values lie within an eighth of the spread from the offset.
            let bins = sketch.histogram(offset - spread / 8.0, offset + spread / 8.0, 4);
            assert!((bins.iter().sum::<u64>() as f64 / 25_000.0 - 1.0).abs() < 0.02, "{bins:?}");
        }
    }

    #[test]
    fn values_at_the_maximum_are_in_the_last_bin() {
        // A third of 3,000 values at 0.5, the greatest; buckets reach beyond it.
        let values: Vec<f64> = (0..3000).map(|k| if k % 3 == 0 { 0.5 } else { f64::from(k) / 6000.0 - 0.3 }).collect();
        let bins = sketch(&values).histogram(-0.3, 0.5, 8);
        assert!((1000..1010).contains(&bins[7]), "{bins:?}");
        assert_eq!(sketch(&values).quantile(1.0), Some(0.5));
    }

    #[test]
    fn memory_does_not_grow_with_the_values() {
        let mut sketch = Sketch::default();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        (0..200_000).for_each(|_| sketch.add(rng.random_range(-1.0..1.0)));
        let octaves = |sketch: &Sketch| sketch.octaves.iter().flatten().count();
        // Distances from 2^-64 to 2: rarely below 2^-20.
        assert!(octaves(&sketch) < 60, "{}", octaves(&sketch));
        for value in [0.0, 3e38, -3e38, 1e-300] {
            sketch.add(value);
        }
        assert!(octaves(&sketch) < 63 && sketch.quantile(1.0).unwrap() > 2.9e38);
    }
}
