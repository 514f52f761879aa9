//! The tick thread's place in the system's schedule: ahead of everything that merely computes. Linux only, as r2r's users are;
//! elsewhere nothing is asked for.

use super::notice::Notices;

/// The priority that ros2_control gives its loop.
const REAL_TIME_PRIORITY: u32 = 50;
/// The shortest slice that Linux takes: who asks for short ones is let in at once (since 6.12; before, it changes nothing).
const SLICE_NS: u64 = 100_000;

/// Puts this thread ahead: by a real-time priority where the system allows it, else by short slices. Says which.
pub fn hurry(notices: &Notices) {
    let text = match real_time().or_else(|_| short_slices()) {
        Ok(how) => format!("ticks have {how}"),
        Err(error) => format!("ticks have no priority over others: {error}"),
    };
    notices.info("urgency", text);
}

#[cfg(target_os = "linux")]
fn real_time() -> std::io::Result<String> {
    set(libc::SCHED_FIFO as u32, REAL_TIME_PRIORITY, 0)?;
    Ok(format!("the real-time priority {REAL_TIME_PRIORITY}"))
}

#[cfg(target_os = "linux")]
fn short_slices() -> std::io::Result<String> {
    set(libc::SCHED_OTHER as u32, 0, SLICE_NS)?;
    Ok("no real-time priority (the system does not allow it: docs/ros.md, Time), but short slices".into())
}

/// `sched_setattr(2)` for the calling thread.
#[cfg(target_os = "linux")]
fn set(policy: u32, priority: u32, slice_ns: u64) -> std::io::Result<()> {
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
    // SAFETY: the kernel reads `size` bytes of a struct that lives until the call returns, and changes this thread only.
    let refused = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if refused == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[cfg(not(target_os = "linux"))]
fn real_time() -> std::io::Result<String> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
fn short_slices() -> std::io::Result<String> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::super::notice;
    use super::*;

    #[test]
    fn a_thread_is_put_ahead_or_says_why_not() {
        let said = std::thread::spawn(|| {
            let (notices, mut inbox) = notice::channel();
            hurry(&notices);
            // SAFETY: asks for the calling thread's policy, which has no preconditions.
            (inbox.try_recv().unwrap().text, unsafe { libc::sched_getscheduler(0) })
        });
        let (text, policy) = said.join().unwrap();
        let expected = if policy == libc::SCHED_FIFO { "the real-time priority 50" } else { "docs/ros.md" };
        assert!(text.contains(expected), "{text}");
    }
}
