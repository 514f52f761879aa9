//! Reports a panic that ended a thread.

use std::any::Any;

use tokio::sync::mpsc;

/// A thread has panicked. The life cycle treats it as an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {thread} thread died: {message}")]
pub(crate) struct ThreadPanic {
    /// The thread's name.
    pub thread: &'static str,
    /// The message of the panic.
    pub message: String,
}

impl ThreadPanic {
    /// Reports `result`, what `catch_unwind` returned for the whole work of a thread.
    pub(super) fn report(panics: &mpsc::Sender<Self>, thread: &'static str, result: Result<(), Box<dyn Any + Send>>) {
        if let Err(panic) = result {
            // Full: the node already handles the panic of another thread.
            let _ = panics.try_send(Self { thread, message: panic_message(&*panic) });
        }
    }
}

/// The text of a panic.
pub(super) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("for an unknown reason").to_string()
}
