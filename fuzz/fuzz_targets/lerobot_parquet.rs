//! A Parquet file of a LeRobot dataset.
#![no_main]

use df_planner_fuzz::read_dataset_with;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| read_dataset_with("data/chunk-000/file-000.parquet", data));
