//! Aligns samples to ticks. Recordings and the live robot use the same aligner, so the network gets the same frames.
//!
//! ```text
//!            tick k-1             tick k
//! ----o--------|----o----o----------|---o----> time      o: samples of a group; the observation of tick k is the
//!                        ^ of tick k                      newest at or before it, if not too old
//! --c1---------|-------c2-----------|--------> commands: the action of frame k is the mean over (k-1, k], here
//!              |<-c1-->|<---c2----->|                     c1 and c2 weighted by how long each was in effect
//! ```

use std::collections::VecDeque;

use crate::contract::{Contract, Uncertainty};
use crate::layout::{ACTION_MODALITY, Frame, Layout};

const NS_PER_S: f64 = 1e9;
/// Frames can be requested for ticks up to this long before the newest requested tick. Older samples are dropped.
const LOOKBACK_NS: i64 = 1_000_000_000;
/// Most samples kept of one group. It bounds memory if stamps lie in the future or no frame is requested. At 1 kHz it
/// is more than a minute.
const MAX_SAMPLES: usize = 1 << 16;

/// Collects stamped samples and commands, and gives the frame of each tick.
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
    /// An aligner without samples. `layout` must come from the same contract.
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

    /// Adds a sample of observation group `group`, an index into the contract's observations. `stamp_ns`: nanoseconds.
    ///
    /// `values`: one per channel in the units of the contract, then one variance per channel if the contract names
    /// fields for variances. Samples can come in any order. Of two with the same stamp the later call counts.
    pub fn observe(&mut self, group: usize, stamp_ns: i64, values: &[f64]) {
        self.observations[group].insert(stamp_ns, values, self.newest_tick_ns);
    }

    /// Adds a command, in effect from `stamp_ns` until the next command or until it is too old. One value per channel.
    pub fn command(&mut self, stamp_ns: i64, values: &[f64]) {
        self.commands.insert(stamp_ns, values, self.newest_tick_ns);
    }

    /// The frame at `tick_ns`. An observation is the newest sample at or before the tick, if it is not too old. The action
    /// is the time-weighted mean of the commands in effect during the period that ends at the tick. The mean covers the
    /// part of the period that has a command; without one the action is missing.
    ///
    /// Ticks can be requested in any order, at most a second before the newest requested one.
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

    /// Stamp of the newest sample of a group at or before `tick_ns`, nanoseconds. `None` if there is none.
    pub fn newest_ns(&self, group: usize, tick_ns: i64) -> Option<i64> {
        self.observations[group].newest_at(tick_ns).map(|sample| sample.stamp_ns)
    }

    /// True if a sample for the tick is still expected. The interval of the last two samples predicts the next one. False
    /// if a sample after the tick has arrived.
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

    /// Age at `tick_ns` of the sample that [`Aligner::newest_ns`] gives, seconds.
    pub fn age_s(&self, group: usize, tick_ns: i64) -> Option<f64> {
        Some(tick_ns.saturating_sub(self.newest_ns(group, tick_ns)?) as f64 / NS_PER_S)
    }

    /// The newest command at or before `tick_ns`, one value per channel. `None` if there is none or it is too old.
    pub fn commanded_at(&self, tick_ns: i64) -> Option<&[f64]> {
        self.commands.fresh_at(tick_ns).map(|sample| self.commands.values(sample))
    }

    /// Drops every sample and command. Call it when time jumps backwards.
    pub fn clear(&mut self) {
        self.observations.iter_mut().for_each(Track::clear);
        self.commands.clear();
        self.newest_tick_ns = None;
    }
}

/// Standard deviation of a sample in the group's unit. Infinite if the variance is negative, which means unknown in ROS.
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
    /// Index of its values in the pool.
    place: usize,
}

/// The samples of one modality by ascending stamp. Values are in a pool whose rows are reused, so that a full-grown track
/// allocates nothing.
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
        // A sample is nearly always the newest one. Otherwise bisection finds its index.
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

    /// Drops one sample: the newest if it is far in the future of the ticks, else the oldest.
    fn make_room(&mut self, newest_tick_ns: Option<i64>) {
        let far = newest_tick_ns.map(|tick| tick.saturating_add(LOOKBACK_NS));
        let dropped = match self.samples.back() {
            Some(last) if far.is_some_and(|far| last.stamp_ns > far) => self.samples.pop_back(),
            _ => self.samples.pop_front(),
        };
        self.free.extend(dropped.map(|sample| sample.place));
    }

    /// Drops every sample before the newest one at or before `tick_ns`. No later tick needs them.
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

    /// Writes the time-weighted mean of the commands in effect over (from, to]. Returns false if there was none.
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
        // One channel at a time, so that the f64 sums need no buffer.
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
    fn an_observation_is_the_newest_sample_at_or_before_the_tick_until_it_is_too_old() {
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
    fn the_standard_deviation_combines_sensor_age_and_message_variance() {
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
    fn a_sample_is_awaited_one_interval_after_the_last_two() {
        let mut aligner = aligner();
        assert!(aligner.awaits(0, 50 * MS));
        // One sample: the next is expected a period (50 ms) later.
        aligner.observe(0, 10 * MS, &[0.0, 0.0]);
        assert!(!aligner.awaits(0, 50 * MS) && aligner.awaits(0, 60 * MS));
        // Every 30 ms: after 40 ms the next one is due at 70 ms.
        aligner.observe(0, 40 * MS, &[0.0, 0.0]);
        assert!(!aligner.awaits(0, 69 * MS) && aligner.awaits(0, 70 * MS));
        // A later sample has arrived, so there was none for that tick.
        aligner.observe(0, 71 * MS, &[0.0, 0.0]);
        assert!(!aligner.awaits(0, 70 * MS));
    }

    #[test]
    fn unordered_samples_are_sorted_and_the_last_of_equal_stamps_counts() {
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
    fn a_command_shortly_after_its_tick_is_not_delayed_by_a_period() {
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
        // Stamps far in the future and ticks that are never requested do not fill the memory.
        for k in 0..2 * MAX_SAMPLES as i64 {
            aligner.observe(1, i64::MAX - k, &[0.0, 0.0]);
            aligner.command(200_000 * MS + k, &[0.0, 0.0]);
        }
        assert!(aligner.observations[1].samples.len() <= MAX_SAMPLES && aligner.commands.samples.len() <= MAX_SAMPLES);
        aligner.observe(1, 100_020 * MS, &[5.0, 5.0]);
        assert_eq!(aligner.frame_at(100_020 * MS).values[4], 5.0);
    }

    proptest! {
        #[test]
        fn frames_equal_the_definition_evaluated_per_millisecond(
            samples in prop::collection::vec((0i64..400, -9i8..9), 0..40),
            commands in prop::collection::vec((0i64..400, -9i8..9), 0..12),
        ) {
            let mut aligner = aligner();
            samples.iter().for_each(|&(stamp, v)| aligner.observe(0, stamp * MS, &[v.into(), 0.0]));
            commands.iter().for_each(|&(stamp, v)| aligner.command(stamp * MS, &[v.into(), 0.0]));
            // The newest sample at or before `t`, the last one of equal stamps.
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
