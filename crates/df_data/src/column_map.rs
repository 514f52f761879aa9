//! Datasets that are tables: which columns are which channels of the contract, and rows to samples.

use super::table::{Column, Table, TableRow};
use super::{BagError, EpisodeReport, SourceEvent, StreamId};
use crate::Columns;
use crate::DataConfig;
use df_core::Bound;
use df_core::{ACTION, ConfigError};
use df_message::Extractor;

/// A wider column is refused.
const MAX_WIDTH: usize = 1 << 16;

/// What a kind of dataset is called in the configuration, and what this one has.
pub(crate) struct DatasetColumns<'a> {
    pub kind: &'static str,
    pub columns: &'a Columns,
    pub has: &'a [Column],
    /// Columns that cannot be read, and why.
    pub unreadable: &'a [(String, String)],
}

impl DatasetColumns<'_> {
    fn pick(&self, text: &str) -> Result<(&Column, std::ops::Range<usize>), String> {
        let named = |name: &str| text.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('['));
        match self.unreadable.iter().find(|(name, _)| named(name)) {
            Some((_, reason)) => Err(format!("cannot be read: {reason}")),
            None => pick(text, self.has),
        }
    }
}

/// The columns that the contract needs.
#[derive(Debug, PartialEq)]
pub(crate) struct ColumnMap {
    columns: Vec<Column>,
    streams: Vec<StreamColumns>,
}

/// Where the channels of a stream lie.
#[derive(Debug, PartialEq)]
struct StreamColumns {
    stream: StreamId,
    /// Column of the selection, and value in it.
    values: Vec<(usize, usize)>,
    /// Variances that the stream's samples have: a dataset has none, its samples are as exact as the contract says
    /// otherwise.
    variances: usize,
}

impl ColumnMap {
    /// Looks the configured columns up in a dataset.
    ///
    /// # Errors
    /// A column that the dataset lacks, a group without columns, a count that is not the group's; with the
    /// configuration's file, line and key.
    pub(crate) fn new(
        config: &DataConfig,
        bound: &Bound,
        dataset: &DatasetColumns,
        report: &mut EpisodeReport,
    ) -> Result<Self, ConfigError> {
        let mut selection = Self { columns: Vec::new(), streams: Vec::new() };
        selection.add(config, dataset, (ACTION, StreamId::Action, true), &bound.action, report)?;
        for (i, (group, extractor)) in config.contract.observations.iter().zip(&bound.observations).enumerate() {
            let stream = (group.name.as_str(), StreamId::Observation(i), group.required);
            selection.add(config, dataset, stream, extractor, report)?;
        }
        Ok(selection)
    }

    fn add(
        &mut self,
        config: &DataConfig,
        dataset: &DatasetColumns,
        (name, stream, required): (&str, StreamId, bool),
        extractor: &Extractor,
        report: &mut EpisodeReport,
    ) -> Result<(), ConfigError> {
        let kind = dataset.kind;
        let Some(wanted) = dataset.columns.get(name) else {
            if !required {
                report.notices.push(format!("group `{name}` is missing throughout: columns.{kind} does not name it"));
                return Ok(());
            }
            let rule = format!("must say which columns `{name}` has; the dataset has {}", list(dataset.has));
            return Err(config.contract.refuse(&format!("columns.{kind}"), format!("no `{name}`"), rule));
        };
        let mut values = Vec::new();
        for (i, text) in wanted.iter().enumerate() {
            let (column, range) = dataset
                .pick(text)
                .map_err(|rule| config.contract.refuse(&format!("columns.{kind}.{name}[{i}]"), text, rule))?;
            let place = self.columns.iter().position(|known| known == column).unwrap_or_else(|| {
                self.columns.push(column.clone());
                self.columns.len() - 1
            });
            values.extend(range.map(|value| (place, value)));
        }
        let (expected, got) = (extractor.labels().len(), values.len());
        if got != expected {
            let rule = format!("must give {expected} values, one for each of {:?}; got {got}", extractor.labels());
            return Err(config.contract.refuse(&format!("columns.{kind}.{name}"), format!("{wanted:?}"), rule));
        }
        self.streams.push(StreamColumns { stream, values, variances: extractor.variances() });
        Ok(())
    }

    /// Reads every row of a table and gives its samples. `on_row` sees each usable row first. `step_ns` separates rows
    /// without a time, nanoseconds.
    ///
    /// # Errors
    /// Damage of the table; earlier samples have been given.
    pub(crate) fn read(
        &self,
        table: &dyn Table,
        step_ns: i64,
        report: &mut EpisodeReport,
        to: &mut dyn FnMut(SourceEvent),
        on_row: &mut dyn FnMut(&TableRow),
    ) -> Result<(), BagError> {
        let mut sample = Vec::new();
        table.rows(&self.columns, step_ns, &mut |row| {
            report.messages += 1;
            let row = match row {
                Ok(row) => row,
                Err(reason) => return report.refuse(reason),
            };
            on_row(&row);
            if row.starts_episode {
                to(SourceEvent::Break);
            }
            if let Err(reason) = self.give(&row, &mut sample, to) {
                report.refuse(format!("{}: {reason}", row.place()));
            }
        })
    }

    /// Gives the samples of a row of these columns.
    ///
    /// # Errors
    /// A row that is not as wide as its column or has a value that is no finite f32: the reason, after the samples of
    /// other streams have been given.
    fn give(
        &self,
        TableRow { stamp_ns, values: row, .. }: &TableRow,
        sample: &mut Vec<f64>,
        to: &mut dyn FnMut(SourceEvent),
    ) -> Result<(), String> {
        let mut outcome = Ok(());
        for StreamColumns { stream, values, variances } in &self.streams {
            if values.iter().any(|&(column, _)| row[column].is_empty()) {
                continue;
            }
            sample.clear();
            for &(column, value) in values {
                let Column { name, width, .. } = &self.columns[column];
                match row[column].get(value) {
                    Some(got) if row[column].len() == *width && (*got as f32).is_finite() => sample.push(*got),
                    Some(got) if row[column].len() == *width => {
                        outcome = Err(format!("`{name}[{value}]`: expected a finite number (as f32), got {got}"));
                    }
                    _ => outcome = Err(format!("`{name}`: expected {width} values, got {}", row[column].len())),
                }
            }
            if sample.len() == values.len() {
                sample.resize(values.len() + variances, 0.0);
                to(SourceEvent::Sample { stream: *stream, stamp_ns: *stamp_ns, values: sample });
            }
        }
        outcome
    }
}

/// The column and the values in it that an expression names: `NAME`, `NAME[2]`, `NAME[0:2]` or `NAME[name=x]`.
fn pick<'c>(text: &str, has: &'c [Column]) -> Result<(&'c Column, std::ops::Range<usize>), String> {
    let (name, inside) = match text.strip_suffix(']').and_then(|text| text.rsplit_once('[')) {
        Some((name, inside)) => (name, Some(inside)),
        None => (text, None),
    };
    let column = has.iter().find(|column| column.name == name);
    let column = column.ok_or_else(|| format!("must be a column of the dataset, which has {}", list(has)))?;
    let width = column.width;
    if width == 0 || width > MAX_WIDTH {
        return Err(format!("must be a column of 1 to {MAX_WIDTH} values; this one has {width}"));
    }
    let number = |text: &str| text.trim().parse::<usize>().ok();
    let range = match inside {
        None => Some(0..width),
        Some(inside) => match (inside.strip_prefix("name="), inside.split_once(':')) {
            (Some(label), _) => {
                let known = column.labels.iter().position(|known| known == label);
                let place = known.ok_or_else(|| format!("must name one of {:?}", column.labels))?;
                Some(place..place + 1)
            }
            (None, Some((from, to))) => number(from).zip(number(to)).map(|(from, to)| from..to),
            (None, None) => number(inside).and_then(|place| Some(place..place.checked_add(1)?)),
        },
    };
    let range = range.ok_or("must be NAME, NAME[i], NAME[from:to] or NAME[name=x]")?;
    if range.is_empty() || range.end > width {
        return Err(format!("must lie within the {width} values of the column"));
    }
    Ok((column, range))
}

/// Columns for people.
fn list(columns: &[Column]) -> String {
    let one = |column: &Column| {
        let labels = if column.labels.is_empty() { String::new() } else { format!(": {}", column.labels.join(", ")) };
        format!("`{}` ({}{labels})", column.name, column.width)
    };
    columns.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_picked_by_name_place_range_and_label() {
        let column = |name: &str, width, labels: &[&str]| Column {
            name: name.into(),
            width,
            labels: labels.iter().map(ToString::to_string).collect(),
        };
        let has = [column("observation.state", 3, &["x", "y", "grip.pos"]), column("infos/qpos", 4, &[])];
        let picked = |text| pick(text, &has).map(|(column, range)| (column.name.as_str(), range));
        assert_eq!(picked("observation.state"), Ok(("observation.state", 0..3)));
        assert_eq!(picked("observation.state[1]"), Ok(("observation.state", 1..2)));
        assert_eq!(picked("observation.state[name=grip.pos]"), Ok(("observation.state", 2..3)));
        assert_eq!(picked("infos/qpos[1:3]"), Ok(("infos/qpos", 1..3)));
        for (text, rule) in [
            ("action", "has `observation.state` (3: x, y, grip.pos), `infos/qpos` (4)"),
            ("infos/qpos[4]", "within the 4 values"),
            ("infos/qpos[2:2]", "within the 4 values"),
            ("infos/qpos[-1]", "must be NAME"),
            ("infos/qpos[18446744073709551615]", "must be NAME"),
            ("observation.state[name=z]", "must name one of"),
        ] {
            let refused = picked(text).unwrap_err();
            assert!(refused.contains(rule), "{text}: {refused}");
        }
    }
}
