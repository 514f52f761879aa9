//! Handles SIGINT and SIGTERM. Under r2r, rcl sets no handlers: without these, the robot would keep
//! its last command.

use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::mpsc;

/// The exit status after a second signal, as a shell reports an interrupt.
const INTERRUPTED: i32 = 130;

/// Signals within this time count as one. Ctrl-C reaches the node twice: from the terminal and from
/// `ros2 launch`. The safe action leaves well within this time.
const ONE_REQUEST: Duration = Duration::from_secs(1);

/// Sends a signal's number when the process is asked to end. A signal more than 1 s after the first
/// one ends the process at once.
///
/// # Errors
/// The system gives no handlers or no thread.
pub(super) fn shutdown_signals() -> std::io::Result<mpsc::Receiver<i32>> {
    let (sender, receiver) = mpsc::channel(1);
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        let mut first: Option<Instant> = None;
        for signal in signals.forever() {
            if first.get_or_insert_with(Instant::now).elapsed() > ONE_REQUEST {
                std::process::exit(INTERRUPTED);
            }
            // Full or closed: the node is ending already.
            let _ = sender.try_send(signal);
        }
    })?;
    Ok(receiver)
}
