//! Charts of channels, and sheets of them as files.

use std::path::{Path, PathBuf};

use super::channel::ChannelSummary;
use super::format::number;
use super::quantile_sketch::Sketch;
use super::report::Pictures;
use crate::charts::{Bin, Chart, ChartError, Histogram, Mark, draw};

const BINS: usize = 60;
/// Charts of a sheet, and side by side.
const SHEET: usize = 24;
const COLUMNS: usize = 3;

/// How often the values of a channel occur. What lies far outside of its 1st to 99th percentile is left out, and the
/// title says so. None of a channel without values or that never changes: there is nothing to see.
pub(super) fn distribution(topic: &str, channel: &ChannelSummary, sketch: &Sketch) -> Option<Chart> {
    if channel.count == 0 || channel.is_constant() {
        return None;
    }
    let [low, _, median, _, high] = channel.percentiles;
    // Half of the middle range beyond it on either side.
    let beyond = (high - low) * 0.5;
    let (mut from, mut to) = (channel.min.max(low - beyond), channel.max.min(high + beyond));
    if from >= to {
        (from, to) = (channel.min, channel.max);
    }
    let is_cut = from > channel.min || to < channel.max;
    let width = (to - from) / BINS as f64;
    let counts = sketch.histogram(from, to, BINS);
    let bin =
        |(k, count): (usize, u64)| Bin { from: from + k as f64 * width, to: from + (k + 1) as f64 * width, count };
    let mark = |name: &str, value: f64| Mark { name: name.into(), value };
    let range =
        if is_cut { format!(" (of {} to {})", number(channel.min), number(channel.max)) } else { String::new() };
    Some(Chart::Histogram(Histogram {
        title: format!("{topic} {}{range}", channel.label).trim().into(),
        unit: channel.unit.clone(),
        bins: counts.into_iter().enumerate().map(bin).collect(),
        marks: vec![mark("1 %", low), mark("median", median), mark("99 %", high)],
    }))
}

impl Pictures {
    /// Draws them into a folder; tells the files.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<Vec<PathBuf>, ChartError> {
        let mut files = Vec::new();
        for (name, charts) in [("distributions", &self.distributions), ("episodes", &self.episodes)] {
            for (i, sheet) in charts.chunks(SHEET).enumerate() {
                let number = if charts.len() > SHEET { format!("_{}", i + 1) } else { String::new() };
                files.push(folder.join(format!("{name}{number}.png")));
                draw(sheet, COLUMNS, &files[files.len() - 1])?;
            }
        }
        Ok(files)
    }
}
