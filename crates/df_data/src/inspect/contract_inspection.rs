//! A contract held against demonstrations: samples and frames are counted as they pass to where training would read
//! them.

use std::cell::RefCell;

use super::channel::{Channel, ChannelSummary};
use super::rate_stats::RateStats;
use super::report::{ContractReport, InputReport, InspectError, Pictures, Report, StreamReport};
use super::traces::over_time;
use super::window_coverage::{CoverageCounter, WindowCoverage};
use super::{pictures, warnings};
use crate::DataConfig;
use crate::charts::{Chart, Line};
use crate::{
    BagError, BoundSource, EpisodeReport, Input, InputError, RecordingError, SampleSource, SourceEvent, TickFrame,
    open_all, read_frames,
};
use df_core::ACTION;
use df_core::Bound;
use df_core::{Frame, Layout};

/// Episodes that are drawn, and frames of each.
const MAX_DRAWN: usize = 3;
const DRAWN_FRAMES: usize = 2000;
/// Channels of a modality that are drawn over time.
const MAX_CHANNELS: usize = 12;

/// What passes.
struct Watch<'a> {
    config: &'a DataConfig,
    layout: Layout,
    clocks: Vec<RateStats>,
    /// Of all inputs, and of this one.
    channels: Vec<Channel>,
    of_input: Vec<Channel>,
    coverage: CoverageCounter,
    /// The place of each group among the required ones.
    required: Vec<Option<usize>>,
    missing: Vec<u64>,
    frames: u64,
    episodes: u64,
    drawn: Vec<Vec<Frame>>,
}

/// A source whose samples are watched.
struct Tap<'a, 'c> {
    source: &'a dyn SampleSource,
    watch: &'a RefCell<Watch<'c>>,
    damage: RefCell<Option<String>>,
}

impl SampleSource for Tap<'_, '_> {
    fn samples(
        &self,
        config: &DataConfig,
        bound: &Bound,
        report: &mut EpisodeReport,
        to: &mut dyn FnMut(SourceEvent),
    ) -> Result<(), BagError> {
        let outcome = self.source.samples(config, bound, report, &mut |event| {
            self.watch.borrow_mut().sample(&event);
            to(event);
            if event == SourceEvent::Break {
                // The frames of what came before have been given.
                self.watch.borrow_mut().coverage.close();
            }
        });
        match outcome {
            Err(error @ BagError::Damaged { .. }) => {
                *self.damage.borrow_mut() = Some(error.to_string());
                Ok(())
            }
            outcome => outcome,
        }
    }
}

pub(super) fn inspect(config: &DataConfig, inputs: &[Input]) -> Result<Report, InspectError> {
    let sources = open_all(config, inputs)?;
    let Some(BoundSource { layout, .. }) = sources.first() else {
        return Err(RecordingError::from(InputError::None).into());
    };
    let watch = RefCell::new(Watch::new(config, layout.clone()));
    let mut report = ContractReport { period_s: config.contract.period_s, ..ContractReport::default() };
    for (input, opened) in inputs.iter().zip(&sources) {
        let at = |cause| InspectError::Bag { path: input.path.clone(), cause };
        let (frames, episodes) = (watch.borrow().frames, watch.borrow().episodes);
        let tap = Tap { source: &*opened.source, watch: &watch, damage: RefCell::new(None) };
        let read = read_frames(&tap, config, &opened.bound, &opened.layout, &mut |step| watch.borrow_mut().frame(step));
        let read = match read {
            Ok(read) => read,
            Err(error) if tap.damage.borrow().is_some() => {
                EpisodeReport { notices: vec![error.to_string()], ..EpisodeReport::default() }
            }
            Err(error) => return Err(at(error)),
        };
        let mut watch = watch.borrow_mut();
        report.inputs.push(InputReport {
            path: input.path.clone(),
            has_episodes: opened.source.has_episodes(),
            read,
            damage: tap.damage.into_inner(),
            episodes: watch.episodes - episodes,
            frames: watch.frames - frames,
            channels: watch.end_input(),
        });
    }
    let (streams, coverage, pictures) = watch.into_inner().finish();
    (report.streams, report.coverage) = (streams, coverage);
    let warnings = warnings::of_contract(&report, config);
    Ok(Report { contract: Some(report), warnings, pictures, ..Report::default() })
}

impl<'a> Watch<'a> {
    fn new(config: &'a DataConfig, layout: Layout) -> Self {
        let groups = &config.contract.observations;
        let mut names = Vec::new();
        let required: Vec<Option<usize>> = std::iter::once(None)
            .chain(groups.iter().map(|group| {
                group.required.then(|| {
                    names.push(group.name.clone());
                    names.len() - 1
                })
            }))
            .collect();
        let ns = |seconds: f64| (seconds * 1e9).round() as i64;
        let window = config.window * config.contract.frame_stack;
        let channels = channels(config, &layout);
        Self {
            config,
            clocks: vec![RateStats::default(); layout.modalities.len()],
            of_input: channels.clone(),
            channels,
            coverage: CoverageCounter::new(config.contract.period_ns(), ns(config.max_gap_s), window, names),
            required,
            missing: vec![0; layout.modalities.len()],
            frames: 0,
            episodes: 0,
            drawn: Vec::new(),
            layout,
        }
    }

    fn sample(&mut self, event: &SourceEvent) {
        match event {
            SourceEvent::Break => {
                self.clocks.iter_mut().for_each(RateStats::restart);
                self.channels.iter_mut().chain(&mut self.of_input).for_each(Channel::interrupt);
            }
            SourceEvent::Sample { stream, stamp_ns, values } => {
                let modality = stream.index();
                self.clocks[modality].stamp(*stamp_ns);
                self.coverage.sample(self.required[modality], *stamp_ns);
                let places = self.layout.modalities[modality].channels.clone();
                for (place, value) in places.zip(*values) {
                    self.channels[place].add(*value);
                    self.of_input[place].add(*value);
                }
            }
        }
    }

    fn frame(&mut self, step: TickFrame) {
        self.frames += 1;
        self.coverage.frame(step.tick_ns, step.starts_episode);
        for (missing, present) in self.missing.iter_mut().zip(&step.frame.present) {
            *missing += u64::from(!present);
        }
        if step.starts_episode {
            self.episodes += 1;
            if self.episodes <= MAX_DRAWN as u64 {
                self.drawn.push(Vec::new());
            } else if self.is_drawn() {
                self.drawn.remove(1);
                self.drawn.push(Vec::new());
            }
        }
        let is_drawn = self.is_drawn();
        if let Some(drawn) = self.drawn.last_mut().filter(|drawn| is_drawn && drawn.len() < DRAWN_FRAMES) {
            drawn.push(step.frame);
        }
    }

    /// The first episodes, and then those whose number is a power of four: spread over a recording of any length.
    fn is_drawn(&self) -> bool {
        let is_power = self.episodes.is_power_of_two() && self.episodes.trailing_zeros().is_multiple_of(2);
        self.episodes <= MAX_DRAWN as u64 || is_power
    }

    /// The channels of this input; the next one starts anew.
    fn end_input(&mut self) -> Vec<ChannelSummary> {
        self.coverage.close();
        self.sample(&SourceEvent::Break);
        let ended = std::mem::replace(&mut self.of_input, channels(self.config, &self.layout));
        ended.iter().zip(&self.layout.labels).map(|(channel, label)| channel.summary(label, "")).collect()
    }

    fn finish(self) -> (Vec<StreamReport>, WindowCoverage, Pictures) {
        let contract = &self.config.contract;
        let mut streams = Vec::new();
        let mut pictures = Pictures::default();
        for (modality, (clock, missing)) in self.layout.modalities.iter().zip(self.clocks.iter().zip(&self.missing)) {
            let group = contract.observations.iter().find(|group| group.name == modality.name);
            let units = group.map_or(&contract.action.units, |group| &group.units);
            let missing_share = *missing as f64 / self.frames.max(1) as f64;
            let mut summaries = Vec::new();
            for (i, place) in modality.channels.clone().enumerate() {
                // One unit per field: where fields and channels are one to one, it is the channel's.
                let unit = units.get(i).filter(|_| units.len() == modality.channels.len()).map_or("", String::as_str);
                let summary = self.channels[place].summary(&self.layout.labels[place], unit);
                let summary = ChannelSummary { missing_share, ..summary };
                pictures.distributions.extend(pictures::distribution(
                    &modality.name,
                    &summary,
                    self.channels[place].sketch(),
                ));
                summaries.push(summary);
            }
            streams.push(StreamReport {
                name: modality.name.clone(),
                topic: group.map_or(&contract.action.topic, |group| &group.topic).clone(),
                required: group.is_some_and(|group| group.required),
                max_age_s: group.map_or(contract.action.max_age_s, |group| group.max_age_s),
                clock: clock.summary(),
                missing_share,
                channels: summaries,
            });
        }
        for (number, episode) in self.drawn.iter().enumerate() {
            pictures.episodes.extend(self.charts(number + 1, episode));
        }
        (streams, self.coverage.finish(), pictures)
    }

    /// Charts of each modality of an episode, the observations first.
    fn charts(&self, number: usize, episode: &[Frame]) -> Vec<Chart> {
        let modalities = self.layout.modalities.iter().enumerate();
        let (actions, observations): (Vec<_>, Vec<_>) = modalities.partition(|(_, modality)| modality.name == ACTION);
        let mut charts = Vec::new();
        for (m, modality) in observations.into_iter().chain(actions) {
            let line = |place: usize| {
                let value = |frame: &Frame| if frame.present[m] { f64::from(frame.values[place]) } else { f64::NAN };
                let time = |k: usize| k as f64 * self.config.contract.period_s;
                let points = episode.iter().enumerate().map(|(k, frame)| (time(k), value(frame))).collect();
                Line { name: self.layout.labels[place].clone(), points }
            };
            let count = modality.channels.len();
            let of =
                if count > MAX_CHANNELS { format!(" ({MAX_CHANNELS} of {count} channels)") } else { String::new() };
            let title = format!("Sample episode {number}: {}{of}", modality.name);
            let lines = modality.channels.clone().take(MAX_CHANNELS).map(line).collect();
            charts.extend(over_time(&title, &title, "s", lines));
        }
        charts
    }
}

fn channels(config: &DataConfig, layout: &Layout) -> Vec<Channel> {
    let action = &config.contract.action;
    let limits = action.min.iter().zip(&action.max).map(|(min, max)| Channel::within([*min, *max]));
    let places = layout.frame_channels() - layout.action().len();
    limits.chain(vec![Channel::default(); places]).collect()
}
