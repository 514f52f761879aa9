//! HDF5 datasets of D4RL (one table, episodes end where `terminals` or `timeouts` say so) and Minari (one group
//! `episode_N` each).
//!
//! Row k holds the observation of its time and the action that was taken then. The files do not say how far rows are
//! apart: they are taken to be one tick of the contract apart. Columns are dataset names below the table, such as
//! `infos/qpos`.

use std::path::{Path, PathBuf};

use hdf5_pure::{DType, Error, File, Group};

use super::bag::Location;
use super::column_map::{ColumnMap, DatasetColumns};
use super::dataset_files::MINARI_FILE;
use super::natural_order::natural;
use super::table::{Column, Table, TableRow};
use super::{BagError, EpisodeReport, SampleSource, SourceEvent};
use crate::DataConfig;
use df_core::Bound;

/// The names of Minari's groups start with this.
const EPISODE: &str = "episode_";
/// Where D4RL says that an episode ends with this row.
const ENDS: [&str; 2] = ["terminals", "timeouts"];
/// Values of one column that are read at a time.
const BATCH: u64 = 1 << 16;
/// How deep datasets are looked for, in groups.
const MAX_DEPTH: usize = 3;
/// Wider elements, such as strings, are no numbers.
const MAX_NUMBER: u64 = 8;
/// A larger chunk, unpacked, is refused, bytes: h5py makes chunks of up to 1 MiB by itself.
const MAX_CHUNK: u64 = 64 << 20;

/// A D4RL or Minari file.
pub(crate) struct Hdf5 {
    path: PathBuf,
    /// Of the file, bytes.
    length: u64,
    /// Minari's groups in order; empty: the file is one table.
    episodes: Vec<String>,
    columns: Vec<Column>,
    /// Datasets that cannot be read, and why: nobody may want them.
    unreadable: Vec<(String, String)>,
}

impl Hdf5 {
    /// Reads what the file holds. `path`: the file, or Minari's directory.
    ///
    /// # Errors
    /// No HDF5 file, or one without a table.
    pub(crate) fn open(path: &Path) -> Result<Self, BagError> {
        let path = if path.is_dir() { path.join(MINARI_FILE) } else { path.into() };
        let unreadable = |cause| BagError::Unreadable { path: path.clone(), cause };
        let length = std::fs::File::open(&path).and_then(|file| file.metadata()).map_err(unreadable)?.len();
        let not_a_table = |error: Error| BagError::NotABag { path: path.clone(), reason: error.to_string() };
        let file = File::open_streaming(&path).map_err(not_a_table)?;
        let mut episodes = file.root().groups().map_err(not_a_table)?;
        episodes.retain(|name| name.starts_with(EPISODE));
        episodes.sort_by_key(|name| natural(name));
        let table = match episodes.first() {
            Some(first) => file.group(first).map_err(not_a_table)?,
            None => file.root(),
        };
        let (mut columns, mut unreadable) = (Vec::new(), Vec::new());
        columns_of((&table, length), "", MAX_DEPTH, (&mut columns, &mut unreadable)).map_err(not_a_table)?;
        if columns.is_empty() {
            let reason = format!("it holds no datasets of numbers, neither below `{EPISODE}0` nor at the root");
            return Err(BagError::NotABag { path, reason });
        }
        Ok(Self { path, length, episodes, columns, unreadable })
    }

    fn damaged(&self, row: u64, reason: impl ToString) -> BagError {
        BagError::Damaged { path: self.path.clone(), at: Location::Row(row), reason: reason.to_string() }
    }

    /// Reads one table. `row`: rows of earlier ones.
    fn table(
        &self,
        table: &Group,
        (wanted, step_ns, row): (&[Column], i64, u64),
        each: &mut dyn FnMut(Result<TableRow, String>),
    ) -> Result<u64, BagError> {
        let open =
            |name: &str| NumberDataset::open((table, self.length), name).map_err(|reason| self.damaged(row, reason));
        let columns = wanted.iter().map(|column| open(&column.name)).collect::<Result<Vec<_>, _>>()?;
        // By name, not by column: one that cannot be read would otherwise join all episodes without a word.
        let there = if self.episodes.is_empty() { table.datasets() } else { Ok(Vec::new()) };
        let there = there.map_err(|error| self.damaged(row, error))?;
        let ends = ENDS.iter().filter(|name| there.iter().any(|there| there == **name));
        let ends = ends.map(|name| open(name)).collect::<Result<Vec<_>, _>>()?;
        let rows = columns.iter().map(|column| column.rows).max().unwrap_or(0);
        let widest = columns.iter().map(|column| column.width as u64).max().unwrap_or(1).max(1);
        let (step, mut in_episode) = ((BATCH / widest).max(1), 0);
        for start in (0..rows).step_by(step as usize) {
            let read =
                |column: &NumberDataset| column.read(start, step).map_err(|reason| self.damaged(row + start, reason));
            let values = columns.iter().map(read).collect::<Result<Vec<_>, _>>()?;
            let over = ends.iter().map(read).collect::<Result<Vec<_>, _>>()?;
            for i in 0..step.min(rows - start) as usize {
                let widths = columns.iter().map(|column| column.width);
                let one =
                    values.iter().zip(widths).map(|(v, width)| v.get(i * width..(i + 1) * width).unwrap_or_default());
                let one: Vec<&[f64]> = one.collect();
                each(Ok(TableRow {
                    starts_episode: in_episode == 0,
                    stamp_ns: step_ns.saturating_mul(in_episode),
                    off_grid: false,
                    values: &one,
                    file: &self.path,
                    number: row + start + i as u64,
                }));
                let is_last = over.iter().any(|over| over.get(i).is_some_and(|over| *over != 0.0));
                in_episode = if is_last { 0 } else { in_episode + 1 };
            }
        }
        Ok(row + rows)
    }
}

impl SampleSource for Hdf5 {
    fn has_episodes(&self) -> bool {
        true
    }

    fn samples(
        &self,
        config: &DataConfig,
        bound: &Bound,
        report: &mut EpisodeReport,
        to: &mut dyn FnMut(SourceEvent),
    ) -> Result<(), BagError> {
        let (columns, unreadable) = (&config.columns.hdf5, &self.unreadable);
        let dataset = DatasetColumns { kind: "hdf5", columns, has: &self.columns, unreadable };
        let map = ColumnMap::new(config, bound, &dataset, report)?;
        report.notices.push(format!(
            "HDF5 rows carry no time: taken to be one tick of the contract apart ({} s)",
            config.contract.period_s
        ));
        map.read(self, config.contract.period_ns(), report, to, &mut |_| {})
    }
}

impl Table for Hdf5 {
    fn kind(&self) -> &'static str {
        "HDF5"
    }

    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn step_s(&self) -> Option<f64> {
        None
    }

    fn rows(
        &self,
        columns: &[Column],
        step_ns: i64,
        each: &mut dyn FnMut(Result<TableRow, String>),
    ) -> Result<(), BagError> {
        let file = File::open_streaming(&self.path).map_err(|error| self.damaged(0, error))?;
        if self.episodes.is_empty() {
            self.table(&file.root(), (columns, step_ns, 0), each)?;
        }
        let mut row = 0;
        for name in &self.episodes {
            let group = file.group(name).map_err(|error| self.damaged(row, error))?;
            row = self.table(&group, (columns, step_ns, row), each)?;
        }
        Ok(())
    }
}

/// The datasets of numbers below a group, by their path, and those that cannot be read. `length`: of the file.
fn columns_of(
    (group, length): (&Group, u64),
    prefix: &str,
    depth: usize,
    (columns, unreadable): (&mut Vec<Column>, &mut Vec<(String, String)>),
) -> Result<(), Error> {
    for name in group.datasets()? {
        let path = format!("{prefix}{name}");
        match NumberDataset::open((group, length), &name) {
            Ok(numbers) => columns.push(Column { name: path, width: numbers.width, labels: Vec::new() }),
            Err(reason) => unreadable.push((path, reason)),
        }
    }
    if depth > 0 {
        for name in group.groups()?.iter().filter(|name| !name.starts_with(EPISODE)) {
            let within = (&group.group(name)?, length);
            columns_of(within, &format!("{prefix}{name}/"), depth - 1, (&mut *columns, &mut *unreadable))?;
        }
    }
    Ok(())
}

/// A dataset of numbers: rows, each of so many values.
struct NumberDataset {
    dataset: hdf5_pure::Dataset,
    rows: u64,
    width: usize,
    is_flag: bool,
}

impl NumberDataset {
    /// `length`: of the file.
    fn open((group, length): (&Group, u64), name: &str) -> Result<Self, String> {
        let text = |error: Error| format!("`{name}`: {error}");
        let dataset = group.dataset(name).map_err(text)?;
        let (shape, kind) = (dataset.shape().map_err(text)?, dataset.dtype().map_err(text)?);
        let size = dataset.element_size().map_err(text)?;
        let is_flag = match kind {
            DType::F32 | DType::F64 | DType::I8 | DType::I16 | DType::I32 | DType::I64 => false,
            DType::U8 | DType::U16 | DType::U32 | DType::U64 => false,
            // What h5py makes of booleans.
            DType::Enum(_) if size == 1 => true,
            _ => return Err(format!("`{name}`: expected numbers, got {kind}")),
        };
        let (rows, inner) = shape.split_first().ok_or_else(|| format!("`{name}`: expected rows, got one value"))?;
        let width = inner.iter().try_fold(1u64, |width, &length| width.checked_mul(length));
        let width = width.filter(|width| *width <= BATCH && size <= MAX_NUMBER);
        let width = width.ok_or_else(|| format!("`{name}`: expected at most {BATCH} numbers a row, got {inner:?}"))?;
        let numbers = Self { dataset, rows: *rows, width: width as usize, is_flag };
        // Storage that was never written reads as zeros: without this, a damaged length would read as a day of them.
        match numbers.dataset.chunk_shape().map_err(text)? {
            None => Ok(numbers),
            Some(chunk) => {
                let chunks = numbers.dataset.chunks().map_err(text)?;
                // Memory is taken by these sizes, before anything is read.
                let is_there = |at: u64, size: u64| at.checked_add(size).is_some_and(|end| end <= length);
                if let Some(lost) = chunks.iter().find(|chunk| !is_there(chunk.address, chunk.storage_size)) {
                    let (at, size) = (lost.address, lost.storage_size);
                    return Err(format!("`{name}`: a chunk of {size} bytes at {at} in a file of {length} bytes"));
                }
                let in_chunk = chunk.iter().try_fold(1u64, |all, &length| all.checked_mul(length));
                let in_chunk = in_chunk.filter(|count| count.saturating_mul(size) <= MAX_CHUNK);
                let in_chunk = in_chunk
                    .ok_or_else(|| format!("`{name}`: expected chunks of at most {MAX_CHUNK} bytes, got {chunk:?}"))?;
                let stored = in_chunk.saturating_mul(chunks.len() as u64);
                let stated = rows.saturating_mul(width);
                if stated > stored {
                    return Err(format!("`{name}`: expected {stated} values, at most {stored} are stored"));
                }
                Ok(numbers)
            }
        }
    }

    /// The values of rows from `start`, one row after the other; fewer where the dataset ends.
    fn read(&self, start: u64, rows: u64) -> Result<Vec<f64>, String> {
        if start >= self.rows {
            return Ok(Vec::new());
        }
        let text = |error: Error| error.to_string();
        if self.is_flag {
            let bytes = self.dataset.read_raw_rows(start, rows).map_err(text)?;
            return Ok(bytes.into_iter().map(f64::from).collect());
        }
        self.dataset.read_f64_rows(start, rows).map_err(text)
    }
}
