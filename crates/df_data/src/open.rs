//! Opens a path by what it holds: a bag, a LeRobot dataset, or an HDF5 dataset.

use std::path::Path;

use super::dataset_files::{is_hdf5, is_lerobot};
use super::storage::{self, SplitBag};
use super::{Bag, BagError, SampleSource, Table};

/// Opens demonstrations of any kind that is known: a bag (a directory of rosbag2 or one of its files), a LeRobot
/// dataset (its directory), a D4RL or Minari file (or Minari's directory).
///
/// # Errors
/// No such path; nothing known; something that this program was built without.
pub fn open_source(path: &Path) -> Result<Box<dyn SampleSource>, BagError> {
    Ok(match Known::open(path)? {
        Known::Bag(bag) => Box::new(bag),
        #[cfg(feature = "formats")]
        Known::LeRobot(dataset) => Box::new(dataset),
        #[cfg(feature = "formats")]
        Known::Hdf5(dataset) => Box::new(dataset),
    })
}

/// Demonstrations as they are, without a contract.
pub enum Contents {
    /// Messages by topic.
    Bag(Box<dyn Bag>),
    /// Rows by column.
    Table(Box<dyn Table>),
}

/// Opens what [`open_source`] opens, to look at all of it.
///
/// # Errors
/// As [`open_source`].
pub fn open_contents(path: &Path) -> Result<Contents, BagError> {
    Ok(match Known::open(path)? {
        Known::Bag(bag) => Contents::Bag(Box::new(bag)),
        #[cfg(feature = "formats")]
        Known::LeRobot(dataset) => Contents::Table(Box::new(dataset)),
        #[cfg(feature = "formats")]
        Known::Hdf5(dataset) => Contents::Table(Box::new(dataset)),
    })
}

enum Known {
    Bag(SplitBag),
    #[cfg(feature = "formats")]
    LeRobot(super::lerobot::LeRobot),
    #[cfg(feature = "formats")]
    Hdf5(super::hdf5::Hdf5),
}

impl Known {
    fn open(path: &Path) -> Result<Self, BagError> {
        if is_lerobot(path) {
            #[cfg(feature = "formats")]
            return Ok(Self::LeRobot(super::lerobot::LeRobot::open(path)?));
            #[cfg(not(feature = "formats"))]
            return Err(BagError::NotBuilt { path: path.into(), what: "a LeRobot dataset", feature: "formats" });
        }
        if is_hdf5(path) {
            #[cfg(feature = "formats")]
            return Ok(Self::Hdf5(super::hdf5::Hdf5::open(path)?));
            #[cfg(not(feature = "formats"))]
            return Err(BagError::NotBuilt { path: path.into(), what: "an HDF5 dataset", feature: "formats" });
        }
        Ok(Self::Bag(storage::split_bag(path)?))
    }
}
