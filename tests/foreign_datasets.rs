//! Datasets that someone else's code wrote: pyarrow and h5py. Large packages, so no part of `make setup`:
//!
//! ```text
//! python3 -m venv data && data/bin/pip install pyarrow h5py
//! DF_DATASET_PYTHON=data/bin/python cargo test --test foreign_datasets -- --ignored
//! ```
#![cfg(all(feature = "lerobot", feature = "hdf5"))]

#[path = "recordings/mod.rs"]
mod recordings;

use std::path::Path;
use std::process::Command;

use df_planner::data::open_source;
use recordings::{COLUMNS, Contract};

type Row = ([f32; 4], [f32; 2]);

#[test]
#[ignore = "needs a Python with pyarrow and h5py: DF_DATASET_PYTHON"]
fn every_row_of_foreign_datasets_is_read() {
    let python = std::env::var_os("DF_DATASET_PYTHON").expect("DF_DATASET_PYTHON names a Python with pyarrow and h5py");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign_datasets.py");
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(python).arg(script).arg(folder.path()).output().expect("DF_DATASET_PYTHON starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let written: Vec<Vec<Row>> = serde_json::from_slice(&output.stdout).expect("the script prints JSON");
    let lengths: Vec<usize> = written.iter().map(Vec::len).collect();
    let contract = Contract::new(&[COLUMNS]);
    for name in ["v2.1", "v3.0", "d4rl.hdf5", "minari"] {
        let source = open_source(&folder.path().join(name)).unwrap();
        let (episodes, report) = contract.episodes(&*source).unwrap();
        assert_eq!((report.messages as usize, report.refused), (lengths.iter().sum(), 0), "{name}: {report:?}");
        // Observations, and where they have one the last command, stay fresh for 100 ms: two frames more.
        let expected: Vec<usize> = lengths.iter().map(|rows| rows + 2).collect();
        assert_eq!(episodes.iter().map(|episode| episode.frames.len()).collect::<Vec<_>>(), expected, "{name}");
        for (episode, rows) in episodes.iter().zip(&written) {
            for (k, (frame, (state, _))) in episode.frames.iter().zip(rows).enumerate() {
                assert_eq!(frame.values[2..], *state, "{name}, row {k}");
                // The action that led to observation k is that of row k - 1.
                assert!(
                    frame.present[0] == (k > 0) && (k == 0 || frame.values[..2] == rows[k - 1].1),
                    "{name}, row {k}"
                );
            }
        }
    }
}
