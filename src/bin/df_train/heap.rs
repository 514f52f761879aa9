//! Keeps the memory that training steps free and allocate again in the process.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Variables that glibc reads at start, bytes: the size up to which blocks come from the heap, and how much free heap
/// is kept.
const SETTINGS: [&str; 2] = ["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"];
/// 8 GiB, more than the tensors of a step take.
const KEPT: &str = "8589934592";

/// Replaces this process by the same program with [`SETTINGS`], unless one of them is set already.
///
/// By default glibc returns every large tensor to the kernel, which zeroes it again: a third of the time of a step. If
/// the restart fails, training is only slower.
pub fn keep() {
    if SETTINGS.iter().any(|name| env::var_os(name).is_some()) {
        return;
    }
    if let Ok(program) = env::current_exe() {
        let settings = SETTINGS.map(|name| (name, KEPT));
        let _ = Command::new(program).args(env::args_os().skip(1)).envs(settings).exec();
    }
}
