//! A Parquet file of a LeRobot dataset.
#![no_main]

use df_planner_fuzz::read_dataset_with;
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    // The hook of libFuzzer would end the run at a panic that df_data catches. A panic that it does not catch still
    // ends it.
    init: std::panic::set_hook(Box::new(|_| {})),
    |data: &[u8]| read_dataset_with("data/chunk-000/file-000.parquet", data)
);
