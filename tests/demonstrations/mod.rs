//! Inputs for tests of the programs: a recorded bag, and the shipped configuration with changes.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::point_maze;

/// Records the expert into `demos` of a folder, in episodes of 15 s.
pub fn record(folder: &Path, minutes: &str) -> PathBuf {
    let bag = folder.join("demos");
    let recorded = Command::new(env!("CARGO_BIN_EXE_df_sim"))
        .args(["record", "--minutes", minutes, "--episode-s", "15", "--seed", "5", "--out"])
        .arg(&bag)
        .output()
        .unwrap();
    assert!(recorded.status.success(), "{}", String::from_utf8_lossy(&recorded.stderr));
    bag
}

/// Writes `config.yaml`: the shipped configuration with changes, each a dotted path and a value.
pub fn configure(folder: &Path, changes: &[(&str, &str)]) -> PathBuf {
    point_maze().with_all(changes).write(folder)
}
