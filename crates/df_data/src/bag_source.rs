//! Every bag is a source: its messages are decoded to samples, its goal topic to goals.

use df_core::Bound;
use df_message::SchemaDefinitions;

use super::streams::{Streams, find_topic};
use super::{Bag, BagError, EpisodeReport, SampleSource, SourceEvent};
use crate::DataConfig;

impl<B: Bag + ?Sized> SampleSource for B {
    fn message_definitions(&self) -> SchemaDefinitions {
        self.definitions()
    }

    /// Samples are placed by header stamp, or by log time where there is none.
    fn samples(
        &self,
        config: &DataConfig,
        bound: &Bound,
        report: &mut EpisodeReport,
        to: &mut dyn FnMut(SourceEvent),
    ) -> Result<(), BagError> {
        let mut streams = Streams::new(self.topics(), config, bound, report)?;
        let topics = streams.topics();
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        let read = self.read(&topics, &mut |message| streams.add(message, report, to));
        match read {
            Ok(()) => streams.finish(),
            Err(error @ BagError::Unfinished { .. }) => streams.finish().and(Err(error)),
            Err(error) => Err(error),
        }
    }

    fn goals(&self, config: &DataConfig, bound: &Bound) -> Result<Vec<(i64, Vec<f64>)>, BagError> {
        let (Some(goal), Some(extractor)) = (&config.contract.goal, &bound.goal) else { return Ok(Vec::new()) };
        let Ok(found) = find_topic(self.topics(), &goal.topic) else { return Ok(Vec::new()) };
        if found.message_type != goal.message_type {
            let (expected, got) = (goal.message_type.clone(), found.message_type.clone());
            return Err(BagError::TopicType { topic: found.name.clone(), expected, got });
        }
        let mut goals = Vec::new();
        let read = self.read(&[found.name.as_str()], &mut |message| {
            if let Ok(sample) = extractor.extract(&message.bytes)
                && goal.frame_id.as_ref().is_none_or(|expected| sample.frame_id.as_ref() == Some(expected))
            {
                goals.push((sample.stamp_ns.unwrap_or(message.log_ns), sample.values));
            }
        });
        match read {
            Err(BagError::Unfinished { .. }) | Ok(()) => {}
            Err(error) => return Err(error),
        }
        goals.sort_by_key(|(stamp, _)| *stamp);
        Ok(goals)
    }
}
