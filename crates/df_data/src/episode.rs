//! Demonstrations to episodes: decoded, aligned to ticks, split at gaps and at backward jumps of time.

use super::assemble::{Assembler, TickFrame};
use super::{BagError, EpisodeReport, SampleSource};
use crate::DataConfig;
use df_core::Bound;
use df_core::{Frame, Layout};

/// Consecutive frames, one per tick, without a gap.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    /// The tick of the first frame, nanoseconds.
    pub start_ns: i64,
    /// One frame per tick.
    pub frames: Vec<Frame>,
}

/// Reads every episode of a source.
///
/// # Errors
/// As [`read_frames`].
pub fn read_episodes<S: SampleSource + ?Sized>(
    source: &S,
    config: &DataConfig,
    bound: &Bound,
    layout: &Layout,
) -> Result<(Vec<Episode>, EpisodeReport), BagError> {
    let mut episodes: Vec<Episode> = Vec::new();
    let report = read_frames(source, config, bound, layout, &mut |step| {
        if step.starts_episode {
            episodes.push(Episode { start_ns: step.tick_ns, frames: Vec::new() });
        }
        if let Some(episode) = episodes.last_mut() {
            episode.frames.push(step.frame);
        }
    })?;
    Ok((episodes, report))
}

/// Reads the frames of every episode of a source, one after the other; memory does not grow with the source.
///
/// The tick grid of an episode starts when every required group has been seen; an episode starts and ends with a frame
/// in which all of them are present.
///
/// # Errors
/// Damage of the source (one that was merely cut off gives a notice), a topic of the contract that it lacks (unless its
/// group is not required) or that has another type there, a topic of which not one message can be decoded.
pub fn read_frames<S: SampleSource + ?Sized>(
    source: &S,
    config: &DataConfig,
    bound: &Bound,
    layout: &Layout,
    to: &mut dyn FnMut(TickFrame),
) -> Result<EpisodeReport, BagError> {
    let mut report = EpisodeReport::default();
    let mut assembler = Assembler::new(config, layout, to);
    match source.samples(config, bound, &mut report, &mut |event| assembler.add(event)) {
        Err(error @ BagError::Unfinished { .. }) => report.notices.push(error.to_string()),
        other => other?,
    }
    let finished = assembler.finish()?;
    (report.splits_at_gaps, report.splits_at_jumps) = (finished.splits_at_gaps, finished.splits_at_jumps);
    if finished.late > 0 {
        report.notices.push(format!(
            "{} samples came more than {} s (training.max_skew_s) after others with newer stamps and were left out: do the clocks agree?",
            finished.late, config.max_skew_s
        ));
    }
    Ok(report)
}
