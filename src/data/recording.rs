//! Several recordings under one contract: opened, bound, read.

use std::path::{Path, PathBuf};

use super::{Bag, BagError, Episode, EpisodeReport, open, read_episodes};
use crate::config::{Config, ConfigError};
use crate::message::{AmentDefinitions, Bound, FirstKnown, bind};
use crate::signal::Layout;

/// Why recordings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    #[error("{}: {source}", path.display())]
    Bag { path: PathBuf, source: BagError },
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{}: the channels differ from those of {}", path.display(), first.display())]
    Layout { path: PathBuf, first: PathBuf },
    #[error("no recording was given")]
    None,
}

/// Episodes of all recordings together.
pub struct Recording {
    pub layout: Layout,
    pub episodes: Vec<Episode>,
    /// What was read and what was left out, line by line.
    pub report: Vec<String>,
}

/// A bag with the contract bound to its message definitions.
pub struct BoundBag {
    pub bag: Box<dyn Bag>,
    pub bound: Bound,
    pub layout: Layout,
}

/// Opens a bag and binds the contract: by the bag's own definitions, or else by those of the sourced ROS installation.
///
/// # Errors
/// [`RecordingError`].
pub fn open_bound(config: &Config, path: &Path) -> Result<BoundBag, RecordingError> {
    let bag = open(path).map_err(|source| RecordingError::Bag { path: path.into(), source })?;
    let (own, installed) = (bag.definitions(), AmentDefinitions::from_env());
    let bound = bind(config, &FirstKnown(vec![&own, &installed]))?;
    let layout = Layout::new(config.contract.frame_stack, bound.modalities(config));
    Ok(BoundBag { bag, bound, layout })
}

/// Reads every episode of every path.
///
/// # Errors
/// [`RecordingError`].
pub fn load(config: &Config, paths: &[PathBuf]) -> Result<Recording, RecordingError> {
    let mut all: Option<Recording> = None;
    for path in paths {
        let BoundBag { bag, bound, layout } = open_bound(config, path)?;
        let (episodes, report) = read_episodes(&*bag, config, &bound, &layout)
            .map_err(|source| RecordingError::Bag { path: path.clone(), source })?;
        let lines = describe(path, &episodes, &report, config.contract.period_s);
        let all =
            all.get_or_insert_with(|| Recording { layout: layout.clone(), episodes: Vec::new(), report: Vec::new() });
        if all.layout != layout {
            return Err(RecordingError::Layout { path: path.clone(), first: paths[0].clone() });
        }
        all.episodes.extend(episodes);
        all.report.extend(lines);
    }
    all.ok_or(RecordingError::None)
}

fn describe(path: &Path, episodes: &[Episode], report: &EpisodeReport, period_s: f64) -> Vec<String> {
    let frames: usize = episodes.iter().map(|e| e.frames.len()).sum();
    let mut lines = vec![format!(
        "{}: {} messages, {} episodes, {frames} frames ({:.1} minutes), {} splits at gaps, {} at jumps of time",
        path.display(),
        report.messages,
        episodes.len(),
        frames as f64 * period_s / 60.0,
        report.splits_at_gaps,
        report.splits_at_jumps
    )];
    if report.refused > 0 {
        lines.push(format!(
            "{}: {} messages could not be decoded, such as: {}",
            path.display(),
            report.refused,
            report.reasons.join("; ")
        ));
    }
    lines.extend(report.notices.iter().map(|notice| format!("{}: {notice}", path.display())));
    lines
}
