//! The `info.json` of a LeRobot dataset.
#![no_main]

use std::cell::LazyCell;

use df_planner_fuzz::{Scratch, limit_memory};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static SCRATCH: LazyCell<Scratch> = LazyCell::new(|| {
        let scratch = Scratch::new();
        scratch.dataset();
        scratch
    });
}

fuzz_target!(|data: &[u8]| {
    limit_memory();
    SCRATCH.with(|scratch| {
        scratch.write("dataset/meta/info.json", data);
        scratch.read(&scratch.at("dataset"));
    });
});
