//! Several recordings under one contract: opened, bound, read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cache::{Cache, CacheError, CachePlace, EpisodeRecord, FrameFile, FrameWriter, Keys};
use super::{BagError, EpisodeReport, Input, InputError, SampleSource, open_source, read_frames};
use crate::DataConfig;
use df_core::ConfigError;
use df_core::{Bound, bind};
use df_core::{Frame, Layout};
use df_message::{AmentDefinitions, Definitions, FirstKnown, SchemaDefinitions, built_in};

/// Why recordings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// An input cannot be opened or read.
    #[error("{}: {cause}", path.display())]
    Bag {
        /// The input.
        path: PathBuf,
        /// What is wrong with it.
        cause: BagError,
    },
    /// The contract is invalid or does not fit the message definitions.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Two inputs give frames of different channels.
    #[error("{}: the channels differ from those of {}", path.display(), first.display())]
    Layout {
        /// The input that differs.
        path: PathBuf,
        /// The first input.
        first: PathBuf,
    },
    /// The list of inputs is invalid.
    #[error(transparent)]
    Input(#[from] InputError),
    /// Frames cannot be kept.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// The frames of all inputs, in memory-mapped files.
#[derive(Debug)]
pub struct Recording {
    /// The modalities and channels of a frame.
    pub layout: Layout,
    /// The episodes of all inputs, in order.
    pub episodes: Vec<EpisodeSpan>,
    /// The inputs as given.
    pub inputs: Vec<String>,
    /// What was read and what was left out, one line each.
    pub report: Vec<String>,
    /// One per input.
    files: Vec<FrameFile>,
}

/// An episode of a recording: consecutive frames, one per tick, without a gap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpisodeSpan {
    /// The index of its input.
    pub input: usize,
    /// Its first frame among those of its input.
    first: usize,
    /// Number of frames.
    pub frames: usize,
    /// The tick of the first frame, nanoseconds.
    pub start_ns: i64,
    /// How often its windows are drawn in training, relative to those of weight 1.
    pub weight: f64,
}

impl Recording {
    /// Frame `k` of an episode: a value per channel, in the units of the contract, 0 where missing; a byte per
    /// modality, 0 where missing.
    pub fn frame(&self, episode: &EpisodeSpan, k: usize) -> (&[f32], &[u8]) {
        self.files[episode.input].frame(episode.first + k)
    }

    /// Has frames of an episode, from `k` on, read from the disk without waiting for them.
    pub fn fetch(&self, episode: &EpisodeSpan, k: usize, count: usize) {
        self.files[episode.input].fetch(episode.first + k, count);
    }

    /// Episodes that are no recording on disk, such as generated ones, each with its weight; in files without names.
    ///
    /// # Errors
    /// The folder for temporary files cannot be written.
    pub fn of(layout: &Layout, episodes: Vec<(Vec<Frame>, f64)>) -> std::io::Result<Arc<Self>> {
        let (mut spans, mut files) = (Vec::new(), Vec::new());
        for (input, (frames, weight)) in episodes.into_iter().enumerate() {
            let mut writer = FrameWriter::new(tempfile::tempfile()?, "", &layout.modalities, &layout.labels);
            spans.push(EpisodeSpan { input, first: 0, frames: frames.len(), start_ns: 0, weight });
            for (k, frame) in frames.into_iter().enumerate() {
                writer.add(&super::TickFrame { tick_ns: k as i64, starts_episode: k == 0, frame });
            }
            files.push(writer.finish(Vec::new())?);
        }
        Ok(Arc::new(Self { layout: layout.clone(), episodes: spans, inputs: Vec::new(), report: Vec::new(), files }))
    }

    /// From now on frames are read here and there, not one after the other.
    pub fn read_at_random(&self) {
        self.files.iter().for_each(FrameFile::read_at_random);
    }
}

/// Demonstrations with the contract bound to their message definitions.
pub struct BoundSource {
    /// The bag or dataset.
    pub source: Box<dyn SampleSource>,
    /// The fields of the contract, compiled for its message definitions.
    pub bound: Bound,
    /// The modalities and channels of a frame.
    pub layout: Layout,
}

/// Opens demonstrations and binds the contract: by their own definitions, or else by those of the sourced ROS
/// installation.
///
/// # Errors
/// [`RecordingError`].
pub fn open_bound(config: &DataConfig, path: &Path) -> Result<BoundSource, RecordingError> {
    let source = opened(path)?;
    let own = source.message_definitions();
    bound(config, source, &[&own])
}

/// The layout of a contract, by the definitions of the sourced ROS installation alone.
///
/// # Errors
/// [`RecordingError::Config`].
pub fn contract_layout(config: &DataConfig) -> Result<Layout, RecordingError> {
    let bound = bind(&config.contract, &AmentDefinitions::from_env())?;
    Ok(Layout::new(config.contract.frame_stack, bound.modalities(&config.contract)))
}

fn opened(path: &Path) -> Result<Box<dyn SampleSource>, RecordingError> {
    open_source(path).map_err(|cause| RecordingError::Bag { path: path.into(), cause })
}

fn bound(
    config: &DataConfig,
    source: Box<dyn SampleSource>,
    recorded: &[&SchemaDefinitions],
) -> Result<BoundSource, RecordingError> {
    let (installed, built_in) = (AmentDefinitions::from_env(), built_in());
    let recorded = recorded.iter().map(|definitions| *definitions as &dyn Definitions);
    let bound =
        bind(&config.contract, &FirstKnown(recorded.chain([&installed as &dyn Definitions, &built_in]).collect()))?;
    let layout = Layout::new(config.contract.frame_stack, bound.modalities(&config.contract));
    Ok(BoundSource { source, bound, layout })
}

/// Opens every input and binds the contract to each. A dataset carries no message definitions: those of the bags beside
/// it serve it too.
///
/// # Errors
/// [`RecordingError`].
pub fn open_all(config: &DataConfig, inputs: &[Input]) -> Result<Vec<BoundSource>, RecordingError> {
    let sources = inputs.iter().map(|input| opened(&input.path)).collect::<Result<Vec<_>, _>>()?;
    let definitions: Vec<SchemaDefinitions> = sources.iter().map(|source| source.message_definitions()).collect();
    let mut all: Vec<BoundSource> = Vec::new();
    for (i, (Input { path, .. }, source)) in inputs.iter().zip(sources).enumerate() {
        let others = definitions.iter().enumerate().filter(|(other, _)| *other != i).map(|(_, others)| others);
        let recorded: Vec<&SchemaDefinitions> = std::iter::once(&definitions[i]).chain(others).collect();
        let bound = bound(config, source, &recorded)?;
        if all.first().is_some_and(|first| first.layout != bound.layout) {
            return Err(RecordingError::Layout { path: path.clone(), first: inputs[0].path.clone() });
        }
        all.push(bound);
    }
    Ok(all)
}

/// The frames of every input, from the cache where it has them. A dataset carries no message definitions: those of the
/// bags beside it serve it too.
///
/// # Errors
/// [`RecordingError`].
pub fn load_recording(config: &DataConfig, inputs: &[Input], place: &CachePlace) -> Result<Recording, RecordingError> {
    let mut cache = Cache::open(place)?;
    let unreadable = |(path, cause): (PathBuf, _)| RecordingError::Bag {
        path: path.clone(),
        cause: BagError::Unreadable { path, cause },
    };
    let keys = Keys::of(config, inputs).map_err(unreadable)?;
    let mut reader = Reader { config, inputs, definitions: vec![None; inputs.len()] };
    let mut report = Vec::new();
    let (mut episodes, mut files) = (Vec::new(), Vec::<FrameFile>::new());
    for (input, (Input { path, weight }, keys)) in inputs.iter().zip(&keys).enumerate() {
        let file = match cache.find(&keys.alone).or_else(|| cache.find(&keys.with_others)) {
            Some(found) => found,
            None => reader.read(input, keys, &mut cache)?,
        };
        let (first, own) = (files.first().unwrap_or(&file), &file.footer);
        if (&first.footer.modalities, &first.footer.labels) != (&own.modalities, &own.labels) {
            return Err(RecordingError::Layout { path: path.clone(), first: inputs[0].path.clone() });
        }
        episodes.extend(own.episodes.iter().map(|&EpisodeRecord { start_ns, first, frames }| EpisodeSpan {
            input,
            first,
            frames,
            start_ns,
            weight: *weight,
        }));
        report.extend(own.report.iter().map(|line| format!("{}: {line}", path.display())));
        files.push(file);
    }
    cache.limit((config.cache_gb * 1e9) as u64, &keys)?;
    report.append(&mut cache.notices);
    let footer = files.first().map(|file| &file.footer).ok_or(InputError::None)?;
    let (modalities, labels) = (footer.modalities.clone(), footer.labels.clone());
    let layout = Layout { modalities, labels, frame_stack: config.contract.frame_stack };
    let inputs = inputs.iter().map(Input::to_string).collect();
    Ok(Recording { layout, episodes, inputs, report, files })
}

/// Reads inputs that the cache lacks.
struct Reader<'a> {
    config: &'a DataConfig,
    inputs: &'a [Input],
    /// Those of each input, once they were asked for.
    definitions: Vec<Option<SchemaDefinitions>>,
}

impl Reader<'_> {
    fn read(&mut self, input: usize, keys: &Keys, cache: &mut Cache) -> Result<FrameFile, RecordingError> {
        let (config, path) = (self.config, &self.inputs[input].path);
        let source = opened(path)?;
        let own = source.message_definitions();
        // The goal is no part of a frame: a bag without its type is as complete.
        let alone = bind(&df_core::Contract { goal: None, ..config.contract.clone() }, &own).is_ok();
        let mut recorded = vec![own];
        if !alone {
            for other in (0..self.inputs.len()).filter(|other| *other != input) {
                recorded.push(self.definitions(other)?);
            }
        }
        let BoundSource { source, bound, layout } = bound(config, source, &recorded.iter().collect::<Vec<_>>())?;
        let key = if alone { &keys.alone } else { &keys.with_others };
        let begin = |file| FrameWriter::new(file, key, &layout.modalities, &layout.labels);
        cache.write(key, begin, |writer| {
            let report = read_frames(&*source, config, &bound, &layout, &mut |step| writer.add(&step))
                .map_err(|cause| RecordingError::Bag { path: path.clone(), cause })?;
            Ok(describe(writer.counts(), &report, config.contract.period_s))
        })
    }

    fn definitions(&mut self, input: usize) -> Result<SchemaDefinitions, RecordingError> {
        if let Some(known) = &self.definitions[input] {
            return Ok(known.clone());
        }
        let found = opened(&self.inputs[input].path)?.message_definitions();
        Ok(self.definitions[input].insert(found).clone())
    }
}

fn describe((episodes, frames): (usize, usize), report: &EpisodeReport, period_s: f64) -> Vec<String> {
    let mut lines = vec![format!(
        "{} messages or rows, {episodes} episodes, {frames} frames ({:.1} minutes), {} splits at gaps, {} at jumps of time",
        report.messages,
        frames as f64 * period_s / 60.0,
        report.splits_at_gaps,
        report.splits_at_jumps
    )];
    if report.refused > 0 {
        lines.push(format!("{} could not be used, such as: {}", report.refused, report.reasons.join("; ")));
    }
    lines.extend(report.notices.iter().cloned());
    lines
}
