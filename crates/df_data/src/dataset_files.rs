//! Which files mark a directory or a file as a dataset.

use std::path::Path;

/// Describes a LeRobot dataset, below its directory.
pub(crate) const LEROBOT_INFO: &str = "meta/info.json";
/// The file of a Minari dataset, below its directory.
pub(crate) const MINARI_FILE: &str = "data/main_data.hdf5";
const HDF5_EXTENSIONS: [&str; 3] = ["hdf5", "h5", "hdf"];

/// True for the directory of a LeRobot dataset.
pub(crate) fn is_lerobot(path: &Path) -> bool {
    path.join(LEROBOT_INFO).is_file()
}

/// True for an HDF5 file (D4RL, Minari) and for the directory of a Minari dataset.
pub(crate) fn is_hdf5(path: &Path) -> bool {
    let has_extension =
        || path.extension().is_some_and(|extension| HDF5_EXTENSIONS.iter().any(|known| extension == *known));
    (path.is_file() && has_extension()) || path.join(MINARI_FILE).is_file()
}
