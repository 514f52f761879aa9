//! SIGINT and SIGTERM. rcl sets no handlers under r2r: without these a robot would keep its last command.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::mpsc;

/// The exit status of a process that a second signal ends at once, as a shell would report the signal.
const INTERRUPTED: i32 = 130;

/// Sends once when the process is asked to end. A second signal ends it without further ado.
///
/// # Errors
/// The handlers cannot be set.
pub fn asked() -> std::io::Result<mpsc::Receiver<i32>> {
    let (sender, receiver) = mpsc::channel(1);
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for (count, signal) in signals.forever().enumerate() {
            if count > 0 {
                std::process::exit(INTERRUPTED);
            }
            // Closed: the node is ending anyway.
            let _ = sender.try_send(signal);
        }
    })?;
    Ok(receiver)
}
