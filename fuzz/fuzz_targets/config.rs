//! A configuration, read by every crate that owns sections, and its contract bound to message types.
#![no_main]

use std::path::Path;

use df_core::{Contract, bind};
use df_data::DataConfig;
use df_planner_fuzz::limit_memory;
use df_planner_fuzz::recordings::definitions;
use df_planning::PlanningConfig;
use df_training::TrainerConfig;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    limit_memory();
    let (text, file) = (String::from_utf8_lossy(data), Path::new("c.yaml"));
    let _ = Contract::parse(&text, file);
    let _ = DataConfig::parse(&text, file);
    let _ = TrainerConfig::parse(&text, file);
    if let Ok(config) = PlanningConfig::parse(&text, file) {
        let _ = bind(&config.contract, &definitions());
    }
});
