//! A configuration, and the contract in it bound to message types.
#![no_main]

use std::path::Path;

use df_planner::config::Config;
use df_core::Contract;
use df_core::bind;
use df_planner_fuzz::limit_memory;
use df_planner_fuzz::recordings::definitions;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    limit_memory();
    let text = String::from_utf8_lossy(data);
    let _ = Contract::parse(&text, Path::new("c.yaml"));
    if let Ok(config) = Config::parse(&text, Path::new("c.yaml")) {
        let _ = bind(&config, &definitions());
    }
});
