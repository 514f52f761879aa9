//! Samples to ticks. One aligner serves recordings and the live robot, so that what the network sees cannot differ.

use super::{Frame, Layout};
use crate::config::Contract;

/// Collects stamped samples and gives the frame of a tick.
pub struct Aligner {
    _private: (),
}

impl Aligner {
    /// An aligner for the contract's groups; `layout` comes from the same contract.
    pub fn new(contract: &Contract, layout: &Layout) -> Self {
        let _ = (contract, layout);
        unimplemented!("helper A")
    }

    /// A sample of observation group `group` (index into the contract's observations), stamped `stamp_ns`, in units.
    pub fn observe(&mut self, group: usize, stamp_ns: i64, values: &[f64]) {
        let _ = (group, stamp_ns, values);
        unimplemented!("helper A")
    }

    /// A command in effect from `stamp_ns` until the next one, in units.
    pub fn command(&mut self, stamp_ns: i64, values: &[f64]) {
        let _ = (stamp_ns, values);
        unimplemented!("helper A")
    }

    /// The frame at `tick_ns`: the newest samples not after the tick and not too old, and the time-weighted mean of the
    /// commands in effect during the period that ends at the tick.
    pub fn frame_at(&self, tick_ns: i64) -> Frame {
        let _ = tick_ns;
        unimplemented!("helper A")
    }

    /// Age of the newest sample of a group at `tick_ns`, seconds; `None` if none has come.
    pub fn age_s(&self, group: usize, tick_ns: i64) -> Option<f64> {
        let _ = (group, tick_ns);
        unimplemented!("helper A")
    }

    /// Forgets every sample (a backward jump of time).
    pub fn clear(&mut self) {
        unimplemented!("helper A")
    }
}
