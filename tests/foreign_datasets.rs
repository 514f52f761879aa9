//! Datasets that pyarrow and h5py wrote. `make setup-tests` installs these packages, or `DF_DATASET_PYTHON` names a
//! Python that has them.
#![cfg(feature = "formats")]

#[path = "recordings/mod.rs"]
mod recordings;
mod support;

use std::path::Path;
use std::process::Command;

use df_data::open_source;
use recordings::{COLUMNS, Contract};
use support::tools::{DATASETS, require_tool};

type Row = ([f32; 4], [f32; 2]);

#[test]
fn every_row_of_datasets_that_pyarrow_and_h5py_wrote_is_read() {
    let Some(python) = require_tool(&DATASETS) else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign_datasets.py");
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(python).arg(script).arg(folder.path()).output().expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let written: Vec<Vec<Row>> = serde_json::from_slice(&output.stdout).expect("the script prints JSON");
    let lengths: Vec<usize> = written.iter().map(Vec::len).collect();
    let contract = Contract::new(&[COLUMNS]);
    for name in ["v2.1", "v3.0", "d4rl.hdf5", "minari"] {
        let source = open_source(&folder.path().join(name)).unwrap();
        let (episodes, report) = contract.episodes(&*source).unwrap();
        assert_eq!((report.messages as usize, report.refused), (lengths.iter().sum(), 0), "{name}: {report:?}");
        // Observations, and the last command where there is one, are valid for 100 ms: two more frames.
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
