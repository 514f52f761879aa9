//! Several recordings under one contract: opened, bound, read.

use std::path::{Path, PathBuf};

use super::{BagError, Episode, EpisodeReport, Input, Source, open_source, read_episodes};
use crate::config::{Config, ConfigError};
use crate::message::{AmentDefinitions, Bound, Definitions, FirstKnown, SchemaDefinitions, bind};
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
    #[error("`{text}`: {rule}")]
    Input { text: String, rule: String },
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

/// Demonstrations with the contract bound to their message definitions.
pub struct BoundSource {
    pub source: Box<dyn Source>,
    pub bound: Bound,
    pub layout: Layout,
}

/// Opens demonstrations and binds the contract: by their own definitions, or else by those of the sourced ROS installation.
///
/// # Errors
/// [`RecordingError`].
pub fn open_bound(config: &Config, path: &Path) -> Result<BoundSource, RecordingError> {
    let source = opened(path)?;
    let own = source.message_definitions();
    bound(config, source, &[&own])
}

/// The layout of a contract, by the definitions of the sourced ROS installation alone.
///
/// # Errors
/// [`RecordingError::Config`].
pub fn layout(config: &Config) -> Result<Layout, RecordingError> {
    let bound = bind(config, &AmentDefinitions::from_env())?;
    Ok(Layout::new(config.contract.frame_stack, bound.modalities(config)))
}

fn opened(path: &Path) -> Result<Box<dyn Source>, RecordingError> {
    open_source(path).map_err(|source| RecordingError::Bag { path: path.into(), source })
}

fn bound(
    config: &Config,
    source: Box<dyn Source>,
    recorded: &[&SchemaDefinitions],
) -> Result<BoundSource, RecordingError> {
    let installed = AmentDefinitions::from_env();
    let recorded = recorded.iter().map(|definitions| *definitions as &dyn Definitions);
    let bound = bind(config, &FirstKnown(recorded.chain([&installed as &dyn Definitions]).collect()))?;
    let layout = Layout::new(config.contract.frame_stack, bound.modalities(config));
    Ok(BoundSource { source, bound, layout })
}

/// Reads every episode of every input. A dataset carries no message definitions: those of the bags beside it serve it too.
///
/// # Errors
/// [`RecordingError`].
pub fn load(config: &Config, inputs: &[Input]) -> Result<Recording, RecordingError> {
    let sources = inputs.iter().map(|input| opened(&input.path)).collect::<Result<Vec<_>, _>>()?;
    let definitions: Vec<SchemaDefinitions> = sources.iter().map(|source| source.message_definitions()).collect();
    let mut all: Option<Recording> = None;
    for (i, (Input { path, weight }, source)) in inputs.iter().zip(sources).enumerate() {
        let others = definitions.iter().enumerate().filter(|(other, _)| *other != i).map(|(_, others)| others);
        let recorded: Vec<&SchemaDefinitions> = std::iter::once(&definitions[i]).chain(others).collect();
        let BoundSource { source, bound, layout } = bound(config, source, &recorded)?;
        let (mut episodes, report) = read_episodes(&*source, config, &bound, &layout)
            .map_err(|source| RecordingError::Bag { path: path.clone(), source })?;
        episodes.iter_mut().for_each(|episode| episode.weight = *weight);
        let lines = describe(path, &episodes, &report, config.contract.period_s);
        let all =
            all.get_or_insert_with(|| Recording { layout: layout.clone(), episodes: Vec::new(), report: Vec::new() });
        if all.layout != layout {
            return Err(RecordingError::Layout { path: path.clone(), first: inputs[0].path.clone() });
        }
        all.episodes.extend(episodes);
        all.report.extend(lines);
    }
    all.ok_or(RecordingError::None)
}

fn describe(path: &Path, episodes: &[Episode], report: &EpisodeReport, period_s: f64) -> Vec<String> {
    let frames: usize = episodes.iter().map(|e| e.frames.len()).sum();
    let mut lines = vec![format!(
        "{}: {} messages or rows, {} episodes, {frames} frames ({:.1} minutes), {} splits at gaps, {} at jumps of time",
        path.display(),
        report.messages,
        episodes.len(),
        frames as f64 * period_s / 60.0,
        report.splits_at_gaps,
        report.splits_at_jumps
    )];
    if report.refused > 0 {
        lines.push(format!(
            "{}: {} could not be used, such as: {}",
            path.display(),
            report.refused,
            report.reasons.join("; ")
        ));
    }
    lines.extend(report.notices.iter().map(|notice| format!("{}: {notice}", path.display())));
    lines
}
