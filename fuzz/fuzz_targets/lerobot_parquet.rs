//! A Parquet file of a LeRobot dataset.
#![no_main]

use df_planner_fuzz::read_dataset_with;
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    // libFuzzer's own hook would end the run at a panic that `data` catches; one that it does not catch ends it still.
    init: std::panic::set_hook(Box::new(|_| {})),
    |data: &[u8]| read_dataset_with("data/chunk-000/file-000.parquet", data)
);
