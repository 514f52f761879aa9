//! Recordings to episodes: decoded, aligned to ticks, split at gaps and at backward jumps of time.
//!
//! ```text
//! bag -> messages -> [decode] -> samples by stream and epoch -> [live intervals] -> [aligner] -> frames
//! ```
//! A stream is one group of the contract (or the action). An epoch ends where time jumps backwards. Within an epoch, an
//! episode is an interval in which no required group is silent for longer than the contract's gap.

use super::streams::{Epoch, Samples, Streams};
use super::{Bag, BagError};
use crate::config::Config;
use crate::message::Bound;
use crate::signal::{Aligner, Frame, Layout};

/// Longest episode in ticks (38 days at 20 Hz): more is a wrong stamp.
const TICKS_MAX: i64 = 1 << 26;

/// Consecutive frames, one per tick, without a gap.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    /// The tick of the first frame, nanoseconds.
    pub start_ns: i64,
    pub frames: Vec<Frame>,
}

/// What was read and what was left out, for people.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EpisodeReport {
    /// Messages of the contract's topics.
    pub messages: u64,
    /// Messages that could not be decoded; the first few reasons.
    pub refused: u64,
    pub reasons: Vec<String>,
    pub splits_at_gaps: u64,
    pub splits_at_jumps: u64,
    /// What else people should know: a recording that was cut off, an optional topic that it lacks.
    pub notices: Vec<String>,
}

/// Reads every episode of a bag.
///
/// Samples are placed by header stamp, or by log time where there is none. The tick grid of an episode starts when every
/// required group has been seen; an episode starts and ends with a frame in which all of them are present.
///
/// # Errors
/// Damage of the bag (one that was merely cut off gives a notice), a topic of the contract that the bag lacks (unless its
/// group is not required) or that has another type there, a topic of which not one message can be decoded.
pub fn read_episodes(
    bag: &dyn Bag,
    config: &Config,
    bound: &Bound,
    layout: &Layout,
) -> Result<(Vec<Episode>, EpisodeReport), BagError> {
    let mut report = EpisodeReport::default();
    let mut streams = Streams::new(bag.topics(), config, bound, &mut report)?;
    let topics = streams.topics();
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    match bag.read(&topics, &mut |message| streams.add(message, &mut report)) {
        Err(error @ BagError::Unfinished { .. }) => report.notices.push(error.to_string()),
        other => other?,
    }
    let epochs = streams.finish()?;
    report.splits_at_jumps = epochs.len().saturating_sub(1) as u64;
    let mut episodes = Vec::new();
    for mut epoch in epochs {
        let before = episodes.len();
        frames_of(&mut epoch, config, layout, &mut episodes)?;
        report.splits_at_gaps += (episodes.len() - before).saturating_sub(1) as u64;
    }
    Ok((episodes, report))
}

/// Adds the episodes of one epoch.
fn frames_of(epoch: &mut Epoch, config: &Config, layout: &Layout, episodes: &mut Vec<Episode>) -> Result<(), BagError> {
    epoch.sort();
    let contract = &config.contract;
    let required: Vec<usize> =
        (0..contract.observations.len()).filter(|&group| contract.observations[group].required).collect();
    let period_ns = contract.period_ns();
    let longest_age_s = required.iter().map(|&group| contract.observations[group].max_age_s).fold(0.0, f64::max);
    let longest_age_ns = nanoseconds(longest_age_s);
    let mut aligner = Aligner::new(contract, layout);
    let mut feed = Feed::default();
    let live = live_intervals(epoch, &required, nanoseconds(config.training.max_gap_s));
    for (i, &(start_ns, end_ns)) in live.iter().enumerate() {
        // The last samples stay fresh for a while, at most until the next episode; what comes after is cut off below.
        let next_ns = live.get(i + 1).map_or(i64::MAX, |next| next.0);
        let length_ns = end_ns.saturating_add(longest_age_ns).min(next_ns - 1).saturating_sub(start_ns);
        let ticks = length_ns / period_ns;
        if ticks > TICKS_MAX {
            return Err(BagError::TooLong { expected: TICKS_MAX, got: ticks });
        }
        let mut episode = Episode { start_ns, frames: Vec::new() };
        let mut whole = 0;
        for k in 0..=ticks {
            let tick_ns = start_ns.saturating_add(k * period_ns);
            feed.up_to(tick_ns, epoch, &mut aligner);
            let frame = aligner.frame_at(tick_ns);
            let is_whole = required.iter().all(|&group| frame.present[1 + group]);
            if episode.frames.is_empty() && !is_whole {
                continue;
            }
            if episode.frames.is_empty() {
                episode.start_ns = tick_ns;
            }
            episode.frames.push(frame);
            if is_whole {
                whole = episode.frames.len();
            }
        }
        episode.frames.truncate(whole);
        if !episode.frames.is_empty() {
            episodes.push(episode);
        }
    }
    Ok(())
}

fn nanoseconds(seconds: f64) -> i64 {
    (seconds * 1e9).round() as i64 // `as` saturates.
}

/// How far each stream has been handed to the aligner.
#[derive(Default)]
struct Feed {
    action: usize,
    observations: Vec<usize>,
}

impl Feed {
    /// Hands on every sample stamped up to `tick_ns`.
    fn up_to(&mut self, tick_ns: i64, epoch: &Epoch, aligner: &mut Aligner) {
        self.observations.resize(epoch.observations.len(), 0);
        hand_on(&mut self.action, tick_ns, &epoch.action, |stamp, values| aligner.command(stamp, values));
        for (group, (next, samples)) in self.observations.iter_mut().zip(&epoch.observations).enumerate() {
            hand_on(next, tick_ns, samples, |stamp, values| aligner.observe(group, stamp, values));
        }
    }
}

fn hand_on(next: &mut usize, tick_ns: i64, samples: &Samples, mut to: impl FnMut(i64, &[f64])) {
    while let Some((stamp, values)) = samples.get(*next).filter(|&(stamp, _)| stamp <= tick_ns) {
        to(stamp, values);
        *next += 1;
    }
}

/// The intervals in which every required group is live: from the latest of their first samples to the earliest of their
/// last ones, no two samples of a group more than `max_gap_ns` apart. Where no group is required, any group counts.
fn live_intervals(epoch: &Epoch, required: &[usize], max_gap_ns: i64) -> Vec<(i64, i64)> {
    if required.is_empty() {
        let mut stamps: Vec<i64> = epoch.observations.iter().flat_map(Samples::stamps).collect();
        stamps.sort_unstable();
        return intervals(stamps.into_iter(), max_gap_ns);
    }
    let mut live = vec![(i64::MIN, i64::MAX)];
    for &group in required {
        let own = intervals(epoch.observations[group].stamps(), max_gap_ns);
        live = intersection(&live, &own);
    }
    live
}

/// First and last of each run of ascending stamps without a larger step than `max_gap_ns`.
fn intervals(stamps: impl Iterator<Item = i64>, max_gap_ns: i64) -> Vec<(i64, i64)> {
    let mut intervals: Vec<(i64, i64)> = Vec::new();
    for stamp in stamps {
        match intervals.last_mut() {
            Some((_, last)) if stamp.saturating_sub(*last) <= max_gap_ns => *last = stamp,
            _ => intervals.push((stamp, stamp)),
        }
    }
    intervals
}

/// Both lists ascend.
fn intersection(one: &[(i64, i64)], other: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let (mut i, mut j, mut both) = (0, 0, Vec::new());
    while let (Some(a), Some(b)) = (one.get(i), other.get(j)) {
        let (start, end) = (a.0.max(b.0), a.1.min(b.1));
        if start <= end {
            both.push((start, end));
        }
        if a.1 < b.1 { i += 1 } else { j += 1 }
    }
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_end_at_gaps_and_intersect() {
        assert_eq!(intervals([1, 3, 5, 8, 8, 20].into_iter(), 2), [(1, 5), (8, 8), (20, 20)]);
        assert_eq!(intervals([1, 3, 5, 8].into_iter(), 3), [(1, 8)]);
        assert_eq!(intersection(&[(0, 10), (20, 30)], &[(5, 22), (25, 40)]), [(5, 10), (20, 22), (25, 30)]);
        assert_eq!(intersection(&[(0, 1)], &[(2, 3)]), []);
        assert_eq!(intersection(&[(0, 5), (6, 9)], &[(5, 6)]), [(5, 5), (6, 6)]);
    }
}
