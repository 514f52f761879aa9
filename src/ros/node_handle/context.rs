//! Creates the process's ROS context. Turns r2r's panic about refused arguments into an error.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Arc;

use super::error::RosError;

/// Creates the context from the process's arguments.
///
/// r2r panics where rcl refuses the arguments. That is a user's mistake, so it becomes an error.
pub(super) fn create_context() -> Result<r2r::Context, RosError> {
    let created = without_panic_message(|| catch_unwind(AssertUnwindSafe(r2r::Context::create)));
    match created {
        Ok(Ok(context)) => Ok(context),
        Ok(Err(error)) => Err(RosError::Init(error.to_string())),
        Err(panic) => {
            let message = panic.downcast_ref::<String>().cloned();
            Err(RosError::Init(message.unwrap_or_else(|| "rcl refused the arguments after --ros-args".into())))
        }
    }
}

/// Runs `work` without the message that a panic of *this* thread prints. Panics of other threads
/// are reported as before.
fn without_panic_message<T>(work: impl FnOnce() -> T) -> T {
    let this_thread = std::thread::current().id();
    let previous = Arc::new(take_hook());
    let others = previous.clone();
    set_hook(Box::new(move |info| {
        if std::thread::current().id() != this_thread {
            others(info);
        }
    }));
    let result = work();
    set_hook(Box::new(move |info| previous(info)));
    result
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::ros::lock;

    #[test]
    fn only_the_panic_message_of_this_thread_is_suppressed() {
        const THIS: &str = "a panic of this thread: this is part of the test";
        const OTHER: &str = "a panic of another thread: this is part of the test";
        let reported = Arc::new(Mutex::new(Vec::new()));
        let sink = reported.clone();
        let before = Arc::new(take_hook());
        let inner = before.clone();
        set_hook(Box::new(move |info| {
            let text = info.payload().downcast_ref::<&str>().copied().unwrap_or_default();
            lock(&sink).push(text.to_string());
            inner(info);
        }));
        without_panic_message(|| {
            assert!(std::thread::spawn(|| std::panic::panic_any(OTHER)).join().is_err());
            assert!(catch_unwind(|| std::panic::panic_any(THIS)).is_err());
        });
        assert!(catch_unwind(|| std::panic::panic_any("after")).is_err());
        set_hook(Box::new(move |info| before(info)));
        // Tests that run beside this one may panic as well.
        let seen = |text: &str| lock(&reported).iter().filter(|entry| *entry == text).count();
        assert_eq!((seen(OTHER), seen(THIS), seen("after")), (1, 0, 1));
    }
}
