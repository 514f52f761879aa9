//! When a tick is due: deadlines on the steady clock, or lock step with a simulator.

mod lock_step;
mod pacing;

pub(super) use lock_step::LockStep;
pub(super) use pacing::Pacer;
