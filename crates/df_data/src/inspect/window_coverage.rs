//! Episodes and windows: how much of the time of a recording training can use, and why not the rest.
//!
//! ```text
//! samples of the required groups   |-----|      |----------|  |--|
//! episodes                         |-----|      |----------|  |--|
//! windows (of 4 frames)            1..3           1......8      too short
//!                                  <- ticks of the stretch without a jump of time ->
//! ```
//! Of a stretch of t ticks without any gap there would be t - w + 1 windows of w frames. Each tick without a frame
//! costs one, each further episode w - 1, and of an episode that is too short all of its frames are lost: that adds up
//! exactly.

use serde::Serialize;

/// What is lost to no group's silence, and to that of all.
const TOO_OLD: &str = "samples older than max_age_s";
const ALL: &str = "all required groups";

/// How much training can use.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct WindowCoverage {
    /// Frames in a window.
    pub window: usize,
    /// Number of episodes.
    pub episodes: u64,
    /// Number of frames of all episodes.
    pub frames: u64,
    /// Ticks from the first sample to the last one.
    pub ticks: u64,
    /// Windows that fit into the episodes.
    pub windows: u64,
    /// Windows that would fit without any gap.
    pub possible_windows: u64,
    /// Windows lost because a required group was silent or too old, by group.
    pub lost_to_silence: Vec<(String, u64)>,
    /// Windows lost because they would reach from one episode into the next.
    pub lost_to_cuts: u64,
    /// Windows lost with episodes shorter than one.
    pub lost_to_shortness: u64,
    /// Episodes shorter than a window.
    pub short_episodes: u64,
    /// Frames of an episode: minimum, 5th, 50th and 95th percentile, maximum.
    pub lengths: [u64; 5],
    /// Stretches between jumps of time.
    pub stretches: u64,
}

/// A stretch without a jump of time.
#[derive(Clone, Debug, Default)]
pub(super) struct Epoch {
    /// First and last stamp of all samples.
    range_ns: Option<(i64, i64)>,
    /// First tick and frames of each episode.
    episodes: Vec<(i64, u64)>,
    /// When each required group was silent for long; its last stamp.
    silences: Vec<Vec<(i64, i64)>>,
    last_ns: Vec<Option<i64>>,
}

/// Collects stretches.
#[derive(Clone, Debug)]
pub(super) struct CoverageCounter {
    period_ns: i64,
    max_gap_ns: i64,
    window: usize,
    /// Names of the required groups.
    groups: Vec<String>,
    stretch: Epoch,
    lengths: Vec<u64>,
    coverage: WindowCoverage,
    /// Ticks lost, by group; then: none was silent, and all were.
    lost: Vec<u64>,
}

impl CoverageCounter {
    pub(super) fn new(period_ns: i64, max_gap_ns: i64, window: usize, groups: Vec<String>) -> Self {
        let stretch = Epoch::of(groups.len());
        let lost = vec![0; groups.len() + 2];
        let coverage = WindowCoverage { window, ..WindowCoverage::default() };
        Self { period_ns, max_gap_ns, window, groups, stretch, lengths: Vec::new(), coverage, lost }
    }

    /// A sample of a required group (its place among them), or of something else.
    pub(super) fn sample(&mut self, group: Option<usize>, stamp_ns: i64) {
        let (first_ns, last_ns) = self.stretch.range_ns.unwrap_or((stamp_ns, stamp_ns));
        self.stretch.range_ns = Some((first_ns.min(stamp_ns), last_ns.max(stamp_ns)));
        let Some(group) = group else { return };
        let last = self.stretch.last_ns[group];
        if let Some(last) = last.filter(|last| stamp_ns.saturating_sub(*last) > self.max_gap_ns) {
            self.stretch.silences[group].push((last, stamp_ns));
        }
        if last.is_none() {
            self.stretch.silences[group].push((i64::MIN, stamp_ns));
        }
        self.stretch.last_ns[group] = last.max(Some(stamp_ns));
    }

    /// A frame.
    pub(super) fn frame(&mut self, tick_ns: i64, starts_episode: bool) {
        if starts_episode {
            self.stretch.episodes.push((tick_ns, 0));
        }
        if let Some((_, frames)) = self.stretch.episodes.last_mut() {
            *frames += 1;
        }
    }

    /// Time starts anew: what came before is settled.
    pub(super) fn close(&mut self) {
        let stretch = std::mem::replace(&mut self.stretch, Epoch::of(self.groups.len()));
        let Some((first_ns, last_ns)) = stretch.range_ns else { return };
        let window = self.window as u64;
        let ticks_in = |from: i64, to: i64| (to.saturating_sub(from) / self.period_ns).max(0) as u64;
        let frames: u64 = stretch.episodes.iter().map(|(_, frames)| frames).sum();
        let kept: u64 = stretch.episodes.iter().map(|(_, frames)| (frames + 1).saturating_sub(window)).sum();
        let short = stretch.episodes.iter().filter(|(_, frames)| *frames < window);
        let long = stretch.episodes.len() as u64 - short.clone().count() as u64;
        let ticks = (ticks_in(first_ns, last_ns) + 1).max(frames);
        let possible = (ticks + 1).saturating_sub(window).max(kept);
        let lost = possible - kept;
        let silent = (ticks - frames).min(lost);
        let cut = (long.saturating_sub(1) * (window - 1)).min(lost - silent);
        // Whose silence the ticks without a frame are.
        let mut by_group = vec![0; self.groups.len() + 2];
        let mut from_ns = first_ns;
        let holes = stretch.episodes.iter().map(|(tick, frames)| (*tick, tick + *frames as i64 * self.period_ns));
        for (begin_ns, end_ns) in holes.chain([(last_ns.saturating_add(self.period_ns), i64::MAX)]) {
            let ticks = ticks_in(from_ns, begin_ns);
            if ticks > 0 {
                by_group[stretch.silent_in(from_ns, begin_ns)] += ticks;
            }
            from_ns = from_ns.max(end_ns);
        }
        let total: u64 = by_group.iter().sum();
        for (lost, ticks) in self.lost.iter_mut().zip(by_group) {
            // Parts of ticks at the borders: the sum is that of all.
            *lost += (silent * ticks).checked_div(total).unwrap_or(0);
        }
        let all = &mut self.coverage;
        all.stretches += 1;
        all.episodes += stretch.episodes.len() as u64;
        all.frames += frames;
        all.ticks += ticks;
        all.windows += kept;
        all.possible_windows += possible;
        all.lost_to_cuts += cut;
        all.lost_to_shortness += lost - silent - cut;
        all.short_episodes += short.count() as u64;
        self.lengths.extend(stretch.episodes.iter().map(|(_, frames)| frames));
    }

    pub(super) fn finish(mut self) -> WindowCoverage {
        self.close();
        self.lengths.sort_unstable();
        let length = |share: f64| {
            let last = self.lengths.len().saturating_sub(1) as f64;
            self.lengths.get((share * last).round() as usize).copied().unwrap_or(0)
        };
        let lengths = [0.0, 0.05, 0.5, 0.95, 1.0].map(length);
        let names = self.groups.into_iter().chain([TOO_OLD.into(), ALL.into()]);
        let lost_to_silence = names.zip(self.lost).filter(|(_, lost)| *lost > 0).collect();
        WindowCoverage { lengths, lost_to_silence, ..self.coverage }
    }
}

impl Epoch {
    fn of(groups: usize) -> Self {
        Self { silences: vec![Vec::new(); groups], last_ns: vec![None; groups], ..Self::default() }
    }

    /// The group that was silent for most of a time; the number of groups if none was, and one more if all were for as
    /// long.
    fn silent_in(&self, from_ns: i64, to_ns: i64) -> usize {
        let overlap = |(begin, end): (i64, i64)| end.min(to_ns).saturating_sub(begin.max(from_ns)).max(0);
        let silent = |group: usize| {
            let last_ns = self.last_ns[group].unwrap_or(i64::MIN);
            self.silences[group].iter().map(|silence| overlap(*silence)).sum::<i64>() + overlap((last_ns, i64::MAX))
        };
        let silent: Vec<i64> = (0..self.silences.len()).map(silent).collect();
        let (min, max) = (silent.iter().min().copied().unwrap_or(0), silent.iter().max().copied().unwrap_or(0));
        match silent.iter().position(|silent| *silent == max && max > 0) {
            None => silent.len(),
            // To within a twentieth: topics do not end on the same tick.
            Some(_) if silent.len() > 1 && min >= max - max / 20 => silent.len() + 1,
            Some(group) => group,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter() -> CoverageCounter {
        // Ticks of 10, gaps of more than 30, windows of 4.
        CoverageCounter::new(10, 30, 4, vec!["pose".into(), "scan".into()])
    }

    fn frames(counter: &mut CoverageCounter, from: i64, to: i64) {
        (from..=to).step_by(10).for_each(|tick| counter.frame(tick, tick == from));
    }

    #[test]
    fn lost_windows_add_up() {
        let mut counter = counter();
        // Pose from 0 to 300 throughout, scan silent from 100 to 200 and from 220 on.
        for stamp in (0..=300).step_by(10) {
            counter.sample(Some(0), stamp);
            if !(101..200).contains(&stamp) && stamp <= 220 {
                counter.sample(Some(1), stamp);
            }
        }
        frames(&mut counter, 0, 100);
        frames(&mut counter, 200, 220);
        let coverage = counter.finish();
        // 31 ticks: 28 windows possible. 11 frames hold 8, 3 frames none. Lost: 9 ticks from 110 to 190 and 8 from 230
        // to 300 are the scan's silence; no further long episode; 3 frames of the short one. 8 + 17 + 3 = 28.
        assert_eq!((coverage.ticks, coverage.possible_windows, coverage.windows), (31, 28, 8));
        assert_eq!(coverage.lost_to_silence, [("scan".to_string(), 17)]);
        assert_eq!((coverage.lost_to_cuts, coverage.lost_to_shortness, coverage.short_episodes), (0, 3, 1));
        assert_eq!((coverage.episodes, coverage.frames, coverage.lengths), (2, 14, [3, 3, 11, 11, 11]));
    }

    #[test]
    fn each_further_episode_costs_the_windows_across_its_border() {
        let mut counter = counter();
        for stamp in (0..=100).step_by(10).chain((150..=250).step_by(10)) {
            counter.sample(Some(0), stamp);
            counter.sample(Some(1), stamp);
        }
        frames(&mut counter, 0, 100);
        frames(&mut counter, 150, 250);
        let coverage = counter.finish();
        // 26 ticks, 23 windows possible, 2 * 8 kept: 4 ticks of silence and 3 windows across the border.
        assert_eq!((coverage.possible_windows, coverage.windows), (23, 16));
        assert_eq!(coverage.lost_to_silence, [("all required groups".to_string(), 4)]);
        assert_eq!((coverage.lost_to_cuts, coverage.lost_to_shortness), (3, 0));
    }

    #[test]
    fn windows_are_counted_per_stretch_between_jumps() {
        let mut counter = counter();
        for _ in 0..2 {
            // 5 ticks: 2 windows.
            for stamp in (0..=40).step_by(10) {
                counter.sample(Some(0), stamp);
                counter.sample(Some(1), stamp);
            }
            frames(&mut counter, 0, 40);
            counter.close();
        }
        let coverage = counter.finish();
        assert_eq!((coverage.stretches, coverage.windows, coverage.possible_windows), (2, 4, 4));
        assert_eq!((coverage.lost_to_cuts, coverage.lost_to_silence.len()), (0, 0));
    }
}
