//! Assembles frames from samples while they are read: sorts them by stamp, splits at gaps of required groups, aligns to
//! ticks.
//!
//! ```text
//! samples -> [queues, by stamp] -> complete before: ----------|  (nothing older can still come)
//!                                  runs of each required group: |--A--|   |--A---...
//!                                                              |----B--------...
//!                                  live:                       |-----|   |---...    -> ticks -> aligner -> frames
//! ```
//! Memory is bounded by `training.max_skew_s` of samples, not by the recording: a sample that comes later than that
//! after another one of a newer stamp is left out and counted. A *run* is a stretch in which the samples of a group are
//! no more than `training.max_gap_s` apart; an episode is a stretch in which every required group has a run.

use std::collections::VecDeque;

use super::queue::Queue;
use super::{BagError, SourceEvent, StreamId};
use crate::DataConfig;
use df_core::{Aligner, Frame, Layout};

/// Longest episode in ticks (38 days at 20 Hz): more is a wrong stamp.
const MAX_TICKS: i64 = 1 << 26;
/// Most frames in a row, inside an episode, of which none has all required groups: more end the episode.
const MAX_HELD: usize = 1 << 16;
/// Samples between two looks at what is complete.
const STRIDE: u32 = 256;

/// A frame of an episode.
#[derive(Debug)]
pub struct TickFrame {
    /// The tick, nanoseconds.
    pub tick_ns: i64,
    /// True for the first frame of an episode. The others follow one tick after the other.
    pub starts_episode: bool,
    /// The newest values at this tick.
    pub frame: Frame,
}

/// A stretch of samples of one group without a gap.
#[derive(Clone, Copy, Debug)]
struct Run {
    first_ns: i64,
    last_ns: i64,
}

/// A stretch in which every required group is live.
struct Live {
    start_ns: i64,
    /// The next tick to build.
    tick: i64,
    /// An episode of it has begun.
    begun: bool,
    /// Frames without all required groups since the last whole one: given when another whole one follows.
    held: Vec<(i64, Frame)>,
}

/// Up to which time all samples have come.
struct Watermark {
    /// All samples stamped before this have come.
    complete_ns: i64,
    /// Newest stamp of all.
    newest_ns: i64,
    until_look: u32,
}

impl Watermark {
    const START: Self = Self { complete_ns: i64::MIN, newest_ns: i64::MIN, until_look: STRIDE };
}

/// Builds frames from samples and hands them on.
pub(crate) struct Assembler<'a> {
    period_ns: i64,
    max_gap_ns: i64,
    max_skew_ns: i64,
    longest_age_ns: i64,
    /// For each list of runs, the observation groups that make them.
    runs_of: Vec<Vec<usize>>,
    required: Vec<usize>,
    /// The action, then the observation groups.
    queues: Vec<Queue>,
    runs: Vec<VecDeque<Run>>,
    clock: Watermark,
    live: Option<Live>,
    fresh: Aligner,
    aligner: Aligner,
    to: &'a mut dyn FnMut(TickFrame),
    episodes_of_epoch: u64,
    /// Stretches between jumps of time that had samples.
    epochs: u64,
    late: u64,
    splits_at_gaps: u64,
    too_long: Option<BagError>,
}

impl<'a> Assembler<'a> {
    /// Frames go to `to`, in order.
    pub(crate) fn new(config: &DataConfig, layout: &Layout, to: &'a mut dyn FnMut(TickFrame)) -> Self {
        let groups = &config.contract.observations;
        let required: Vec<usize> = (0..groups.len()).filter(|&group| groups[group].required).collect();
        // Where no group is required, any group counts.
        let runs_of: Vec<Vec<usize>> = match required.as_slice() {
            [] => vec![(0..groups.len()).collect()],
            required => required.iter().map(|&group| vec![group]).collect(),
        };
        let longest_age_s = required.iter().map(|&group| groups[group].max_age_s).fold(0.0, f64::max);
        let fresh = Aligner::new(&config.contract, layout);
        Self {
            period_ns: config.contract.period_ns(),
            max_gap_ns: nanoseconds(config.max_gap_s),
            max_skew_ns: nanoseconds(config.max_skew_s),
            longest_age_ns: nanoseconds(longest_age_s),
            runs: vec![VecDeque::new(); runs_of.len()],
            runs_of,
            required,
            queues: vec![Queue::default(); groups.len() + 1],
            clock: Watermark::START,
            live: None,
            aligner: fresh.clone(),
            fresh,
            to,
            episodes_of_epoch: 0,
            epochs: 0,
            late: 0,
            splits_at_gaps: 0,
            too_long: None,
        }
    }

    /// Takes the next event of a source.
    pub(crate) fn add(&mut self, event: SourceEvent) {
        match event {
            SourceEvent::Break => self.end_epoch(),
            SourceEvent::Sample { .. } if self.too_long.is_some() => {}
            SourceEvent::Sample { stream, stamp_ns, values } => {
                if stamp_ns < self.clock.complete_ns {
                    self.late += 1;
                    return;
                }
                self.queues[stream.index()].insert(stamp_ns, values);
                self.clock.newest_ns = self.clock.newest_ns.max(stamp_ns);
                self.clock.until_look -= 1;
                if self.clock.until_look == 0 {
                    self.clock.until_look = STRIDE;
                    // Of one stream, a step back of more than a period would have been a jump of time.
                    let slowest = self.queues.iter().map(Queue::newest_ns).min().unwrap_or(i64::MIN);
                    let settled = slowest.saturating_sub(self.period_ns);
                    let waited = self.clock.newest_ns.saturating_sub(self.max_skew_ns);
                    self.advance(settled.max(waited));
                }
            }
        }
    }

    /// Builds the frames that are left.
    ///
    /// # Errors
    /// An episode that is absurdly long.
    pub(crate) fn finish(mut self) -> Result<Finished, BagError> {
        self.end_epoch();
        match self.too_long {
            Some(error) => Err(error),
            None => Ok(Finished {
                late: self.late,
                splits_at_gaps: self.splits_at_gaps,
                splits_at_jumps: self.epochs.saturating_sub(1),
            }),
        }
    }

    fn end_epoch(&mut self) {
        if self.clock.newest_ns == i64::MIN {
            return;
        }
        self.advance(i64::MAX);
        self.splits_at_gaps += self.episodes_of_epoch.saturating_sub(1);
        self.epochs += 1;
        self.episodes_of_epoch = 0;
        self.queues.fill(Queue::default());
        self.runs.iter_mut().for_each(VecDeque::clear);
        self.clock = Watermark::START;
        self.live = None;
        self.aligner = self.fresh.clone();
    }

    /// Builds every frame that the samples before `complete_ns` decide.
    fn advance(&mut self, complete_ns: i64) {
        self.clock.complete_ns = self.clock.complete_ns.max(complete_ns);
        self.extend_runs();
        while self.too_long.is_none() {
            match self.live.take() {
                Some(live) => {
                    let (live, is_over) = self.build(live);
                    if !is_over {
                        self.live = Some(live);
                        return;
                    }
                }
                None => {
                    let (start_ns, is_sure) = self.next_start();
                    if !is_sure {
                        // Ticks before it are never asked for.
                        self.forget_before(start_ns);
                        return;
                    }
                    self.live = Some(Live { start_ns, tick: 0, begun: false, held: Vec::new() });
                }
            }
        }
    }

    /// Adds the samples that are complete now to the runs of their groups.
    fn extend_runs(&mut self) {
        let complete_ns = self.clock.complete_ns;
        for (groups, runs) in self.runs_of.iter().zip(&mut self.runs) {
            let mut stamps: Vec<i64> = Vec::new();
            for &group in groups {
                stamps.extend(self.queues[group + 1].take_settled(complete_ns));
            }
            stamps.sort_unstable();
            for stamp_ns in stamps {
                match runs.back_mut() {
                    Some(run) if stamp_ns.saturating_sub(run.last_ns) <= self.max_gap_ns => run.last_ns = stamp_ns,
                    _ => runs.push_back(Run { first_ns: stamp_ns, last_ns: stamp_ns }),
                }
            }
        }
    }

    /// Can nothing be added to the first run of a group any more?
    fn is_closed(&self, runs: &VecDeque<Run>) -> bool {
        let over = |run: &Run| self.clock.complete_ns > run.last_ns.saturating_add(self.max_gap_ns);
        runs.len() > 1 || runs.front().is_some_and(over) || self.clock.complete_ns == i64::MAX
    }

    /// When every required group is live next, and whether that is sure; if not, it is not before.
    fn next_start(&mut self) -> (i64, bool) {
        loop {
            let unknown = self.clock.complete_ns;
            let first = |runs: &VecDeque<Run>| runs.front().map_or(unknown, |run| run.first_ns);
            let start_ns = self.runs.iter().map(first).max().unwrap_or(unknown);
            let ends_before = |runs: &VecDeque<Run>| runs.front().is_some_and(|run| run.last_ns < start_ns);
            let over = (0..self.runs.len()).find(|&i| ends_before(&self.runs[i]) && self.is_closed(&self.runs[i]));
            match over {
                Some(i) => self.runs[i].pop_front(),
                None => return (start_ns, self.runs.iter().all(|runs| !runs.is_empty() && !ends_before(runs))),
            };
        }
    }

    /// Builds the frames of a live stretch as far as is known; tells whether it is over.
    fn build(&mut self, mut live: Live) -> (Live, bool) {
        // It ends with the group that is the first to fall silent.
        let mut last_ns = i64::MAX;
        let mut is_over = true;
        for runs in &self.runs {
            let Some(run) = runs.front() else { continue };
            if run.last_ns < last_ns || (run.last_ns == last_ns && self.is_closed(runs)) {
                (last_ns, is_over) = (run.last_ns, self.is_closed(runs));
            }
        }
        if last_ns.saturating_sub(live.start_ns) / self.period_ns > MAX_TICKS {
            let got = last_ns.saturating_sub(live.start_ns) / self.period_ns;
            self.too_long = Some(BagError::TooLong { expected: MAX_TICKS, got });
            return (live, true);
        }
        let mut until_ns = last_ns;
        if is_over {
            // The last samples stay fresh for a while, at most until the next stretch.
            let ended: Vec<bool> = self
                .runs
                .iter()
                .map(|runs| runs.front().is_some_and(|run| run.last_ns == last_ns) && self.is_closed(runs))
                .collect();
            // What is over is kept until all of its frames are built.
            let kept = self.runs.clone();
            for (runs, _) in self.runs.iter_mut().zip(ended).filter(|(_, ended)| *ended) {
                runs.pop_front();
            }
            let (next_ns, is_sure) = self.next_start();
            let fresh_until_ns = last_ns.saturating_add(self.longest_age_ns);
            until_ns = fresh_until_ns.min(next_ns.saturating_sub(1));
            is_over = (is_sure || fresh_until_ns < next_ns) && until_ns < self.clock.complete_ns;
            if !is_over {
                self.runs = kept;
            }
        }
        while let Some(tick_ns) = live.next_tick(self.period_ns).filter(|&tick_ns| tick_ns <= until_ns) {
            if tick_ns >= self.clock.complete_ns {
                break;
            }
            live.tick += 1;
            self.frame(&mut live, tick_ns);
        }
        (live, is_over)
    }

    fn frame(&mut self, live: &mut Live, tick_ns: i64) {
        let [commands, observations @ ..] = self.queues.as_mut_slice() else { return };
        commands.hand_on(tick_ns, |stamp_ns, values| self.aligner.command(stamp_ns, values));
        for (group, queue) in observations.iter_mut().enumerate() {
            queue.hand_on(tick_ns, |stamp_ns, values| self.aligner.observe(group, stamp_ns, values));
        }
        let frame = self.aligner.frame_at(tick_ns);
        if !self.required.iter().all(|&group| frame.present[1 + group]) {
            if live.begun {
                live.held.push((tick_ns, frame));
            }
            if live.held.len() > MAX_HELD {
                live.held.clear();
                live.begun = false;
            }
            return;
        }
        for (tick_ns, frame) in live.held.drain(..) {
            (self.to)(TickFrame { tick_ns, starts_episode: false, frame });
        }
        self.episodes_of_epoch += u64::from(!live.begun);
        (self.to)(TickFrame { tick_ns, starts_episode: !live.begun, frame });
        live.begun = true;
    }

    /// Drops the samples that no tick from `tick_ns` on can need.
    fn forget_before(&mut self, tick_ns: i64) {
        for (i, queue) in self.queues.iter_mut().enumerate() {
            let action = StreamId::Action.index() == i;
            queue.forget_before(if action { tick_ns.saturating_sub(self.period_ns) } else { tick_ns });
        }
    }
}

/// Counts of samples left out and of splits.
pub(crate) struct Finished {
    /// Samples that came too late.
    pub late: u64,
    pub splits_at_gaps: u64,
    pub splits_at_jumps: u64,
}

impl Live {
    fn next_tick(&self, period_ns: i64) -> Option<i64> {
        self.start_ns.checked_add(self.tick.checked_mul(period_ns)?)
    }
}

fn nanoseconds(seconds: f64) -> i64 {
    (seconds * 1e9).round() as i64 // `as` saturates.
}
