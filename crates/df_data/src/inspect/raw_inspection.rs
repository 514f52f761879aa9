//! Inspects all that inputs hold, without a contract.

use super::report::{InspectError, Pictures, RawReport, Report};
use super::warning::{Warning, WarningKind};
use super::{pictures, raw_table, raw_topic, warnings};
use crate::{Contents, Input, open_contents};

pub(super) fn inspect(inputs: &[Input]) -> Result<Report, InspectError> {
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
                WarningKind::CutOff,
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
