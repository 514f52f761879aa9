//! The topics of a bag: one thread reads, others decode and count.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::channel::Channel;
use super::rate_stats::RateStats;
use super::report::{Details, RawReport, TopicReport};
use super::traces::Traces;
use crate::{Bag, BagTopic};
use df_message::{AmentDefinitions, Definitions, FirstKnown, Numbers, SchemaDefinitions};

/// Bytes that travel to a counting thread at a time, and how many such loads may wait.
const LOAD_BYTES: usize = 1 << 19;
const MAX_WAITING: usize = 4;
/// Most threads that count.
const MAX_THREADS: usize = 4;

/// Messages on their way.
#[derive(Default)]
struct MessageBatch {
    bytes: Vec<u8>,
    /// TopicReport, time of recording, end in `bytes`.
    messages: Vec<(usize, i64, usize)>,
}

pub(super) fn inspect(bag: &dyn Bag) -> RawReport {
    let own = bag.definitions();
    let topics = bag.topics();
    let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    let place: HashMap<&str, usize> = names.iter().enumerate().map(|(i, name)| (*name, i)).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.saturating_sub(1).clamp(1, MAX_THREADS).min(topics.len().max(1));
    let (mut counted_topics, cut) = std::thread::scope(|scope| {
        let mut senders: Vec<(SyncSender<MessageBatch>, MessageBatch)> = Vec::new();
        let mut workers = Vec::new();
        for worker in 0..threads {
            let (sender, receiver) = sync_channel(MAX_WAITING);
            let (own, topics) = (&own, topics);
            workers.push(scope.spawn(move || count(own, topics, (worker, threads), &receiver)));
            senders.push((sender, MessageBatch::default()));
        }
        let read = bag.read(&names, &mut |message| {
            let Some(&topic) = place.get(message.topic.as_str()) else { return };
            let (sender, load) = &mut senders[topic % threads];
            load.bytes.extend_from_slice(&message.bytes);
            load.messages.push((topic, message.log_ns, load.bytes.len()));
            if load.bytes.len() >= LOAD_BYTES {
                // Whoever counts ends only after the sender: it takes all.
                let _ = sender.send(std::mem::take(load));
            }
        });
        for (sender, load) in senders {
            let _ = sender.send(load);
        }
        let counted_topics: Vec<TopicReport> =
            workers.into_iter().filter_map(|worker| worker.join().ok()).flatten().collect();
        (counted_topics, read.err())
    });
    counted_topics.sort_by(|a, b| a.name.cmp(&b.name));
    let seen = || counted_topics.iter().filter(|topic| topic.clock.messages > 0).map(|topic| &topic.clock);
    let (first, last) = (seen().map(|clock| clock.first_ns).min(), seen().map(|clock| clock.last_ns).max());
    let duration_s = first.zip(last).map_or(0.0, |(first, last)| last.saturating_sub(first) as f64 / 1e9);
    RawReport {
        kind: "bag",
        duration_s,
        topics: counted_topics,
        cut: cut.map(|error| error.to_string()),
        ..RawReport::default()
    }
}

struct TopicCounter {
    /// `Err`: why its messages cannot be decoded.
    numbers: Result<Numbers, String>,
    clock: RateStats,
    channels: Vec<Channel>,
    traces: Traces,
    bytes: u64,
    refused: u64,
    reason: Option<String>,
}

impl TopicCounter {
    fn new(own: &SchemaDefinitions, installed: &AmentDefinitions, topic: &BagTopic) -> Self {
        let known = FirstKnown(vec![own, installed]);
        let numbers = known.schema(&topic.message_type).and_then(|schema| Numbers::new(&schema));
        Self {
            numbers: numbers.map_err(|error| error.to_string()),
            clock: RateStats::default(),
            channels: Vec::new(),
            traces: Traces::default(),
            bytes: 0,
            refused: 0,
            reason: None,
        }
    }

    fn add(&mut self, log_ns: i64, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        let reading = match &mut self.numbers {
            Ok(numbers) => numbers.read(bytes).map_err(|error| error.to_string()),
            Err(reason) => Err(reason.clone()),
        };
        let reading = match reading {
            Ok(reading) => reading,
            Err(reason) => {
                self.refused += 1;
                self.reason.get_or_insert(reason);
                self.clock.add(None, log_ns);
                return;
            }
        };
        self.clock.add(reading.stamp_ns, log_ns);
        let stamp_ns = reading.stamp_ns.unwrap_or(log_ns);
        for &(channel, value) in reading.values {
            let channel = channel as usize;
            if self.channels.len() <= channel {
                self.channels.resize(channel + 1, Channel::default());
            }
            self.channels[channel].add(value);
            self.traces.add(channel, stamp_ns, value);
        }
    }

    fn finish(self, topic: &BagTopic) -> TopicReport {
        let (labels, arrays, frame_id) = match &self.numbers {
            Ok(numbers) => (numbers.labels(), numbers.arrays(), numbers.frame_id().map(String::from)),
            Err(_) => (Vec::new(), Vec::new(), None),
        };
        let summary = |(channel, label): (&Channel, &String)| {
            let summary = channel.summary(label, "");
            if label.contains("[]") { summary.without_order() } else { summary }
        };
        TopicReport {
            name: topic.name.clone(),
            message_type: topic.message_type.clone(),
            clock: self.clock.summary(),
            bytes: self.bytes,
            frame_id,
            channels: self.channels.iter().zip(&labels).map(summary).collect(),
            arrays: arrays.iter().map(|array| (array.label.clone(), array.min, array.max)).collect(),
            refused: self.refused,
            reason: self.reason,
            details: Details {
                arrays,
                sketches: self.channels.iter().map(|channel| channel.sketch().clone()).collect(),
                traces: self.traces,
                ..Details::default()
            },
        }
    }
}

/// Counts the topics whose number leaves `worker` when divided by `threads`, until no more comes.
fn count(
    own: &SchemaDefinitions,
    topics: &[BagTopic],
    (worker, threads): (usize, usize),
    loads: &Receiver<MessageBatch>,
) -> Vec<TopicReport> {
    let installed = AmentDefinitions::from_env();
    let mine = topics.iter().enumerate().filter(|(i, _)| i % threads == worker).map(|(_, topic)| topic);
    let mut counters: Vec<TopicCounter> = mine.clone().map(|topic| TopicCounter::new(own, &installed, topic)).collect();
    for load in loads {
        let mut start = 0;
        for (topic, log_ns, end) in load.messages {
            counters[topic / threads].add(log_ns, &load.bytes[start..end]);
            start = end;
        }
    }
    counters.into_iter().zip(mine).map(|(counter, topic)| counter.finish(topic)).collect()
}
