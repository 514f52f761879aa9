//! All that inputs hold, without a contract.

use std::path::PathBuf;

use serde::Serialize;

use super::quantile_sketch::Sketch;
use super::traces::Traces;
use super::{
    ChannelSummary, ClockSummary, InspectError, Pictures, Report, Warning, pictures, raw_table, raw_topic, warnings,
};
use crate::{Contents, Input, open_contents};

/// What one input holds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RawReport {
    pub path: PathBuf,
    /// `bag`, `LeRobot` or `HDF5`.
    pub kind: &'static str,
    /// Of datasets.
    pub episodes: Option<u64>,
    /// Time between two rows of a dataset, where it says so.
    pub step_s: Option<f64>,
    pub duration_s: f64,
    /// Topics of a bag, columns of a dataset.
    pub topics: Vec<Topic>,
    /// Why reading ended early.
    pub cut: Option<String>,
}

/// A topic or a column.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Topic {
    pub name: String,
    /// `package/msg/Name`; empty for a column.
    pub message_type: String,
    pub clock: ClockSummary,
    pub bytes: u64,
    pub frame_id: Option<String>,
    pub channels: Vec<ChannelSummary>,
    /// Arrays: label, least and most elements.
    pub arrays: Vec<(String, u32, u32)>,
    /// Messages that could not be decoded, and the first reason.
    pub refused: u64,
    pub reason: Option<String>,
    /// What the type is like, for the starter.
    #[serde(skip)]
    pub details: Details,
}

/// What is not told but used.
#[derive(Clone, Debug, Default)]
pub struct Details {
    pub arrays: Vec<df_message::ArrayLengths>,
    /// Names of the values of a column.
    pub names: Vec<String>,
    pub width: usize,
    pub sketches: Vec<Sketch>,
    pub traces: Traces,
}

pub fn inspect(inputs: &[Input]) -> Result<Report, InspectError> {
    let mut report = Report::default();
    for input in inputs {
        let at = |cause| InspectError::Bag { path: input.path.clone(), cause };
        let mut raw = match open_contents(&input.path).map_err(at)? {
            Contents::Bag(bag) => raw_topic::inspect(&*bag),
            Contents::Table(table) => raw_table::inspect(&*table),
        };
        raw.path = input.path.clone();
        let name = raw.path.display().to_string();
        if let Some(cut) = &raw.cut {
            report.warnings.push(Warning::new(
                warnings::Kind::CutOff,
                &name,
                format!("{cut}; what came before it is shown"),
            ));
        }
        for topic in &raw.topics {
            report.warnings.extend(warnings::of_topic(topic));
        }
        report.pictures.add(&raw);
        report.inputs.push(raw);
    }
    Ok(report)
}

impl Pictures {
    fn add(&mut self, raw: &RawReport) {
        for topic in &raw.topics {
            for (channel, sketch) in topic.channels.iter().zip(&topic.details.sketches) {
                self.distributions.extend(pictures::distribution(&topic.name, channel, sketch));
            }
            let labels: Vec<String> = topic.channels.iter().map(|channel| channel.label.clone()).collect();
            self.episodes.extend(topic.details.traces.charts(&topic.name, &labels));
        }
    }
}
