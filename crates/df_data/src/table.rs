//! Datasets that are tables, as they are: columns and rows, whatever a contract makes of them.

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

/// A dataset of rows, as it is.
pub trait Table {
    /// `LeRobot` or `HDF5`, for people.
    fn kind(&self) -> &'static str;

    /// The columns of numbers.
    fn columns(&self) -> &[Column];

    /// Time between two rows, seconds; `None` where the dataset does not say.
    fn step_s(&self) -> Option<f64>;

    /// Gives every row with the values of these columns, or why a row cannot be used. Where the dataset does not say how far rows
    /// are apart, they are `step_ns` apart.
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
    /// The first one of its episode.
    pub starts_episode: bool,
    /// Since the start of the episode.
    pub stamp_ns: i64,
    /// It says another time than its number: its own is taken.
    pub off_grid: bool,
    /// By column; none where the column has ended.
    pub values: &'a [&'a [f64]],
    /// The file that holds it.
    pub file: &'a Path,
    /// In the file.
    pub number: u64,
}

impl TableRow<'_> {
    /// Where it is, for people.
    pub fn place(&self) -> String {
        format!("{}, row {}", self.file.display(), self.number)
    }
}
