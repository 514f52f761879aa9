//! The first values of each channel over time, for pictures.

use crate::charts::{Chart, Line, Panel};

/// Values that are kept of each channel.
const MAX_VALUES: usize = 2000;
/// Channels that are drawn of a topic.
const MAX_CHANNELS: usize = 24;

/// Lines of a chart, and how many times as high as the flattest of them it may be.
const MAX_LINES: usize = 6;
const FLAT: f64 = 20.0;

/// The begin of a topic.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traces {
    first_ns: Option<i64>,
    /// By channel: seconds since the first stamp, and the value.
    points: Vec<Vec<(f64, f64)>>,
}

impl Traces {
    #[inline]
    pub(crate) fn add(&mut self, channel: usize, stamp_ns: i64, value: f64) {
        if channel >= MAX_CHANNELS || self.points.get(channel).is_some_and(|points| points.len() >= MAX_VALUES) {
            return;
        }
        let first_ns = *self.first_ns.get_or_insert(stamp_ns);
        if self.points.len() <= channel {
            self.points.resize(channel + 1, Vec::new());
        }
        self.points[channel].push((stamp_ns.saturating_sub(first_ns) as f64 / 1e9, value));
    }

    /// One chart for each group of channels that have the same owner, as `pose.pose.position`; constant ones are left
    /// out.
    pub(crate) fn charts(&self, title: &str, labels: &[String]) -> Vec<Chart> {
        let mut owners: Vec<(String, Vec<Line>)> = Vec::new();
        for (label, points) in labels.iter().zip(&self.points) {
            let changes = points.windows(2).any(|pair| pair[0].1 != pair[1].1);
            if !changes || label.contains("[]") {
                continue;
            }
            let owner = label.rsplit_once('.').map_or("", |(owner, _)| owner);
            let owner = label.split_once('[').map_or(owner, |(owner, _)| owner);
            let title = [title, owner].join(" ").trim().to_string();
            let line = Line { name: label.clone(), points: points.clone() };
            match owners.iter_mut().find(|(known, _)| *known == title) {
                Some((_, lines)) => lines.push(line),
                None => owners.push((title, vec![line])),
            }
        }
        owners
            .into_iter()
            .flat_map(|(owner, lines)| over_time(&owner, title, "s since the first message", lines))
            .collect()
    }
}

/// Lines over time in as few charts as show them: at most six in one, and none so small beside another that it looks
/// flat. A line that stands alone has its name in the title, behind `alone`.
pub(super) fn over_time(title: &str, alone: &str, x_label: &str, lines: Vec<Line>) -> Vec<Chart> {
    let mut groups: Vec<(ValueRange, Vec<Line>)> = Vec::new();
    for line in lines {
        let span = ValueRange::of(&line);
        let fits =
            |(known, lines): &&mut (ValueRange, Vec<Line>)| lines.len() < MAX_LINES && known.with(span).shows_all();
        match groups.iter_mut().find(fits) {
            Some((known, lines)) => {
                *known = known.with(span);
                lines.push(line);
            }
            None => groups.push((span, vec![line])),
        }
    }
    let panel = |(_, lines): (ValueRange, Vec<Line>)| {
        let title = match &lines[..] {
            [line] => format!("{alone} {}", line.name),
            _ => title.into(),
        };
        Chart::Panel(Panel { title, x_label: x_label.into(), lines, ..Panel::default() })
    };
    groups.into_iter().map(panel).collect()
}

/// The values of lines: least, greatest, and how far those of the flattest one that changes reach.
#[derive(Clone, Copy, Debug)]
struct ValueRange {
    low: f64,
    high: f64,
    min: f64,
}

impl ValueRange {
    fn of(line: &Line) -> Self {
        let values = line.points.iter().map(|point| point.1).filter(|value| value.is_finite());
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        Self { low, high, min: if high > low { high - low } else { f64::INFINITY } }
    }

    fn with(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high), min: self.min.min(other.min) }
    }

    fn shows_all(self) -> bool {
        self.high - self.low <= FLAT * self.min || self.low > self.high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(ranges: &[(f64, f64)]) -> Vec<String> {
        let line = |(k, (low, high)): (usize, &(f64, f64))| Line {
            name: format!("l{k}"),
            points: vec![(0.0, *low), (1.0, *high)],
        };
        let charts = over_time("all", "one:", "s", ranges.iter().enumerate().map(line).collect());
        let title = |chart| match chart {
            Chart::Panel(panel) => format!("{} {}", panel.title, panel.lines.len()),
            Chart::Histogram(_) => String::new(),
        };
        charts.into_iter().map(title).collect()
    }

    #[test]
    fn a_line_that_would_look_flat_has_its_own_chart() {
        // 5 million, give or take 3, beside 0 to 10: all of it is a million times as high as the flattest.
        assert_eq!(titles(&[(0.0, 10.0), (5e6 - 3.0, 5e6 + 3.0), (2.0, 3.0)]), ["all 2", "one: l1 1"]);
        // 0 to 21 is more than 20 times 1.
        assert_eq!(titles(&[(0.0, 1.0), (0.0, 21.0)]), ["one: l0 1", "one: l1 1"]);
        // A constant one and one without a value stand with any other; a seventh line begins a new chart.
        assert_eq!(titles(&[(0.0, 1.0), (0.5, 0.5), (f64::NAN, f64::NAN)]), ["all 3"]);
        assert_eq!(titles(&[(0.0, 1.0); 8]), ["all 6", "all 2"]);
    }
}
