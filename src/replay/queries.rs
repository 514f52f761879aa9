//! Queries to a recording, window by window, and their answers beside what was recorded.
//!
//! ```text
//!                 history | future                      gap
//! observations    known   | sampled       observations  known | sampled | known
//! actions         known   | known         actions       known | sampled | known
//! ```
//! The query for actions exchanges the two rows on the left. A window is as long as a plan with its history. The next
//! one starts half a window later. Values that the recording lacks are neither known nor sampled.

use std::ops::Range;

use df_core::{ACTION_MODALITY, Frame, Layout};
use df_data::Episode;
use df_planning::{PlanError, Planner, PlannerConfig, Query};

use super::naive::Naive;
use super::score::{ChannelResult, ChannelScore, QueryScore, WindowResults};
use crate::config::Config;

/// Which part of each window is sampled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum QueryKind {
    /// The observations after the history, with every action known: a world model.
    Observations,
    /// The actions after the history, with every observation known: an inverse model.
    Actions,
    /// All modalities in a gap in the middle of the window.
    Gap {
        /// Length of the gap, seconds.
        seconds: f64,
    },
}

/// A query to a recording.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QueryOptions {
    /// Which part of each window is sampled.
    pub kind: QueryKind,
    /// Samples of each answer, at least 2.
    pub samples: usize,
    /// Maximum number of windows.
    pub max_windows: usize,
}

/// Why a query failed.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// No episode is as long as a window.
    #[error(
        "the longest episode has {got} frames; a query needs {expected}: planner.history {history} and planner.horizon {horizon}, \
         tokens of {frame_stack} frames"
    )]
    TooShort {
        /// Frames of the longest episode.
        got: usize,
        /// Frames of a window.
        expected: usize,
        /// `planner.history`, tokens.
        history: usize,
        /// `planner.horizon`, tokens.
        horizon: usize,
        /// Frames in a token.
        frame_stack: usize,
    },
    /// The gap has no frame, or leaves none around it.
    #[error(
        "a gap of {seconds} s is {got} frames; it must be 1 to {max}, so that a window of {window} frames goes around it"
    )]
    Gap {
        /// Length of the gap, seconds.
        seconds: f64,
        /// Frames of the gap.
        got: usize,
        /// Maximum number of frames of a gap.
        max: usize,
        /// Frames of a window.
        window: usize,
    },
    /// A future is queried without a known past.
    #[error("planner.history: 0: must be at least 1 for the queries `observations` and `actions`")]
    NoHistory,
    /// Too few samples for a spread.
    #[error("{0} samples: the spread of answers needs at least 2")]
    Samples(usize),
    /// No queried value was recorded in any of so many windows.
    #[error("no value of the queried part was recorded in any of {0} windows")]
    NotRecorded(usize),
    /// The planner refused or failed.
    #[error("episode {episode}, window at {tick_ns} ns: {cause}")]
    Plan {
        /// Number of the episode, from 0.
        episode: usize,
        /// The tick of the window's first frame, nanoseconds.
        tick_ns: i64,
        /// Why.
        cause: PlanError,
    },
}

/// The part of a window that is sampled.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SampledPart {
    frames: Range<usize>,
    modalities: Range<usize>,
}

impl QueryKind {
    /// The sampled part of a window of `window` frames.
    fn sampled_part(self, config: &Config, layout: &Layout, window: usize) -> Result<SampledPart, QueryError> {
        let (history, modalities) = (config.planner.history * layout.frame_stack, layout.modalities.len());
        let future = || if history > 0 { Ok(history..window) } else { Err(QueryError::NoHistory) };
        let observations = ACTION_MODALITY + 1..modalities;
        Ok(match self {
            Self::Observations => SampledPart { frames: future()?, modalities: observations },
            Self::Actions => SampledPart { frames: future()?, modalities: ACTION_MODALITY..ACTION_MODALITY + 1 },
            Self::Gap { seconds } => {
                let (got, max) = ((seconds / config.contract.period_s).round() as usize, window.saturating_sub(2));
                if !(1..=max).contains(&got) {
                    return Err(QueryError::Gap { seconds, got, max, window });
                }
                let from = (window - got) / 2;
                SampledPart { frames: from..from + got, modalities: 0..modalities }
            }
        })
    }

    /// The best of the naive answers to this query.
    ///
    /// Over a long stretch the mean action is nearer than the last one. Across a gap the straight line is nearer than
    /// either.
    fn naive(self, episodes: &[Episode], layout: &Layout) -> Naive {
        match self {
            Self::Observations => Naive::LastHeld,
            Self::Actions => Naive::mean(episodes, &layout.modality_of_channel()),
            Self::Gap { .. } => Naive::Interpolated,
        }
    }
}

/// The windows of `length` frames in a recording: number of the episode, and first frame there.
fn windows(episodes: &[Episode], length: usize) -> impl Iterator<Item = (usize, usize)> {
    let firsts = move |frames: usize| (0..(frames + 1).saturating_sub(length)).step_by((length / 2).max(1));
    episodes.iter().enumerate().flat_map(move |(number, e)| firsts(e.frames.len()).map(move |first| (number, first)))
}

/// Answers a query window by window and passes the answers of every window to `each`, in order.
///
/// The same recording, planner and seed (`planner.seed`) give the same answers.
///
/// # Errors
/// [`QueryError`].
pub fn query(
    config: &Config,
    layout: &Layout,
    planner: &mut Planner,
    episodes: &[Episode],
    options: &QueryOptions,
    each: &mut dyn FnMut(&WindowResults),
) -> Result<QueryScore, QueryError> {
    let PlannerConfig { history, horizon, seed, .. } = config.planner;
    let frame_stack = layout.frame_stack;
    let length = (history + horizon) * frame_stack;
    if options.samples < 2 {
        return Err(QueryError::Samples(options.samples));
    }
    let sampled = options.kind.sampled_part(config, layout, length)?;
    let longest = episodes.iter().map(|episode| episode.frames.len()).max().unwrap_or(0);
    if longest < length {
        return Err(QueryError::TooShort { got: longest, expected: length, history, horizon, frame_stack });
    }
    let naive = options.kind.naive(episodes, layout);
    let channels = sampled.modalities.clone().flat_map(|m| layout.modalities[m].channels.clone());
    let mut score =
        QueryScore { windows: 0, skipped: 0, naive: naive.name(), channels: channels.map(ChannelScore::new).collect() };
    for (episode, first) in windows(episodes, length) {
        if score.windows >= options.max_windows {
            break;
        }
        let frames = &episodes[episode].frames[first..first + length];
        let tick_ns = episodes[episode].start_ns + first as i64 * config.contract.period_ns();
        if !sampled.frames.clone().any(|k| frames[k].present[sampled.modalities.clone()].contains(&true)) {
            score.skipped += 1;
            continue;
        }
        let is_sampled =
            |k: usize, m: usize| sampled.frames.contains(&k) && sampled.modalities.contains(&m) && frames[k].present[m];
        let window = Query { frames, is_queried: &is_sampled };
        // Each window has its own noise, as each tick of a plan has: the ticks of two windows differ in many bits.
        let samples = planner
            .sample_query(&window, options.samples, seed ^ tick_ns as u64)
            .and_then(|samples| if finite(&samples) { Ok(samples) } else { Err(PlanError::NotFinite) })
            .map_err(|cause| QueryError::Plan { episode, tick_ns, cause })?;
        let channels = compare(frames, &samples, &sampled, layout, &naive);
        for (score, result) in score.channels.iter_mut().zip(&channels) {
            score.add(result, options.samples);
        }
        score.windows += 1;
        each(&WindowResults { episode, tick_ns, channels });
    }
    if score.channels.iter().all(|channel| channel.count == 0) {
        return Err(QueryError::NotRecorded(score.windows + score.skipped));
    }
    Ok(score)
}

fn finite(samples: &[Vec<Frame>]) -> bool {
    samples.iter().flatten().flat_map(|frame| &frame.values).all(|value| value.is_finite())
}

/// The samples beside the recording: one answer per channel of the sampled part.
///
/// Values that are not recorded, or have no naive answer, are left out, so that all scores are over the same values.
fn compare(
    frames: &[Frame],
    samples: &[Vec<Frame>],
    sampled: &SampledPart,
    layout: &Layout,
    naive: &Naive,
) -> Vec<ChannelResult> {
    let mut results = Vec::new();
    for m in sampled.modalities.clone() {
        for c in layout.modalities[m].channels.clone() {
            let mut result = ChannelResult::new(&layout.labels[c]);
            for k in sampled.frames.clone().filter(|&k| frames[k].present[m]) {
                if let Some(guess) = naive.guess(frames, &sampled.frames, m, c, k) {
                    let values = samples.iter().map(|sample| sample[k].values[c]).collect();
                    result.push(k, frames[k].values[c], values, guess);
                }
            }
            results.push(result);
        }
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Tokens of 2 frames; an action of one channel, a pose of two, a speed of one.
    fn config_and_layout() -> (Config, Layout) {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/point_maze.yaml");
        let mut config = Config::load(&shipped).unwrap();
        (config.planner.history, config.planner.horizon) = (2, 3);
        let group = |name: &str, labels: &[&str]| (name.to_string(), labels.iter().map(|l| l.to_string()).collect());
        (config, Layout::new(2, [group("action", &["a"]), group("pose", &["x", "y"]), group("speed", &["v"])]))
    }

    #[test]
    fn windows_overlap_by_half_and_stay_within_their_episodes() {
        let episode = |frames: usize| Episode {
            start_ns: 0,
            frames: vec![Frame { values: Vec::new(), present: Vec::new(), std: Vec::new() }; frames],
        };
        // Windows of 10 frames start every 5 frames: 20 frames hold those from 0, 5 and 10; 9 hold none; 14 hold one.
        let found: Vec<_> = windows(&[20, 9, 14, 10].map(episode), 10).collect();
        assert_eq!(found, [(0, 0), (0, 5), (0, 10), (2, 0), (3, 0)]);
    }

    #[test]
    fn the_sampled_part_is_the_future_of_some_modalities_or_a_gap_in_all() {
        let (mut config, layout) = config_and_layout();
        let part =
            |kind: QueryKind, config: &Config| kind.sampled_part(config, &layout, 10).map(|p| (p.frames, p.modalities));
        // 2 tokens of 2 frames are history.
        assert_eq!(part(QueryKind::Observations, &config).unwrap(), (4..10, 1..3));
        assert_eq!(part(QueryKind::Actions, &config).unwrap(), (4..10, 0..1));
        // 0.15 s at 0.05 s a tick: 3 frames; (10 - 3) / 2 = 3 before them.
        assert_eq!(part(QueryKind::Gap { seconds: 0.15 }, &config).unwrap(), (3..6, 0..3));
        assert_eq!(part(QueryKind::Gap { seconds: 0.4 }, &config).unwrap(), (1..9, 0..3));
        for (seconds, got) in [(0.45, 9), (0.02, 0), (-1.0, 0), (f64::NAN, 0)] {
            let refused = part(QueryKind::Gap { seconds }, &config).unwrap_err();
            assert!(matches!(refused, QueryError::Gap { got: g, max: 8, window: 10, .. } if g == got), "{refused}");
        }
        config.planner.history = 0;
        assert!(matches!(part(QueryKind::Actions, &config), Err(QueryError::NoHistory)));
        assert_eq!(part(QueryKind::Gap { seconds: 0.05 }, &config).unwrap(), (4..5, 0..3));
    }

    #[test]
    fn only_recorded_values_are_compared() {
        let (_, layout) = config_and_layout();
        // Every value of frame k is k; the speed is missing in frame 2.
        let frame = |k: usize| Frame { values: vec![k as f32; 4], present: vec![true, true, k != 2], std: Vec::new() };
        let frames: Vec<Frame> = (0..4).map(frame).collect();
        // Two samples, 1 below and 3 above the recording: their mean is 1 above, their standard deviation is sqrt(4 +
        // 4).
        let sample = |off: f32| {
            let moved =
                |frame: &Frame| Frame { values: frame.values.iter().map(|v| v + off).collect(), ..frame.clone() };
            frames.iter().map(moved).collect::<Vec<_>>()
        };
        let sampled = SampledPart { frames: 1..3, modalities: 1..3 };
        let answers = compare(&frames, &[sample(-1.0), sample(3.0)], &sampled, &layout, &Naive::LastHeld);
        let expected = |channel: &str, frames: &[usize]| ChannelResult {
            channel: channel.into(),
            frames: frames.to_vec(),
            recorded: frames.iter().map(|&k| k as f32).collect(),
            mean: frames.iter().map(|&k| k as f32 + 1.0).collect(),
            std: vec![8f32.sqrt(); frames.len()],
            low: frames.iter().map(|&k| k as f32 - 1.0).collect(),
            high: frames.iter().map(|&k| k as f32 + 3.0).collect(),
            naive: vec![0.0; frames.len()],
        };
        assert_eq!(answers, [expected("x", &[1, 2]), expected("y", &[1, 2]), expected("v", &[1])]);
    }
}
