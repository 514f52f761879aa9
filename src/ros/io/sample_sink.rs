//! Where received samples go: into the control loop, and into a record of what came last.
//! Bytes that do not fit the contract end here with a warning.

use std::sync::{Arc, Mutex};

use crate::ros::lock::lock;
use crate::ros::node_handle::Received;
use crate::ros::report::{Severity, ThrottledLog};
use df_message::{Extractor, Sample};
use df_planning::ControlLoop;

/// The maximum time that a stamp may lie ahead of the receiver's clock, seconds. A sample further
/// ahead would be old when its tick comes. Clocks kept by NTP or PTP agree far better.
const MAX_AHEAD_S: f64 = 0.1;
/// The same on simulated time, seconds. A step's observations may arrive before its clock message.
const MAX_AHEAD_SIMULATED_S: f64 = 1.0;
/// A stamp further behind the receiver's clock causes a warning, seconds.
const WARN_BEHIND_S: f64 = 5.0;
/// The frame of drawings if no message has named one.
const DEFAULT_FRAME_ID: &str = "map";

/// What was received last, for diagnostics and drawings.
#[derive(Debug, Default)]
pub(crate) struct LastReceived {
    /// The newest stamp of each observation group in nanoseconds, in the contract's order.
    pub newest_ns: Vec<Option<i64>>,
    /// The frame id of the goal; empty if unknown.
    pub goal_frame_id: String,
    /// The frame id of the goal's observation group; empty if unknown.
    pub group_frame_id: String,
    /// The goal in the units of its group.
    pub goal: Option<Vec<f64>>,
    /// The number of goals so far.
    pub goals: u64,
}

impl LastReceived {
    /// Nothing was received yet from `groups` observation groups.
    pub(crate) fn new(groups: usize) -> Self {
        Self { newest_ns: vec![None; groups], ..Self::default() }
    }

    /// The frame id in which plans are drawn: the goal's, or else that of its group.
    pub(crate) fn frame_id(&self) -> &str {
        let known = [&self.goal_frame_id, &self.group_frame_id].into_iter().find(|id| !id.is_empty());
        known.map_or(DEFAULT_FRAME_ID, String::as_str)
    }
}

/// Decodes messages and hands the samples to the control loop. All clones share their state.
#[derive(Clone)]
pub(crate) struct SampleSink {
    /// The control loop.
    pub control: Arc<Mutex<ControlLoop>>,
    /// What came last.
    pub last: Arc<Mutex<LastReceived>>,
    /// Takes warnings.
    pub log: ThrottledLog,
    max_ahead_s: f64,
}

/// An observation group of the contract, as one subscription reads it.
pub(crate) struct GroupReader {
    /// The group's position in the contract.
    pub index: usize,
    /// Reads the group's channels from a message.
    pub extractor: Extractor,
    /// True if the goal is a value of this group.
    pub is_goal_group: bool,
}

impl SampleSink {
    /// `is_simulated`: the time comes from `/clock`. `groups`: the number of observation groups.
    pub(crate) fn new(control: Arc<Mutex<ControlLoop>>, log: ThrottledLog, is_simulated: bool, groups: usize) -> Self {
        let max_ahead_s = if is_simulated { MAX_AHEAD_SIMULATED_S } else { MAX_AHEAD_S };
        Self { control, last: Arc::new(Mutex::new(LastReceived::new(groups))), log, max_ahead_s }
    }

    /// Takes an observation. A message without a stamp counts at its time of arrival, as in a
    /// recording.
    pub(crate) fn observe(&self, topic: &str, group: &GroupReader, received: Received<'_>) {
        let Some(sample) = self.decode(topic, &group.extractor, received.bytes) else { return };
        if sample.stamp_ns.is_none() && group.extractor.has_stamp() {
            let text = format!("{topic}: not stamped (its stamp is 0): the time of arrival is used");
            self.log.warn(format!("{topic} unstamped"), text);
        }
        let stamp_ns = sample.stamp_ns.unwrap_or(received.received_ns);
        let behind_s = received.received_ns.saturating_sub(stamp_ns) as f64 * 1e-9;
        // Before the first message of /clock the time is 0: nothing can be compared with it.
        if behind_s < -self.max_ahead_s && received.received_ns > 0 {
            let text =
                format!("{topic}: message refused: stamped {:.3} s after its arrival; do the clocks agree?", -behind_s);
            return self.log.warn(format!("{topic} ahead"), text);
        }
        if behind_s > WARN_BEHIND_S {
            let text = format!("{topic}: stamped {behind_s:.3} s before its arrival; do the clocks agree?");
            self.log.warn(format!("{topic} behind"), text);
        }
        lock(&self.control).observe(group.index, stamp_ns, &sample.values);
        let mut last = lock(&self.last);
        if let Some(newest) = last.newest_ns.get_mut(group.index) {
            *newest = Some(stamp_ns);
        }
        if group.is_goal_group
            && let Some(frame_id) = sample.frame_id
        {
            last.group_frame_id = frame_id;
        }
    }

    /// Takes a command of another driver, for the comparison in shadow mode.
    pub(crate) fn observe_command(&self, topic: &str, action: &Extractor, received: Received<'_>) {
        if let Some(sample) = self.decode(topic, action, received.bytes) {
            let stamp_ns = sample.stamp_ns.unwrap_or(received.received_ns);
            lock(&self.control).commanded(stamp_ns, &sample.values);
        }
    }

    /// Sets the goal in the units of its group and in the frame `frame_id`. No values: no goal.
    /// `source` names the topic or parameter in the log.
    pub(crate) fn set_goal(&self, source: &str, values: &[f64], frame_id: &str) {
        lock(&self.control).set_goal(values);
        let mut last = lock(&self.last);
        let goal = (!values.is_empty()).then(|| values.to_vec());
        if last.goal != goal {
            let text = format!("{source}: the goal is now {values:?}");
            self.log.log(Severity::Info, text.clone(), text);
        }
        last.goal = goal;
        last.goals += 1;
        last.goal_frame_id = frame_id.into();
    }

    /// The message's sample. Logs a warning with topic, type, offset and reason if there is none.
    pub(crate) fn decode(&self, topic: &str, extractor: &Extractor, bytes: &[u8]) -> Option<Sample> {
        match extractor.extract(bytes) {
            Ok(sample) => Some(sample),
            Err(error) => {
                // The key has no digits: errors that differ only in numbers are throttled together.
                let key: String = error.to_string().chars().filter(|c| !c.is_ascii_digit()).collect();
                self.log.warn(format!("{topic} {key}"), format!("{topic}: message refused: {error}"));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_drawn_in_the_frame_of_the_goal_or_else_of_its_group() {
        let mut last = LastReceived::default();
        assert_eq!(last.frame_id(), "map");
        last.group_frame_id = "odom".into();
        assert_eq!(last.frame_id(), "odom");
        last.goal_frame_id = "world".into();
        assert_eq!(last.frame_id(), "world");
    }
}
