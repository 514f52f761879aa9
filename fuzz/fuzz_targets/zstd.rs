//! Data packed by zstd: a whole file of either storage, or one message. The first byte chooses.
#![no_main]

use std::cell::LazyCell;

use df_planner_fuzz::recordings::{ODOM, START, write};
use df_planner_fuzz::{Scratch, limit_memory};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static SCRATCH: LazyCell<Scratch> = LazyCell::new(Scratch::new);
}

fuzz_target!(|data: &[u8]| {
    limit_memory();
    let Some((which, bytes)) = data.split_first() else { return };
    SCRATCH.with(|scratch| match which % 3 {
        0 => scratch.read(&scratch.write("bag.mcap.zstd", bytes)),
        1 => scratch.read(&scratch.write("bag.db3.zstd", bytes)),
        _ => {
            let _ = std::fs::remove_dir_all(scratch.at("bag"));
            write(&scratch.at("bag"), &[(ODOM, START, bytes.to_vec())]);
            scratch.read(&scratch.at("bag"));
        }
    });
});
