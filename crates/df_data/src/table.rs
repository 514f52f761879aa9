//! The trait of datasets that are tables: columns and rows, without a contract.

use std::path::Path;

use super::BagError;

/// A column of a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The name in the dataset.
    pub name: String,
    /// Values in each row.
    pub width: usize,
    /// Names of the values, where the dataset has them.
    pub labels: Vec<String>,
}

/// A dataset of rows and columns, read without a contract.
pub trait Table {
    /// The name of the format: `LeRobot` or `HDF5`.
    fn kind(&self) -> &'static str;

    /// The columns of numbers.
    fn columns(&self) -> &[Column];

    /// Time between two rows, seconds; `None` where the dataset does not say.
    fn step_s(&self) -> Option<f64>;

    /// Gives every row with the values of these columns, or why a row cannot be used. Where the dataset does not say
    /// how far rows are apart, they are `step_ns` apart.
    ///
    /// # Errors
    /// Damage; what came before it has been given.
    fn rows(
        &self,
        columns: &[Column],
        step_ns: i64,
        each: &mut dyn FnMut(Result<TableRow, String>),
    ) -> Result<(), BagError>;
}

/// A row of a dataset.
pub struct TableRow<'a> {
    /// True for the first row of an episode.
    pub starts_episode: bool,
    /// Time since the start of the episode, nanoseconds.
    pub stamp_ns: i64,
    /// Its timestamp differs from its number times the period; the timestamp is used.
    pub off_grid: bool,
    /// The values by column; empty where the column has ended.
    pub values: &'a [&'a [f64]],
    /// The file that holds it.
    pub file: &'a Path,
    /// Its index in the file.
    pub number: u64,
}

impl TableRow<'_> {
    /// Its file and index as text.
    pub fn place(&self) -> String {
        format!("{}, row {}", self.file.display(), self.number)
    }
}
