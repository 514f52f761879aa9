//! The `metadata.yaml` beside a bag.
#![no_main]

use std::cell::LazyCell;

use df_planner_fuzz::recordings::{drive, write};
use df_planner_fuzz::{Scratch, limit_memory};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static SCRATCH: LazyCell<Scratch> = LazyCell::new(|| {
        let scratch = Scratch::new();
        write(&scratch.at("bag"), &drive(3));
        scratch
    });
}

fuzz_target!(|data: &[u8]| {
    limit_memory();
    SCRATCH.with(|scratch| {
        scratch.write("bag/metadata.yaml", data);
        scratch.read(&scratch.at("bag"));
    });
});
