//! Other questions than what to do, asked of a recording window by window, and the answers beside what was recorded.
//!
//! ```text
//!                 history | future                     gap
//! observations    known   | asked         observations known | asked | known
//! actions         known   | known         actions      known | asked | known     (`actions`: asked and known change places)
//! ```
//! A window is as long as a plan with its history; the next one begins half a window later. What the recording lacks is
//! neither known nor asked.

use std::ops::Range;

use super::naive::Naive;
use super::score::{Answer, Answers, ChannelScore, Score};
use crate::config::Config;
use df_planning::PlannerConfig;
use df_data::Episode;
use df_planning::{PlanError, Planner, Query};
use df_core::{ACTION_MODALITY, Frame, Layout};

/// What is asked of every window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ask {
    /// The observations after the history, every action known: a world model.
    Observations,
    /// The actions after the history, every observation known: an inverse model.
    Actions,
    /// Everything in a stretch of that many seconds in the middle.
    Gap { seconds: f64 },
}

/// A question to a recording.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QueryOptions {
    pub ask: Ask,
    /// Samples of each answer.
    pub samples: usize,
    pub max_windows: usize,
}

/// Why a recording could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    #[error(
        "the longest episode has {got} frames; a question needs {expected}: planner.history {history} and planner.horizon {horizon}, \
         tokens of {frame_stack} frames"
    )]
    TooShort { got: usize, expected: usize, history: usize, horizon: usize, frame_stack: usize },
    #[error(
        "a gap of {seconds} s is {got} frames; it must be 1 to {max}, so that a window of {window} frames goes around it"
    )]
    Gap { seconds: f64, got: usize, max: usize, window: usize },
    #[error("planner.history: 0: the future cannot be asked for where nothing of the past is known")]
    NoHistory,
    #[error("{0} samples: the spread of answers needs at least 2")]
    Samples(usize),
    #[error("nothing of what is asked for was recorded in any of {0} windows")]
    Nothing(usize),
    #[error("episode {episode}, window at {tick_ns} ns: {cause}")]
    Plan { episode: usize, tick_ns: i64, cause: PlanError },
}

/// The part of a window that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked {
    frames: Range<usize>,
    modalities: Range<usize>,
}

impl Ask {
    /// The part of a window of `window` frames.
    fn of(self, config: &Config, layout: &Layout, window: usize) -> Result<Asked, QueryError> {
        let (history, modalities) = (config.planner.history * layout.frame_stack, layout.modalities.len());
        let future = || if history > 0 { Ok(history..window) } else { Err(QueryError::NoHistory) };
        let observations = ACTION_MODALITY + 1..modalities;
        Ok(match self {
            Self::Observations => Asked { frames: future()?, modalities: observations },
            Self::Actions => Asked { frames: future()?, modalities: ACTION_MODALITY..ACTION_MODALITY + 1 },
            Self::Gap { seconds } => {
                let (got, max) = ((seconds / config.contract.period_s).round() as usize, window.saturating_sub(2));
                if !(1..=max).contains(&got) {
                    return Err(QueryError::Gap { seconds, got, max, window });
                }
                let from = (window - got) / 2;
                Asked { frames: from..from + got, modalities: 0..modalities }
            }
        })
    }

    /// The strongest of the answers that need no network: over a long stretch the mean action is nearer than the last one, and
    /// across a gap the straight line is nearer than either.
    fn naive(self, episodes: &[Episode], layout: &Layout) -> Naive {
        match self {
            Self::Observations => Naive::LastHeld,
            Self::Actions => Naive::mean(episodes, &layout.modality_of_channel()),
            Self::Gap { .. } => Naive::Interpolated,
        }
    }
}

/// The windows of a recording: the episode and its first frame.
fn windows(episodes: &[Episode], length: usize) -> impl Iterator<Item = (usize, usize)> {
    let firsts = move |frames: usize| (0..(frames + 1).saturating_sub(length)).step_by((length / 2).max(1));
    episodes.iter().enumerate().flat_map(move |(number, e)| firsts(e.frames.len()).map(move |first| (number, first)))
}

/// Asks window after window; `each` gets every window's answers in order. The same recording, planner and seed
/// (`planner.seed`) give the same answers.
///
/// # Errors
/// [`QueryError`].
pub fn ask(
    config: &Config,
    layout: &Layout,
    planner: &mut Planner,
    episodes: &[Episode],
    inquiry: &QueryOptions,
    each: &mut dyn FnMut(&Answers),
) -> Result<Score, QueryError> {
    let PlannerConfig { history, horizon, seed, .. } = config.planner;
    let frame_stack = layout.frame_stack;
    let length = (history + horizon) * frame_stack;
    if inquiry.samples < 2 {
        return Err(QueryError::Samples(inquiry.samples));
    }
    let asked = inquiry.ask.of(config, layout, length)?;
    let longest = episodes.iter().map(|episode| episode.frames.len()).max().unwrap_or(0);
    if longest < length {
        return Err(QueryError::TooShort { got: longest, expected: length, history, horizon, frame_stack });
    }
    let naive = inquiry.ask.naive(episodes, layout);
    let channels = asked.modalities.clone().flat_map(|m| layout.modalities[m].channels.clone());
    let mut score =
        Score { windows: 0, skipped: 0, naive: naive.name(), channels: channels.map(ChannelScore::new).collect() };
    for (episode, first) in windows(episodes, length) {
        if score.windows >= inquiry.max_windows {
            break;
        }
        let frames = &episodes[episode].frames[first..first + length];
        let tick_ns = episodes[episode].start_ns + first as i64 * config.contract.period_ns();
        if !asked.frames.clone().any(|k| frames[k].present[asked.modalities.clone()].contains(&true)) {
            score.skipped += 1;
            continue;
        }
        let is_asked =
            |k: usize, m: usize| asked.frames.contains(&k) && asked.modalities.contains(&m) && frames[k].present[m];
        let query = Query { frames, is_queried: &is_asked };
        // Every window has its own noise, as every tick of a plan has: ticks lie millions of nanoseconds apart.
        let samples = planner
            .sample_query(&query, inquiry.samples, seed ^ tick_ns as u64)
            .and_then(|samples| if finite(&samples) { Ok(samples) } else { Err(PlanError::NotFinite) })
            .map_err(|cause| QueryError::Plan { episode, tick_ns, cause })?;
        let channels = compare(frames, &samples, &asked, layout, &naive);
        for (score, answer) in score.channels.iter_mut().zip(&channels) {
            score.add(answer, inquiry.samples);
        }
        score.windows += 1;
        each(&Answers { episode, tick_ns, channels });
    }
    if score.channels.iter().all(|channel| channel.count == 0) {
        return Err(QueryError::Nothing(score.windows + score.skipped));
    }
    Ok(score)
}

fn finite(samples: &[Vec<Frame>]) -> bool {
    samples.iter().flatten().flat_map(|frame| &frame.values).all(|value| value.is_finite())
}

/// The samples beside the recording: one answer per channel that was asked for. What is not recorded, or cannot be guessed, is
/// not compared, so that every number is over the same values.
fn compare(frames: &[Frame], samples: &[Vec<Frame>], asked: &Asked, layout: &Layout, naive: &Naive) -> Vec<Answer> {
    let mut answers = Vec::new();
    for m in asked.modalities.clone() {
        for c in layout.modalities[m].channels.clone() {
            let mut answer = Answer::new(&layout.labels[c]);
            for k in asked.frames.clone().filter(|&k| frames[k].present[m]) {
                if let Some(guess) = naive.guess(frames, &asked.frames, m, c, k) {
                    let values = samples.iter().map(|sample| sample[k].values[c]).collect();
                    answer.push(k, frames[k].values[c], values, guess);
                }
            }
            answers.push(answer);
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Tokens of 2 frames; an action of one channel, a pose of two, a speed of one.
    fn house() -> (Config, Layout) {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/point_maze.yaml");
        let mut config = Config::load(&shipped).unwrap();
        (config.planner.history, config.planner.horizon) = (2, 3);
        let group = |name: &str, labels: &[&str]| (name.to_string(), labels.iter().map(|l| l.to_string()).collect());
        (config, Layout::new(2, [group("action", &["a"]), group("pose", &["x", "y"]), group("speed", &["v"])]))
    }

    #[test]
    fn windows_overlap_by_half_and_fit_into_their_episodes() {
        let episode = |frames: usize| Episode {
            start_ns: 0,
            frames: vec![Frame { values: Vec::new(), present: Vec::new(), std: Vec::new() }; frames],
        };
        // 10 frames a window, 5 between two: 20 frames hold those from 0, 5 and 10; 9 hold none; 14 hold one.
        let found: Vec<_> = windows(&[20, 9, 14, 10].map(episode), 10).collect();
        assert_eq!(found, [(0, 0), (0, 5), (0, 10), (2, 0), (3, 0)]);
    }

    #[test]
    fn the_asked_part_is_the_future_of_some_or_a_stretch_of_all() {
        let (mut config, layout) = house();
        let part =
            |ask: Ask, config: &Config| ask.of(config, &layout, 10).map(|asked| (asked.frames, asked.modalities));
        // 2 tokens of 2 frames are history.
        assert_eq!(part(Ask::Observations, &config).unwrap(), (4..10, 1..3));
        assert_eq!(part(Ask::Actions, &config).unwrap(), (4..10, 0..1));
        // 0.15 s at 0.05 s a tick: 3 frames; (10 - 3) / 2 = 3 before them.
        assert_eq!(part(Ask::Gap { seconds: 0.15 }, &config).unwrap(), (3..6, 0..3));
        assert_eq!(part(Ask::Gap { seconds: 0.4 }, &config).unwrap(), (1..9, 0..3));
        for (seconds, got) in [(0.45, 9), (0.02, 0), (-1.0, 0), (f64::NAN, 0)] {
            let refused = part(Ask::Gap { seconds }, &config).unwrap_err();
            assert!(matches!(refused, QueryError::Gap { got: g, max: 8, window: 10, .. } if g == got), "{refused}");
        }
        config.planner.history = 0;
        assert!(matches!(part(Ask::Actions, &config), Err(QueryError::NoHistory)));
        assert_eq!(part(Ask::Gap { seconds: 0.05 }, &config).unwrap(), (4..5, 0..3));
    }

    #[test]
    fn only_what_was_recorded_is_compared() {
        let (_, layout) = house();
        // Every value of frame k is k; the speed is missing in frame 2.
        let frame =
            |k: usize| Frame { values: vec![k as f32; 4], present: vec![true, true, k != 2], std: Vec::new() };
        let frames: Vec<Frame> = (0..4).map(frame).collect();
        // Two samples, 1 below and 3 above the recording: their mean is 1 above, their deviation is sqrt(4 + 4).
        let sample = |off: f32| {
            let moved =
                |frame: &Frame| Frame { values: frame.values.iter().map(|v| v + off).collect(), ..frame.clone() };
            frames.iter().map(moved).collect::<Vec<_>>()
        };
        let asked = Asked { frames: 1..3, modalities: 1..3 };
        let answers = compare(&frames, &[sample(-1.0), sample(3.0)], &asked, &layout, &Naive::LastHeld);
        let expected = |channel: &str, frames: &[usize]| Answer {
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
