//! Messages to samples by stream: the contract's topics found in the bag, their messages decoded, backward jumps
//! noticed.

use std::collections::HashMap;

use super::{BagError, BagMessage, BagTopic, EpisodeReport, SourceEvent, StreamId};
use crate::DataConfig;
use df_core::Bound;
use df_message::{Extractor, Sample};

struct TopicState<'a> {
    streams: Vec<(StreamId, &'a Extractor)>,
    /// The newest stamp of the topic since time last jumped back.
    newest_ns: Option<i64>,
    messages: u64,
    refused: u64,
    first_reason: Option<String>,
}

/// Decodes messages into samples.
pub(crate) struct Streams<'a> {
    topics: HashMap<String, TopicState<'a>>,
    period_ns: i64,
    sample: Sample,
}

impl<'a> Streams<'a> {
    /// Finds the contract's topics in the bag.
    ///
    /// # Errors
    /// A topic that the bag lacks or that has another type there.
    pub(crate) fn new(
        has: &[BagTopic],
        config: &DataConfig,
        bound: &'a Bound,
        report: &mut EpisodeReport,
    ) -> Result<Self, BagError> {
        let contract = &config.contract;
        let mut topics: HashMap<String, TopicState> = HashMap::new();
        let mut add = |name: &str, message_type: &str, target, extractor| {
            let found = find_topic(has, name)?;
            if found.message_type != message_type {
                let (topic, got) = (found.name.clone(), found.message_type.clone());
                return Err(BagError::TopicType { topic, expected: message_type.into(), got });
            }
            let new =
                || TopicState { streams: Vec::new(), newest_ns: None, messages: 0, refused: 0, first_reason: None };
            topics.entry(found.name.clone()).or_insert_with(new).streams.push((target, extractor));
            Ok(())
        };
        for (group, (wanted, extractor)) in contract.observations.iter().zip(&bound.observations).enumerate() {
            match add(&wanted.topic, &wanted.message_type, StreamId::Observation(group), extractor) {
                Err(error @ BagError::Topic { .. }) if !wanted.required => {
                    report.notices.push(format!("group `{}` is missing throughout: {error}", wanted.name));
                }
                other => other?,
            }
        }
        add(&contract.action.topic, &contract.action.message_type, StreamId::Action, &bound.action)?;
        Ok(Self { topics, period_ns: contract.period_ns(), sample: Sample::default() })
    }

    /// The names that the contract's topics have in the bag.
    pub(crate) fn topics(&self) -> Vec<String> {
        let mut names: Vec<String> = self.topics.keys().cloned().collect();
        names.sort();
        names
    }

    /// Decodes a message. One that cannot be decoded is counted.
    pub(crate) fn add(&mut self, message: &BagMessage, report: &mut EpisodeReport, to: &mut dyn FnMut(SourceEvent)) {
        let Some(topic) = self.topics.get_mut(&message.topic) else { return };
        topic.messages += 1;
        report.messages += 1;
        let (mut error, mut jumped) = (None, false);
        for (stream, extractor) in &topic.streams {
            if let Err(refused) = extractor.extract_into(&message.bytes, &mut self.sample) {
                error = error.or(Some(refused));
                continue;
            }
            let stamp_ns = self.sample.stamp_ns.unwrap_or(message.log_ns);
            if is_jump(topic.newest_ns, stamp_ns, self.period_ns) {
                jumped = true;
                topic.newest_ns = None;
                to(SourceEvent::Break);
            }
            topic.newest_ns = topic.newest_ns.max(Some(stamp_ns));
            to(SourceEvent::Sample { stream: *stream, stamp_ns, values: &self.sample.values });
        }
        if let Some(error) = error {
            let reason = format!("{}: {error}", message.topic);
            topic.refused += 1;
            topic.first_reason.get_or_insert_with(|| reason.clone());
            report.refuse(reason);
        }
        if jumped {
            // The other topics follow into the new epoch with their next message, whatever its stamp.
            let others = self.topics.iter_mut().filter(|(name, _)| **name != message.topic);
            others.for_each(|(_, topic)| topic.newest_ns = None);
        }
    }

    /// # Errors
    /// A topic of which not one message could be decoded.
    pub(crate) fn finish(self) -> Result<(), BagError> {
        for (topic, TopicState { messages, refused, first_reason, .. }) in self.topics {
            if messages > 0 && refused == messages {
                return Err(BagError::Undecodable { topic, messages, reason: first_reason.unwrap_or_default() });
            }
        }
        Ok(())
    }
}

/// Smaller steps back are disorder, which is sorted.
fn is_jump(newest_ns: Option<i64>, stamp_ns: i64, period_ns: i64) -> bool {
    newest_ns.is_some_and(|newest| newest.saturating_sub(stamp_ns) > period_ns)
}

/// The topic of the bag that the contract's `name` means: the same name, or with `/` before it, or the only one that
/// ends with it.
pub(crate) fn find_topic<'b>(has: &'b [BagTopic], name: &str) -> Result<&'b BagTopic, BagError> {
    let bare = name.trim_start_matches('/');
    let is = |wanted: String| has.iter().find(move |topic| topic.name == wanted);
    if let Some(found) = is(name.into()).or_else(|| is(format!("/{bare}"))) {
        return Ok(found);
    }
    let ending: Vec<&BagTopic> = has.iter().filter(|topic| topic.name.ends_with(&format!("/{bare}"))).collect();
    match ending.as_slice() {
        [found] => Ok(found),
        _ => {
            let names = |topics: &mut dyn Iterator<Item = &BagTopic>| topics.map(|t| t.name.clone()).collect();
            let found = names(&mut ending.iter().copied());
            Err(BagError::Topic { topic: name.into(), found, has: names(&mut has.iter()) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(names: &[&str]) -> Vec<BagTopic> {
        let topic = |name: &&str| BagTopic {
            name: name.to_string(),
            message_type: "p/msg/A".into(),
            definition: None,
            messages: None,
        };
        names.iter().map(topic).collect()
    }

    #[test]
    fn a_topic_is_found_by_name_then_root_then_ending() {
        let has = topics(&["/a/odom", "/odom", "odom", "/b/force", "/c/b/force", "/x/my_scan", "/y/scan"]);
        let found = |name| find_topic(&has, name).map(|t| t.name.as_str()).map_err(|e| e.to_string());
        assert_eq!(found("odom"), Ok("odom"));
        assert_eq!(found("/odom"), Ok("/odom"));
        assert_eq!(found("a/odom"), Ok("/a/odom"));
        assert_eq!(found("c/b/force"), Ok("/c/b/force"));
        // A component matches whole: `/x/my_scan` does not end with `/scan`.
        assert_eq!(found("scan"), Ok("/y/scan"));
        let two = found("force").unwrap_err();
        assert!(two.contains(r#"got ["/b/force", "/c/b/force"]"#) && two.contains("/y/scan"), "{two}");
        assert!(found("goal").unwrap_err().contains("got []"));
    }

    #[test]
    fn only_larger_steps_back_are_jumps() {
        assert!(!is_jump(None, -5, 10));
        assert!(!is_jump(Some(100), 90, 10));
        assert!(is_jump(Some(100), 89, 10));
        assert!(!is_jump(Some(i64::MIN), i64::MAX, 10));
    }
}
