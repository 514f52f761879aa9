//! SIGINT and SIGTERM. rcl sets no handlers under r2r: without these a robot would keep its last command.

use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::mpsc;

/// The exit status of a process that a second signal ends at once, as a shell would report the signal.
const INTERRUPTED: i32 = 130;

/// Signals that come so soon after the first mean the same wish: Ctrl-C reaches the node twice, from the terminal and
/// from `ros2 launch`, and fingers are impatient. The safe action leaves well within this time.
const SAME_WISH: Duration = Duration::from_secs(1);

/// Sends once when the process is asked to end. A signal long after the first ends it without further ado.
///
/// # Errors
/// The handlers cannot be set.
pub fn asked() -> std::io::Result<mpsc::Receiver<i32>> {
    let (sender, receiver) = mpsc::channel(1);
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        let mut asked: Option<Instant> = None;
        for signal in signals.forever() {
            if asked.get_or_insert_with(Instant::now).elapsed() > SAME_WISH {
                std::process::exit(INTERRUPTED);
            }
            // Full or closed: the node is ending anyway.
            let _ = sender.try_send(signal);
        }
    })?;
    Ok(receiver)
}
