//! The rows of a Parquet file, a few columns of numbers at a time. Only what LeRobot needs: scalars and lists of one
//! level.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, FileReader, Length, RowGroupReader, SerializedFileReader};
use parquet::schema::types::SchemaDescriptor;

use super::bag::Location;
use super::{BagError, table::Column};

/// Rows that are read at a time.
const BATCH: usize = 1024;

/// Calls `each` with the number of every row and its values by column.
///
/// # Errors
/// No Parquet file, a column that is not there or not of numbers, damage; what came before it has been given.
pub(crate) fn read_rows(path: &Path, columns: &[Column], each: &mut dyn FnMut(u64, &[&[f64]])) -> Result<(), BagError> {
    let source = File::open(path).map_err(|cause| BagError::Unreadable { path: path.into(), cause })?;
    let length = source.metadata().map_err(|cause| BagError::Unreadable { path: path.into(), cause })?.len();
    let mut row = 0;
    let damaged = |row: u64, reason: String| BagError::Damaged { path: path.into(), at: Location::Row(row), reason };
    let broken = |row: u64, error: ParquetError| damaged(row, error.to_string());
    let reader = contained(|| SerializedFileReader::new(Ending(source))).map_err(|error| broken(0, error))?;
    let schema = reader.metadata().file_metadata().schema_descr();
    let places: Result<Vec<usize>, String> = columns.iter().map(|column| leaf(schema, &column.name)).collect();
    let places = places.map_err(|reason| BagError::NotABag { path: path.into(), reason })?;
    for group in 0..reader.num_row_groups() {
        let group = contained(|| reader.get_row_group(group)).map_err(|error| broken(row, error))?;
        let leaves: Result<Vec<Leaf>, ParquetError> =
            places.iter().map(|&place| contained(|| Leaf::new(&*group, place, length))).collect();
        let mut leaves = leaves.map_err(|error| broken(row, error))?;
        loop {
            let mut rows = None;
            for (leaf, column) in leaves.iter_mut().zip(columns) {
                let got = contained(|| leaf.read()).map_err(|error| broken(row, error))?;
                if *rows.get_or_insert(got) != got {
                    let reason = format!("`{}` has {got} rows where others have {rows:?}", column.name);
                    return Err(damaged(row, reason));
                }
            }
            let rows = rows.unwrap_or(0);
            if rows == 0 {
                break;
            }
            for i in 0..rows {
                let values: Vec<&[f64]> = leaves.iter().map(|leaf| leaf.row(i)).collect();
                each(row, &values);
                row += 1;
            }
        }
    }
    Ok(())
}

/// The leaf below a root column. By the root's name alone: the name may have dots.
fn leaf(schema: &SchemaDescriptor, name: &str) -> Result<usize, String> {
    let is = |i: &usize| schema.column(*i).path().parts().first().is_some_and(|root| root == name);
    let mut leaves = (0..schema.num_columns()).filter(is);
    match (leaves.next(), leaves.next()) {
        (Some(leaf), None) if schema.column(leaf).max_rep_level() <= 1 => Ok(leaf),
        (Some(_), _) => Err(format!("the column `{name}` is no number and no list of numbers")),
        (None, _) => Err(format!("the column `{name}` is missing")),
    }
}

/// One column of a group of rows.
struct Leaf {
    reader: ColumnReader,
    definition_max: i16,
    repeats: bool,
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
    values: Vec<f64>,
    /// Where the values of each row end.
    ends: Vec<usize>,
}

impl Leaf {
    /// `length`: of the file.
    fn new(group: &dyn RowGroupReader, place: usize, length: u64) -> Result<Self, ParquetError> {
        let column = group.metadata().column(place);
        // The crate panics on negative numbers.
        let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
        let end = u64::try_from(start).ok().zip(u64::try_from(column.compressed_size()).ok());
        if end.and_then(|(start, size)| start.checked_add(size)).is_none_or(|end| end > length) {
            let (name, size) = (column.column_path().string(), column.compressed_size());
            let got = format!("`{name}` has {size} bytes at {start} in a file of {length} bytes");
            return Err(ParquetError::General(got));
        }
        let descriptor = column.column_descr_ptr();
        Ok(Self {
            reader: group.get_column_reader(place)?,
            definition_max: descriptor.max_def_level(),
            repeats: descriptor.max_rep_level() > 0,
            definitions: Vec::new(),
            repetitions: Vec::new(),
            values: Vec::new(),
            ends: Vec::new(),
        })
    }

    fn row(&self, i: usize) -> &[f64] {
        let start = i.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.values[start..self.ends[i]]
    }

    /// Reads the next rows; tells how many.
    fn read(&mut self) -> Result<usize, ParquetError> {
        self.values.clear();
        self.ends.clear();
        self.definitions.clear();
        self.repetitions.clear();
        let (levels, values) = (&mut self.definitions, &mut self.values);
        let repetitions = &mut self.repetitions;
        match &mut self.reader {
            ColumnReader::FloatColumnReader(reader) => fill(reader, levels, repetitions, values, |v| f64::from(*v)),
            ColumnReader::DoubleColumnReader(reader) => fill(reader, levels, repetitions, values, |v| *v),
            ColumnReader::Int32ColumnReader(reader) => fill(reader, levels, repetitions, values, |v| f64::from(*v)),
            ColumnReader::Int64ColumnReader(reader) => fill(reader, levels, repetitions, values, |v| *v as f64),
            ColumnReader::BoolColumnReader(reader) => {
                fill(reader, levels, repetitions, values, |v| f64::from(u8::from(*v)))
            }
            _ => Err(ParquetError::General("expected a column of numbers".into())),
        }?;
        if self.definition_max == 0 {
            self.ends.extend(1..=self.values.len());
        } else {
            let mut value = 0;
            for (i, level) in self.definitions.iter().enumerate() {
                let starts = !self.repeats || self.repetitions.get(i).is_none_or(|level| *level == 0);
                if starts && i > 0 {
                    self.ends.push(value);
                }
                value += usize::from(*level == self.definition_max);
            }
            if !self.definitions.is_empty() {
                self.ends.push(value);
            }
            if value != self.values.len() {
                let got = self.values.len();
                return Err(ParquetError::General(format!("expected {value} values by the levels, got {got}")));
            }
        }
        Ok(self.ends.len())
    }
}

/// A file whose end is an error: at it the crate goes on to skip what a damaged header says, up to 2^31 things in each
/// of many lists.
struct Ending(File);

impl Length for Ending {
    fn len(&self) -> u64 {
        Length::len(&self.0)
    }
}

impl ChunkReader for Ending {
    type T = BufReader<Self>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let mut file = self.0.try_clone()?;
        file.seek(SeekFrom::Start(start))?;
        Ok(BufReader::new(Self(file)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<bytes::Bytes, ParquetError> {
        self.0.get_bytes(start, length)
    }
}

impl Read for Ending {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let got = self.0.read(into)?;
        if got == 0 && !into.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file ends within a page"));
        }
        Ok(got)
    }
}

/// Runs what the crate does with the file. It panics on some damage, and keeps nothing that another file would meet.
fn contained<T>(run: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|_| Err(ParquetError::General("damage on which the crate `parquet` panicked".into())))
}

fn fill<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    definitions: &mut Vec<i16>,
    repetitions: &mut Vec<i16>,
    values: &mut Vec<f64>,
    number: impl Fn(&T::T) -> f64,
) -> Result<(), ParquetError> {
    let mut read = Vec::new();
    reader.read_records(BATCH, Some(definitions), Some(repetitions), &mut read)?;
    values.extend(read.iter().map(number));
    Ok(())
}
