//! The first values of each channel over time, for pictures.

use crate::charts::{Chart, Line, Panel};

/// Values that are kept of each channel.
const VALUES_MAX: usize = 2000;
/// Channels that are drawn of a topic, and lines of a chart.
const CHANNELS_MAX: usize = 24;
const LINES_MAX: usize = 6;

/// The begin of a topic.
#[derive(Clone, Debug, Default)]
pub struct Traces {
    first_ns: Option<i64>,
    /// By channel: seconds since the first stamp, and the value.
    points: Vec<Vec<(f64, f64)>>,
}

impl Traces {
    #[inline]
    pub fn add(&mut self, channel: usize, stamp_ns: i64, value: f64) {
        if channel >= CHANNELS_MAX || self.points.get(channel).is_some_and(|points| points.len() >= VALUES_MAX) {
            return;
        }
        let first_ns = *self.first_ns.get_or_insert(stamp_ns);
        if self.points.len() <= channel {
            self.points.resize(channel + 1, Vec::new());
        }
        self.points[channel].push((stamp_ns.saturating_sub(first_ns) as f64 / 1e9, value));
    }

    /// One chart for each group of channels that have the same owner, as `pose.pose.position`; constant ones are left out.
    pub fn charts(&self, title: &str, labels: &[String]) -> Vec<Chart> {
        let mut panels: Vec<Panel> = Vec::new();
        for (label, points) in labels.iter().zip(&self.points) {
            let changes = points.windows(2).any(|pair| pair[0].1 != pair[1].1);
            if !changes || label.contains("[]") {
                continue;
            }
            let owner = label.rsplit_once('.').map_or("", |(owner, _)| owner);
            let owner = label.split_once('[').map_or(owner, |(owner, _)| owner);
            let title = [title, owner].join(" ").trim().to_string();
            let line = Line { name: label.clone(), points: points.clone() };
            match panels.iter_mut().find(|panel| panel.title == title && panel.lines.len() < LINES_MAX) {
                Some(panel) => panel.lines.push(line),
                None => panels.push(Panel {
                    title,
                    x_label: "s since the first message".into(),
                    lines: vec![line],
                    ..Panel::default()
                }),
            }
        }
        for panel in &mut panels {
            if let [line] = &panel.lines[..] {
                panel.title = format!("{title} {}", line.name);
            }
        }
        panels.into_iter().map(Chart::Panel).collect()
    }
}
