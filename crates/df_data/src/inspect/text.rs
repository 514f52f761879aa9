//! The report as text for a terminal: aligned tables, the warnings at the end.

use super::channel::ChannelSummary;
use super::format::{number, percent, seconds};
use super::quantile_sketch::ERROR;
use super::rate_stats::RateSummary;
use super::report::{ContractReport, RawReport, Report, TopicReport};
use super::warning::Warning;

/// Widest line of a list.
const LINE: usize = 110;

impl Report {
    /// What a person reads.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for input in &self.inputs {
            text += &raw(input);
        }
        if let Some(contract) = &self.contract {
            text += &contract_text(contract);
        }
        text += &warnings(&self.warnings);
        text
    }
}

fn warnings(all: &[Warning]) -> String {
    if all.is_empty() {
        return "\nNo warnings.\n".into();
    }
    let mut text = format!("\n{} {}\n", all.len(), if all.len() == 1 { "warning" } else { "warnings" });
    for warning in all {
        text += &format!("  ! {}: {}\n", warning.about, warning.text);
    }
    text
}

fn raw(input: &RawReport) -> String {
    let messages: u64 = input.topics.iter().map(|topic| topic.clock.messages).sum();
    let head = match input.episodes {
        None => format!("{} topics, {messages} messages, {}", input.topics.len(), seconds(input.duration_s)),
        Some(episodes) => {
            let rows = input.topics.iter().map(|column| column.clock.messages).max().unwrap_or(0);
            let time =
                input.step_s.map_or("rows without times".into(), |step_s| format!("rows every {}", seconds(step_s)));
            format!("{} columns, {rows} rows, {episodes} episodes, {time}", input.topics.len())
        }
    };
    let mut text = format!("{}: {}, {head}\n", input.path.display(), input.kind);
    if input.episodes.is_none() {
        text += "\n";
        text +=
            &clocks(input.topics.iter().map(|topic| (topic.name.clone(), topic.message_type.clone(), &topic.clock)));
    }
    for topic in &input.topics {
        text += &topic_text(topic);
    }
    text + &format!(
        "\nPercentiles are exact for up to 1024 values, else off by at most {:.1} % of their distance from the channel's first values.\n",
        100.0 * ERROR
    )
}

fn topic_text(topic: &TopicReport) -> String {
    if topic.clock.messages == 0 || topic.channels.is_empty() {
        return String::new();
    }
    let frame = topic.frame_id.as_ref().map_or(String::new(), |frame| format!(", frame `{frame}`"));
    let size = topic.bytes.checked_div(topic.clock.messages).filter(|size| *size > 0);
    let size = size.map_or(String::new(), |size| format!(", {size} bytes each"));
    let mut text = format!("\n{} {}{frame}{size}\n", topic.name, topic.message_type);
    text += &channels(&topic.channels);
    // Of arrays that have a row for each element, the length is seen.
    let is_row = |label: &String| topic.channels.iter().any(|channel| channel.label == *label);
    for (label, min, max) in topic.arrays.iter().filter(|(label, min, max)| min != max || is_row(label)) {
        let count = if min == max { max.to_string() } else { format!("{min} to {max}") };
        text += &format!("  {label}: {count} elements\n");
    }
    text
}

/// Name, what it is, and its times.
fn clocks<'a>(rows: impl Iterator<Item = (String, String, &'a RateSummary)>) -> String {
    let mut table =
        TextTable::new(&["topic", "type", "messages", "rate", "period 5..95 %", "longest silence", "age 1..99 %"], 2);
    for (name, message_type, clock) in rows {
        let once = clock.messages < 2;
        let or_none = |text: String| if once { "-".into() } else { text };
        table.add(vec![
            name,
            message_type,
            clock.messages.to_string(),
            or_none(format!("{} Hz", number(clock.rate_hz))),
            or_none(format!("{}..{}", seconds(clock.period_p5_s), seconds(clock.period_p95_s))),
            or_none(format!("{} after {}", seconds(clock.longest_silence_s), seconds(clock.longest_silence_at_s))),
            clock.age_s.map_or("no stamps".into(), |[_, low, high]| format!("{}..{}", seconds(low), seconds(high))),
        ]);
    }
    table.text()
}

/// Constant channels in a line, the others in a table.
fn channels(all: &[ChannelSummary]) -> String {
    let (constant, others): (Vec<_>, Vec<_>) = all.iter().partition(|channel| channel.is_constant());
    let has_gaps = others.iter().any(|channel| channel.missing_share > 0.0 || channel.not_finite_share > 0.0);
    let mut head = vec!["channel", "min", "1 %", "5 %", "50 %", "95 %", "99 %", "max", "mean", "deviation"];
    if has_gaps {
        head.extend(["missing", "not finite"]);
    }
    let mut table = TextTable::new(&head, 1);
    for channel in others {
        let label = if channel.unit.is_empty() {
            channel.label.clone()
        } else {
            format!("{} [{}]", channel.label, channel.unit)
        };
        let mut row = vec![label];
        if channel.count > 0 {
            let [p1, p5, p50, p95, p99] = channel.percentiles;
            let values = [channel.min, p1, p5, p50, p95, p99, channel.max, channel.mean];
            row.extend(values.map(|value| number_within(value, channel.max - channel.min)));
            row.push(number(channel.std));
        } else {
            row.extend(std::iter::repeat_n("-".to_string(), 9));
        }
        if has_gaps {
            row.extend([percent(channel.missing_share), percent(channel.not_finite_share)]);
        }
        table.add(row);
    }
    let mut text = if table.rows.is_empty() { String::new() } else { table.text() };
    if !constant.is_empty() {
        let one = |(label, value): (String, f64)| format!("{label} = {}", number(value));
        text += &wrapped("constant: ", folded(&constant).into_iter().map(one));
    }
    text
}

/// Neighbours that are elements of one array and have the same value as one: `covariance[0..8]`.
fn folded(constant: &[&ChannelSummary]) -> Vec<(String, f64)> {
    let mut folded: Vec<(String, f64)> = Vec::new();
    let element = |label: &str| -> Option<(String, String)> {
        let (array, index) = label.strip_suffix(']')?.rsplit_once('[')?;
        index.parse::<u32>().ok().map(|_| (array.into(), index.into()))
    };
    let mut first: Option<(String, String)> = None;
    for channel in constant {
        let own = element(&channel.label);
        match (&first, &own, folded.last_mut()) {
            (Some((array, from)), Some((own, index)), Some((label, value)))
                if array == own && *value == channel.min =>
            {
                *label = format!("{array}[{from}..{index}]");
            }
            _ => {
                folded.push((channel.label.clone(), channel.min));
                first = own;
            }
        }
    }
    folded
}

fn contract_text(report: &ContractReport) -> String {
    let mut text = String::new();
    for input in &report.inputs {
        text += &format!(
            "{}: {} messages or rows, {} episodes, {} frames, {} splits at gaps, {} at jumps of time\n",
            input.path.display(),
            input.read.messages,
            input.episodes,
            input.frames,
            input.read.splits_at_gaps,
            input.read.splits_at_jumps
        );
        for notice in &input.read.notices {
            text += &format!("  {notice}\n");
        }
    }
    let coverage = &report.coverage;
    let window_s = coverage.window as f64 * report.period_s;
    let in_s = |frames: u64| seconds(frames as f64 * report.period_s);
    let [min, p5, median, p95, max] = coverage.lengths;
    text += &format!(
        "\nepisodes  {}: {} to {} long, half of them at least {} (5..95 %: {} to {})\n",
        coverage.episodes,
        in_s(min),
        in_s(max),
        in_s(median),
        in_s(p5),
        in_s(p95)
    );
    text += &format!(
        "frames    {} of {} ticks of {} ({})\n",
        coverage.frames,
        coverage.ticks,
        seconds(report.period_s),
        percent(coverage.frames as f64 / coverage.ticks.max(1) as f64)
    );
    let of = |count: u64| percent(count as f64 / coverage.possible_windows.max(1) as f64);
    text += &format!(
        "windows   {} of {} of {} frames ({}), {}\n",
        coverage.windows,
        coverage.possible_windows,
        coverage.window,
        seconds(window_s),
        of(coverage.windows)
    );
    let silences = coverage.lost_to_silence.iter().map(|(group, count)| (*count, format!("{group} silent")));
    let others = [
        (coverage.lost_to_cuts, "across the borders of episodes".to_string()),
        (coverage.lost_to_shortness, format!("in {} episodes too short for one", coverage.short_episodes)),
    ];
    for (count, why) in silences.chain(others).filter(|(count, _)| *count > 0) {
        text += &format!("  lost    {count} ({}): {why}\n", of(count));
    }
    let mut table = TextTable::new(
        &["group", "topic", "samples", "rate", "period 5..95 %", "99.9 %", "max_age_s", "missing in frames"],
        2,
    );
    for stream in &report.streams {
        let clock = &stream.clock;
        table.add(vec![
            if stream.required { format!("{} (required)", stream.name) } else { stream.name.clone() },
            stream.topic.clone(),
            clock.messages.to_string(),
            format!("{} Hz", number(clock.rate_hz)),
            format!("{}..{}", seconds(clock.period_p5_s), seconds(clock.period_p95_s)),
            seconds(clock.period_p999_s),
            seconds(stream.max_age_s),
            percent(stream.missing_share),
        ]);
    }
    text += "\n";
    text += &table.text();
    for stream in &report.streams {
        text += &format!("\n{}\n", stream.name);
        // Missing frames stand above; here they would be the same for every channel.
        let shown: Vec<ChannelSummary> =
            stream.channels.iter().map(|channel| ChannelSummary { missing_share: 0.0, ..channel.clone() }).collect();
        text += &channels(&shown);
    }
    text
}

/// Columns as wide as they need, the first ones to the left, the others to the right.
struct TextTable {
    left: usize,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl TextTable {
    fn new(head: &[&str], left: usize) -> Self {
        Self { left, head: head.iter().map(ToString::to_string).collect(), rows: Vec::new() }
    }

    fn add(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    fn text(&self) -> String {
        let lines = || std::iter::once(&self.head).chain(&self.rows);
        let width = |column: usize| {
            lines().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let mut text = String::new();
        for line in lines() {
            let mut row = String::from(" ");
            for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
                let room = " ".repeat(width - cell.chars().count());
                row += &if column < self.left { format!(" {cell}{room}") } else { format!("  {room}{cell}") };
            }
            text += row.trim_end();
            text.push('\n');
        }
        text
    }
}

fn wrapped(head: &str, items: impl Iterator<Item = String>) -> String {
    let mut lines = vec![format!("  {head}")];
    for (i, item) in items.enumerate() {
        let last = lines.len() - 1;
        let comma = if i > 0 { ", " } else { "" };
        if i > 0 && lines[last].len() + item.len() + 2 > LINE {
            lines[last].push(',');
            lines.push(format!("  {}{item}", " ".repeat(head.len())));
        } else {
            lines[last] += &format!("{comma}{item}");
        }
    }
    lines.join("\n") + "\n"
}

/// As [`number`], but with the digits in which the values of a small range far from zero differ.
fn number_within(value: f64, range: f64) -> String {
    let decimals = 3 - range.log10().floor() as i32;
    if range > 0.0 && value.abs() > 100.0 * range && (0..=9).contains(&decimals) {
        format!("{value:.places$}", places = decimals as usize)
    } else {
        number(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_range_far_from_zero_keeps_its_digits() {
        assert_eq!(number_within(5_000_001.25, 6.0), "5000001.250");
        assert_eq!(number_within(1.5, 6.0), "1.5");
    }

    #[test]
    fn equal_neighbours_of_an_array_are_shown_as_a_range() {
        let channel = |label: &str, min| ChannelSummary {
            label: label.into(),
            count: 1,
            min,
            max: min,
            ..ChannelSummary::default()
        };
        let all = [
            channel("a[0]", 0.0),
            channel("a[1]", 0.0),
            channel("a[2]", 1.0),
            channel("b", 1.0),
            channel("b[name=x]", 1.0),
        ];
        let labels: Vec<String> = folded(&all.iter().collect::<Vec<_>>()).into_iter().map(|(label, _)| label).collect();
        assert_eq!(labels, ["a[0..1]", "a[2]", "b", "b[name=x]"]);
    }

    #[test]
    fn columns_are_aligned() {
        let mut table = TextTable::new(&["name", "n"], 1);
        table.add(vec!["a".into(), "1234".into()]);
        table.add(vec!["longer".into(), "5".into()]);
        assert_eq!(table.text(), "  name       n\n  a       1234\n  longer     5\n");
    }
}
