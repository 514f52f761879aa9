//! What tests of the programs begin with: a recorded bag, and the shipped configuration with changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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

/// Writes `config.yaml`: the shipped configuration, each text replaced once.
pub fn configure(folder: &Path, changes: &[(&str, &str)]) -> PathBuf {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/point_maze.yaml");
    let mut text = fs::read_to_string(shipped).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "the shipped configuration no longer has `{from}`");
        text = text.replacen(from, to, 1);
    }
    let path = folder.join("config.yaml");
    fs::write(&path, text).unwrap();
    path
}
