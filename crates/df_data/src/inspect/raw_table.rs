//! The columns of a dataset.

use super::channel::Channel;
use super::rate_stats::RateStats;
use super::report::{Details, RawReport, TopicReport};
use super::traces::Traces;
use crate::{Column, Table};

/// Values of a row that have a channel each; all of a wider column share one.
const MAX_WIDTH: usize = 64;
/// Rows are counted so far apart where the dataset does not say: then times are numbers of rows.
const ROW_NS: i64 = 1_000_000_000;

struct ColumnCounter {
    channels: Vec<Channel>,
    clock: RateStats,
    traces: Traces,
    refused: u64,
    reason: Option<String>,
}

pub(super) fn inspect(table: &dyn Table) -> RawReport {
    let columns = table.columns();
    let counter = |column: &Column| ColumnCounter {
        channels: vec![Channel::default(); if column.width > MAX_WIDTH { 1 } else { column.width }],
        clock: RateStats::default(),
        traces: Traces::default(),
        refused: 0,
        reason: None,
    };
    let mut counters: Vec<ColumnCounter> = columns.iter().map(counter).collect();
    let (mut episodes, mut rows, mut first_reason) = (0, 0u64, None);
    let read = table.rows(columns, ROW_NS, &mut |row| {
        let row = match row {
            Ok(row) => row,
            Err(reason) => {
                first_reason.get_or_insert(reason);
                return;
            }
        };
        rows += 1;
        episodes += u64::from(row.starts_episode);
        for ((counter, column), values) in counters.iter_mut().zip(columns).zip(row.values) {
            if row.starts_episode {
                counter.clock.restart();
                counter.channels.iter_mut().for_each(Channel::interrupt);
            }
            if values.is_empty() {
                counter.channels.iter_mut().for_each(Channel::miss);
                continue;
            }
            if values.len() != column.width {
                counter.refused += 1;
                counter.reason.get_or_insert_with(|| {
                    format!("{}: expected {} values, got {}", row.place(), column.width, values.len())
                });
                continue;
            }
            counter.clock.stamp(row.stamp_ns);
            let single = counter.channels.len() == 1;
            for (i, value) in values.iter().enumerate() {
                counter.channels[if single { 0 } else { i }].add(*value);
                if episodes == 1 {
                    counter.traces.add(i, row.stamp_ns, *value);
                }
            }
        }
    });
    let topic = |(counter, column): (ColumnCounter, &Column)| {
        let label = |i: usize| match column.labels.get(i) {
            Some(name) if column.labels.len() == column.width => format!("{}[name={name}]", column.name),
            _ if column.width == 1 => column.name.clone(),
            _ if column.width > MAX_WIDTH => format!("{}[]", column.name),
            _ => format!("{}[{i}]", column.name),
        };
        let summary = |(i, channel): (usize, &Channel)| {
            let summary = channel.summary(&label(i), "");
            if column.width > MAX_WIDTH { summary.without_order() } else { summary }
        };
        TopicReport {
            name: column.name.clone(),
            clock: counter.clock.summary(),
            channels: counter.channels.iter().enumerate().map(summary).collect(),
            refused: counter.refused,
            reason: counter.reason,
            details: Details {
                names: column.labels.clone(),
                width: column.width,
                sketches: counter.channels.iter().map(|channel| channel.sketch().clone()).collect(),
                traces: counter.traces,
                ..Details::default()
            },
            ..TopicReport::default()
        }
    };
    let topics: Vec<TopicReport> = counters.into_iter().zip(columns).map(topic).collect();
    RawReport {
        kind: table.kind(),
        episodes: Some(episodes),
        step_s: table.step_s(),
        duration_s: table.step_s().map_or(0.0, |step_s| step_s * rows as f64),
        topics,
        cut: read.err().map(|error| error.to_string()).or(first_reason),
        ..RawReport::default()
    }
}
