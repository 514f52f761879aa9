//! An MCAP file.
#![no_main]

use std::cell::LazyCell;

use df_planner_fuzz::{Scratch, limit_memory};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static SCRATCH: LazyCell<Scratch> = LazyCell::new(Scratch::new);
}

fuzz_target!(|data: &[u8]| {
    limit_memory();
    SCRATCH.with(|scratch| scratch.read(&scratch.write("bag.mcap", data)));
});
