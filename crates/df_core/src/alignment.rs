//! Samples to ticks. One aligner serves recordings and the live robot, so that what the network sees cannot differ.
//!
//! ```text
//!            tick k-1             tick k
//! ----o--------|----o----o----------|---o----> time      o: samples of a group; the observation of tick k is the
//!                        ^ of tick k                      newest at or before it, if not too old
//! --c1---------|-------c2-----------|--------> commands: the action of frame k is the mean over (k-1, k], here
//!              |<-c1-->|<---c2----->|                     c1 and c2 weighted by how long each was in effect
//! ```

use std::collections::VecDeque;

use super::layout::ACTION_MODALITY;
use super::{Frame, Layout};
use crate::{Contract, Uncertainty};

const NS_PER_S: f64 = 1e9;
/// Ticks may be asked for this long before the newest tick that was asked for; what only older ticks need is dropped.
const LOOKBACK_NS: i64 = 1_000_000_000;
/// Most samples of one group that are kept: a bound on memory against stamps that never come due and against a caller
/// that never asks. At 1 kHz it is more than a minute.
const MAX_SAMPLES: usize = 1 << 16;

/// Collects stamped samples and gives the frame of a tick.
#[derive(Clone, Debug)]
pub struct Aligner {
    period_ns: i64,
    observations: Vec<Track>,
    uncertainty: Vec<Uncertainty>,
    commands: Track,
    layout: Layout,
    newest_tick_ns: Option<i64>,
}

impl Aligner {
    /// An aligner for the contract's groups; `layout` comes from the same contract.
    pub fn new(contract: &Contract, layout: &Layout) -> Self {
        let track = |modality: usize, variances: bool, max_age_s: f64| {
            let channels = layout.modalities[modality].channels.len();
            Track::new(channels * if variances { 2 } else { 1 }, (max_age_s * NS_PER_S).round() as i64)
        };
        let groups = contract.observations.iter().enumerate();
        Self {
            period_ns: contract.period_ns(),
            observations: groups
                .map(|(g, group)| track(g + 1, !group.uncertainty.variances.is_empty(), group.max_age_s))
                .collect(),
            commands: track(ACTION_MODALITY, false, contract.action.max_age_s),
            uncertainty: contract.observations.iter().map(|group| group.uncertainty.clone()).collect(),
            layout: layout.clone(),
            newest_tick_ns: None,
        }
    }

    /// A sample of observation group `group` (index into the contract's observations), stamped `stamp_ns`, in units.
    /// Samples may come in any order; of two with one stamp the last one counts. `values`: one per channel of the group, then
    /// one variance per channel where its contract names fields for them.
    pub fn observe(&mut self, group: usize, stamp_ns: i64, values: &[f64]) {
        self.observations[group].insert(stamp_ns, values, self.newest_tick_ns);
    }

    /// A command in effect from `stamp_ns` until the next one or until it is too old, in units. As [`Aligner::observe`].
    pub fn command(&mut self, stamp_ns: i64, values: &[f64]) {
        self.commands.insert(stamp_ns, values, self.newest_tick_ns);
    }

    /// The frame at `tick_ns`: the newest samples not after the tick and not too old, and the time-weighted mean of the
    /// commands in effect during the period that ends at the tick. Where commands cover only part of the period, the
    /// mean is over that part; where they cover none, the action is missing.
    ///
    /// Ticks may be asked for in any order, but not more than a second before the newest one asked for.
    pub fn frame_at(&mut self, tick_ns: i64) -> Frame {
        let newest = self.newest_tick_ns.map_or(tick_ns, |newest| newest.max(tick_ns));
        self.newest_tick_ns = Some(newest);
        let oldest_tick = newest.saturating_sub(LOOKBACK_NS);
        self.observations.iter_mut().for_each(|track| track.forget_before(oldest_tick));
        self.commands.forget_before(oldest_tick.saturating_sub(self.period_ns));

        let mut frame = Frame::missing(&self.layout);
        let action = &mut frame.values[self.layout.action()];
        frame.present[ACTION_MODALITY] = self.commands.mean(tick_ns.saturating_sub(self.period_ns), tick_ns, action);
        for (g, track) in self.observations.iter().enumerate() {
            let modality = ACTION_MODALITY + 1 + g;
            if let Some(sample) = track.fresh_at(tick_ns) {
                let channels = self.layout.modalities[modality].channels.clone();
                let (values, variances) = track.values(sample).split_at(channels.len());
                frame.values[channels.clone()].iter_mut().zip(values).for_each(|(to, &from)| *to = from as f32);
                frame.present[modality] = true;
                if self.uncertainty[g] != Uncertainty::default() {
                    let age_s = tick_ns.saturating_sub(sample.stamp_ns) as f64 / NS_PER_S;
                    frame.std.resize(self.layout.frame_channels(), 0.0);
                    for (i, c) in channels.enumerate() {
                        frame.std[c] = std(&self.uncertainty[g], age_s, variances.get(i));
                    }
                }
            }
        }
        frame
    }

    /// Stamp of the newest sample of a group not after `tick_ns`; `None` if there is none.
    pub fn newest_ns(&self, group: usize, tick_ns: i64) -> Option<i64> {
        self.observations[group].newest_at(tick_ns).map(|sample| sample.stamp_ns)
    }

    /// Whether a sample for the tick is still on its way, judged by the pace of the last two: not where a later one is here.
    pub fn awaits(&self, group: usize, tick_ns: i64) -> bool {
        let samples = &self.observations[group].samples;
        let due_ns = match samples.partition_point(|s| s.stamp_ns <= tick_ns) {
            after if after < samples.len() => return false,
            0 => return true,
            1 => samples[0].stamp_ns.saturating_add(self.period_ns),
            after => samples[after - 1].stamp_ns.saturating_mul(2).saturating_sub(samples[after - 2].stamp_ns),
        };
        due_ns <= tick_ns
    }

    /// Age of that sample at `tick_ns`, seconds.
    pub fn age_s(&self, group: usize, tick_ns: i64) -> Option<f64> {
        Some(tick_ns.saturating_sub(self.newest_ns(group, tick_ns)?) as f64 / NS_PER_S)
    }

    /// The command that is in effect from `tick_ns` on, as far as is known; `None` if there is none or it is too old.
    pub fn commanded_at(&self, tick_ns: i64) -> Option<&[f64]> {
        self.commands.fresh_at(tick_ns).map(|sample| self.commands.values(sample))
    }

    /// Forgets every sample (a backward jump of time).
    pub fn clear(&mut self) {
        self.observations.iter_mut().for_each(Track::clear);
        self.commands.clear();
        self.newest_tick_ns = None;
    }
}

/// In the group's unit; infinite where the variance is unknown (negative, as ROS messages say it).
fn std(uncertainty: &Uncertainty, age_s: f64, variance: Option<&f64>) -> f32 {
    match variance {
        Some(variance) if *variance < 0.0 => f32::INFINITY,
        variance => {
            let squares = uncertainty.std.powi(2) + (uncertainty.per_s * age_s).powi(2);
            (squares + variance.unwrap_or(&0.0)).sqrt() as f32
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Stamped {
    stamp_ns: i64,
    /// Where its values lie in the pool.
    place: usize,
}

/// The samples of one modality by ascending stamp. Values lie in a pool whose places are used again, so that nothing is
/// allocated once it has grown.
#[derive(Clone, Debug)]
struct Track {
    width: usize,
    max_age_ns: i64,
    samples: VecDeque<Stamped>,
    pool: Vec<f64>,
    free: Vec<usize>,
}

impl Track {
    fn new(width: usize, max_age_ns: i64) -> Self {
        Self { width, max_age_ns, samples: VecDeque::new(), pool: Vec::new(), free: Vec::new() }
    }

    fn values(&self, sample: &Stamped) -> &[f64] {
        &self.pool[sample.place * self.width..][..self.width]
    }

    fn insert(&mut self, stamp_ns: i64, values: &[f64], newest_tick_ns: Option<i64>) {
        // Nearly always the newest; else found by bisection.
        let after = match self.samples.back() {
            Some(last) if last.stamp_ns > stamp_ns => self.samples.partition_point(|s| s.stamp_ns <= stamp_ns),
            _ => self.samples.len(),
        };
        let place = match after.checked_sub(1).map(|i| self.samples[i]) {
            Some(same) if same.stamp_ns == stamp_ns => same.place,
            _ => {
                let place = self.free.pop().unwrap_or_else(|| {
                    self.pool.resize(self.pool.len() + self.width, 0.0);
                    self.pool.len() / self.width.max(1) - 1
                });
                self.samples.insert(after, Stamped { stamp_ns, place });
                place
            }
        };
        self.pool[place * self.width..][..self.width].copy_from_slice(values);
        if self.samples.len() > MAX_SAMPLES {
            self.make_room(newest_tick_ns);
        }
    }

    /// Drops the sample that will matter last: one far in the future of the ticks, or else the oldest.
    fn make_room(&mut self, newest_tick_ns: Option<i64>) {
        let far = newest_tick_ns.map(|tick| tick.saturating_add(LOOKBACK_NS));
        let dropped = match self.samples.back() {
            Some(last) if far.is_some_and(|far| last.stamp_ns > far) => self.samples.pop_back(),
            _ => self.samples.pop_front(),
        };
        self.free.extend(dropped.map(|sample| sample.place));
    }

    /// Drops what no tick from `tick_ns` on can need: all before the newest sample not after it.
    fn forget_before(&mut self, tick_ns: i64) {
        while self.samples.get(1).is_some_and(|second| second.stamp_ns <= tick_ns) {
            self.free.extend(self.samples.pop_front().map(|sample| sample.place));
        }
    }

    fn newest_at(&self, tick_ns: i64) -> Option<&Stamped> {
        self.samples.get(self.samples.partition_point(|s| s.stamp_ns <= tick_ns).checked_sub(1)?)
    }

    fn fresh_at(&self, tick_ns: i64) -> Option<&Stamped> {
        self.newest_at(tick_ns).filter(|sample| tick_ns.saturating_sub(sample.stamp_ns) <= self.max_age_ns)
    }

    /// The time-weighted mean over (from, to] of what was in effect; `false` if nothing was.
    fn mean(&self, from_ns: i64, to_ns: i64, mean: &mut [f32]) -> bool {
        let first = self.samples.partition_point(|s| s.stamp_ns <= from_ns).saturating_sub(1);
        let in_effect = |i: usize| {
            let stamp = self.samples[i].stamp_ns;
            let until = stamp.saturating_add(self.max_age_ns);
            let until = self.samples.get(i + 1).map_or(until, |next| until.min(next.stamp_ns));
            until.min(to_ns).saturating_sub(stamp.max(from_ns)).max(0)
        };
        let during = first..self.samples.partition_point(|s| s.stamp_ns < to_ns);
        let covered: i64 = during.clone().map(in_effect).sum();
        if covered == 0 {
            return false;
        }
        // Channel by channel, so that the sums in f64 need no memory.
        for (c, mean) in mean.iter_mut().enumerate() {
            let sum: f64 = during.clone().map(|i| in_effect(i) as f64 * self.values(&self.samples[i])[c]).sum();
            *mean = (sum / covered as f64) as f32;
        }
        true
    }

    fn clear(&mut self) {
        self.samples.clear();
        self.pool.clear();
        self.free.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::Contract;

    const MS: i64 = 1_000_000;

    /// The shipped contract: period 50 ms, position and velocity valid for 100 ms, commands for 100 ms.
    fn aligner() -> Aligner {
        let config = Contract::parse(include_str!("../../../config/point_maze.yaml"), Path::new("c.yaml")).unwrap();
        assert_eq!((config.period_s, config.action.max_age_s), (0.05, 0.1));
        let pair = |name: &str| (name.to_string(), vec!["x".to_string(), "y".to_string()]);
        Aligner::new(&config, &Layout::new(8, [pair("action"), pair("position"), pair("velocity")]))
    }

    #[test]
    fn the_newest_sample_not_after_the_tick_counts_until_it_is_too_old() {
        let mut aligner = aligner();
        aligner.observe(0, 10 * MS, &[1.0, 2.0]);
        aligner.observe(0, 60 * MS, &[3.0, 4.0]);
        let seen = |aligner: &mut Aligner, tick_ms: i64| {
            let frame = aligner.frame_at(tick_ms * MS);
            assert_eq!((frame.present[0], frame.present[2]), (false, false));
            frame.present[1].then_some((frame.values[2], frame.values[3]))
        };
        assert_eq!(seen(&mut aligner, 9), None);
        assert_eq!(seen(&mut aligner, 10), Some((1.0, 2.0)));
        assert_eq!(seen(&mut aligner, 59), Some((1.0, 2.0)));
        assert_eq!(seen(&mut aligner, 60), Some((3.0, 4.0)));
        assert_eq!(seen(&mut aligner, 160), Some((3.0, 4.0)));
        let late = aligner.frame_at(160 * MS + 1);
        assert_eq!((late.present, late.values), (vec![false; 3], vec![0.0; 6]));
        assert_eq!(aligner.age_s(0, 160 * MS), Some(0.1));
        assert_eq!((aligner.age_s(0, 9 * MS), aligner.age_s(1, 160 * MS)), (None, None));
        // Going back by less than a second finds the older sample again.
        assert_eq!(seen(&mut aligner, 59), Some((1.0, 2.0)));
        aligner.clear();
        assert_eq!(aligner.age_s(0, 160 * MS), None);
    }

    #[test]
    fn a_sample_is_as_exact_as_its_sensor_its_age_and_its_message_say() {
        let text = include_str!("../../../config/point_maze.yaml").replacen(
            "    max_age_s: 0.1",
            "    uncertainty: {std: 0.3, per_s: 8.0, variances: ['pose.covariance[0]', 'pose.covariance[7]']}\n    max_age_s: 0.1",
            1,
        );
        let config = Contract::parse(&text, Path::new("c.yaml")).unwrap();
        let pair = |name: &str| (name.to_string(), vec!["x".to_string(), "y".to_string()]);
        let layout = Layout::new(8, [pair("action"), pair("position"), pair("velocity")]);
        let mut aligner = Aligner::new(&config, &layout);
        aligner.observe(0, 50 * MS, &[1.0, 2.0, 1.44, -1.0]);
        aligner.observe(1, 50 * MS, &[5.0, 6.0]);
        let frame = aligner.frame_at(100 * MS);
        // 50 ms old: 0.3^2 + (8 * 0.05)^2 + 1.44 = 0.09 + 0.16 + 1.44 = 1.3^2. A variance of -1 is unknown.
        assert_eq!(frame.values, [0.0, 0.0, 1.0, 2.0, 5.0, 6.0]);
        assert!((frame.std[2] - 1.3).abs() < 1e-6 && frame.std[3].is_infinite());
        assert_eq!(frame.std[4..], [0.0, 0.0]);
    }

    #[test]
    fn a_sample_is_awaited_at_the_pace_of_the_last_two() {
        let mut aligner = aligner();
        assert!(aligner.awaits(0, 50 * MS));
        // One sample: the next is expected a period (50 ms) later.
        aligner.observe(0, 10 * MS, &[0.0, 0.0]);
        assert!(!aligner.awaits(0, 50 * MS) && aligner.awaits(0, 60 * MS));
        // Every 30 ms: after 40 ms the next one is due at 70 ms.
        aligner.observe(0, 40 * MS, &[0.0, 0.0]);
        assert!(!aligner.awaits(0, 69 * MS) && aligner.awaits(0, 70 * MS));
        // A later one is here: there was none for that tick.
        aligner.observe(0, 71 * MS, &[0.0, 0.0]);
        assert!(!aligner.awaits(0, 70 * MS));
    }

    #[test]
    fn disorder_is_sorted_and_of_equal_stamps_the_last_counts() {
        let mut aligner = aligner();
        for (stamp, value) in [(50, 5.0), (10, 1.0), (30, 3.0), (30, 33.0), (10, 11.0)] {
            aligner.observe(1, stamp * MS, &[value, 0.0]);
        }
        let seen = [10, 29, 30, 49, 50].map(|tick| aligner.frame_at(tick * MS).values[4]);
        assert_eq!(seen, [11.0, 11.0, 33.0, 33.0, 5.0]);
    }

    #[test]
    fn the_action_is_the_time_weighted_mean_of_the_commands_in_effect() {
        let mut aligner = aligner();
        let action = |aligner: &mut Aligner, tick_ms: i64| {
            let frame = aligner.frame_at(tick_ms * MS);
            frame.present[0].then_some((frame.values[0], frame.values[1]))
        };
        aligner.command(60 * MS, &[1.0, 10.0]);
        aligner.command(90 * MS, &[3.0, -10.0]);
        // A command at the tick itself starts to act after it.
        assert_eq!(action(&mut aligner, 60), None);
        // (20, 70]: only the part from 60 on is covered.
        assert_eq!(action(&mut aligner, 70), Some((1.0, 10.0)));
        // (50, 100]: 30 ms of 1 and 10 ms of 3: (30 + 30) / 40 = 1.5; (300 - 100) / 40 = 5.
        assert_eq!(action(&mut aligner, 100), Some((1.5, 5.0)));
        // (70, 120]: 20 ms of 1 and 30 ms of 3: (20 + 90) / 50 = 2.2; (200 - 300) / 50 = -2.
        assert_eq!(action(&mut aligner, 120), Some((2.2, -2.0)));
        // (150, 200]: the second holds until 190 and no longer.
        assert_eq!(action(&mut aligner, 200), Some((3.0, -10.0)));
        assert_eq!(action(&mut aligner, 239), Some((3.0, -10.0)));
        // (190, 240]: nothing is in effect any more.
        assert_eq!(action(&mut aligner, 240), None);
        // A later command does not reach back: (190, 240] again, and (200, 250] has 10 ms of it.
        aligner.command(240 * MS, &[7.0, 7.0]);
        assert_eq!(action(&mut aligner, 240), None);
        assert_eq!(action(&mut aligner, 250), Some((7.0, 7.0)));
    }

    #[test]
    fn a_command_a_little_after_its_tick_does_not_slip_by_a_period() {
        let mut aligner = aligner();
        for k in 0..5 {
            aligner.command((50 * k + 2) * MS, &[k as f64, 0.0]);
        }
        // (100, 150]: 2 ms of command 1 and 48 ms of command 2: (2 + 96) / 50 = 1.96.
        assert_eq!(aligner.frame_at(150 * MS).values[0], 1.96);
    }

    #[test]
    fn memory_stays_bounded_and_future_samples_are_kept() {
        let mut aligner = aligner();
        aligner.observe(0, 100_000 * MS, &[9.0, 9.0]);
        for k in 0..20_000 {
            aligner.observe(0, k * MS, &[k as f64, 0.0]);
            aligner.command(k * MS, &[k as f64, 0.0]);
            if k % 50 == 0 {
                assert_eq!(aligner.frame_at(k * MS).values[2], k as f32);
            }
        }
        // A second of lookback, a period of commands more, the samples since the last tick, the one in the future.
        assert!(aligner.observations[0].samples.len() < 1_060, "{}", aligner.observations[0].samples.len());
        assert!(aligner.commands.samples.len() < 1_110, "{}", aligner.commands.samples.len());
        assert!(aligner.observations[0].pool.len() < 2 * 1_120);
        assert_eq!(aligner.frame_at(100_010 * MS).values[2], 9.0);
        // Stamps that never come due, or ticks that are never asked for, do not fill the memory either.
        for k in 0..2 * MAX_SAMPLES as i64 {
            aligner.observe(1, i64::MAX - k, &[0.0, 0.0]);
            aligner.command(200_000 * MS + k, &[0.0, 0.0]);
        }
        assert!(aligner.observations[1].samples.len() <= MAX_SAMPLES && aligner.commands.samples.len() <= MAX_SAMPLES);
        aligner.observe(1, 100_020 * MS, &[5.0, 5.0]);
        assert_eq!(aligner.frame_at(100_020 * MS).values[4], 5.0);
    }

    proptest! {
        /// Against the definition, evaluated millisecond by millisecond.
        #[test]
        fn frames_are_what_the_definition_says(
            samples in prop::collection::vec((0i64..400, -9i8..9), 0..40),
            commands in prop::collection::vec((0i64..400, -9i8..9), 0..12),
        ) {
            let mut aligner = aligner();
            samples.iter().for_each(|&(stamp, v)| aligner.observe(0, stamp * MS, &[v.into(), 0.0]));
            commands.iter().for_each(|&(stamp, v)| aligner.command(stamp * MS, &[v.into(), 0.0]));
            // The newest not after `t`, the last of equals.
            let newest = |of: &[(i64, i8)], t: i64| {
                of.iter().copied().filter(|&(s, _)| s <= t && t - s <= 100).max_by_key(|&(s, _)| s)
            };
            for tick in (0..600).step_by(10) {
                let frame = aligner.frame_at(tick * MS);
                prop_assert_eq!(frame.present[1].then_some(frame.values[2]), newest(&samples, tick).map(|(_, v)| v.into()));
                // The command in effect during (t, t + 1]; it holds for 100 ms, so not in the one that starts at 100.
                let acting: Vec<f64> = (tick - 50..tick)
                    .filter_map(|t| newest(&commands, t).filter(|&(s, _)| t - s < 100).map(|(_, v)| v.into()))
                    .collect();
                let mean = acting.iter().sum::<f64>() / acting.len() as f64;
                prop_assert_eq!(frame.present[0], !acting.is_empty());
                prop_assert!(acting.is_empty() || (f64::from(frame.values[0]) - mean).abs() < 1e-5);
            }
        }
    }
}
