//! Memory that a training step frees and takes again stays with the process.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What glibc reads at start: blocks of up to this size come from the heap, and so much of it is kept when it is free, bytes.
const SETTINGS: [&str; 2] = ["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"];
const KEPT: &str = "8589934592";

/// Starts this program again, as the same process, with glibc told to keep memory; unless somebody has told it something already. By
/// itself it gives every large tensor back to the kernel and has it zeroed anew, a third of the time of a step
/// (docs/performance.md#training). Where this fails, training is slower and nothing else.
pub fn keep() {
    if SETTINGS.iter().any(|name| env::var_os(name).is_some()) {
        return;
    }
    if let Ok(program) = env::current_exe() {
        let settings = SETTINGS.map(|name| (name, KEPT));
        let _ = Command::new(program).args(env::args_os().skip(1)).envs(settings).exec();
    }
}
