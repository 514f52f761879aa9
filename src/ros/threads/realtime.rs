//! Gives the control thread precedence over computing threads. Linux only; elsewhere it does
//! nothing.

use crate::ros::report::ThrottledLog;

/// The real-time priority of the control thread: the one of ros2_control's update loop.
const REALTIME_PRIORITY: u32 = 50;
/// The minimum EEVDF slice, nanoseconds. Since Linux 6.12 a thread with a shorter slice is
/// scheduled sooner; earlier kernels ignore it.
const MIN_SLICE_NS: u64 = 100_000;

/// Gives this thread a real-time priority, or short scheduling slices if the system does not allow
/// that. Logs the result.
pub(super) fn set_realtime_priority(log: &ThrottledLog) {
    let text = match realtime().or_else(|_| short_slices()) {
        Ok(how) => format!("ticks have {how}"),
        Err(error) => format!("ticks have no priority over others: {error}"),
    };
    log.info("realtime", text);
}

#[cfg(target_os = "linux")]
fn realtime() -> std::io::Result<String> {
    set_schedule(libc::SCHED_FIFO as u32, REALTIME_PRIORITY, 0)?;
    Ok(format!("the real-time priority {REALTIME_PRIORITY}"))
}

#[cfg(target_os = "linux")]
fn short_slices() -> std::io::Result<String> {
    set_schedule(libc::SCHED_OTHER as u32, 0, MIN_SLICE_NS)?;
    Ok("no real-time priority (the system does not allow it: docs/src/how-to/deploy.md, Priority), but short slices"
        .into())
}

/// Calls `sched_setattr(2)` for this thread.
#[cfg(target_os = "linux")]
fn set_schedule(policy: u32, priority: u32, slice_ns: u64) -> std::io::Result<()> {
    let attributes = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: policy,
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: priority,
        sched_runtime: slice_ns,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel reads `size` bytes of a struct that lives until the call returns. The call
    // changes only this thread.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[cfg(not(target_os = "linux"))]
fn realtime() -> std::io::Result<String> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
fn short_slices() -> std::io::Result<String> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::ros::report::log_channel;

    #[test]
    fn the_log_says_whether_the_thread_has_a_realtime_priority() {
        let thread = std::thread::spawn(|| {
            let (log, mut entries) = log_channel();
            set_realtime_priority(&log);
            // SAFETY: asks for the calling thread's policy, which has no preconditions.
            (entries.try_recv().unwrap().text, unsafe { libc::sched_getscheduler(0) })
        });
        let (text, policy) = thread.join().unwrap();
        let expected =
            if policy == libc::SCHED_FIFO { "the real-time priority 50" } else { "docs/src/how-to/deploy.md" };
        assert!(text.contains(expected), "{text}");
    }
}
