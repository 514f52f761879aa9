//! Messages into the control loop: one subscription per distinct topic, one extractor per group that reads from it.
//! Bytes that are not what the contract says end here, as a warning.

use std::sync::{Arc, Mutex, PoisonError};

use super::bridge::{Bridge, Received, RosError};
use super::goals::Goals;
use super::maps::Maps;
use super::notice::{Notices, Severity};
use super::transforms::Transforms;
use crate::config::{Config, Qos};
use crate::guidance::SharedMap;
use crate::message::{Extractor, Sample};
use crate::planning::ControlLoop;

/// A sample that is stamped further ahead of the receiver's clock than this is refused, seconds: by the time that its tick
/// came it would be old. Clocks that are kept by NTP or PTP agree far better.
pub const AHEAD_S: f64 = 0.1;
/// The same on simulated time: observations of a step may come before the clock has made it.
pub const AHEAD_SIMULATED_S: f64 = 1.0;
/// A stamp further behind the receiver's clock than this is worth a warning, seconds.
const BEHIND_S: f64 = 5.0;

/// What was last heard, for diagnostics and display. Stamps in nanoseconds.
#[derive(Debug, Default)]
pub struct Heard {
    /// The newest stamp of each observation group, in the contract's order.
    pub newest_ns: Vec<Option<i64>>,
    /// The frame id of the goal, or else of the goal's group: what plans are drawn in.
    pub goal_frame_id: String,
    pub group_frame_id: String,
    pub goal: Option<Vec<f64>>,
    /// How many goals there have been.
    pub goals: u64,
}

impl Heard {
    /// The frame id that plans are drawn in.
    pub fn frame_id(&self) -> &str {
        let known = [&self.goal_frame_id, &self.group_frame_id].into_iter().find(|id| !id.is_empty());
        known.map_or("map", String::as_str)
    }
}

/// Where received samples go.
#[derive(Clone)]
pub struct Inbound {
    pub control: Arc<Mutex<ControlLoop>>,
    pub heard: Arc<Mutex<Heard>>,
    pub notices: Notices,
    /// The farthest that a stamp may lie ahead, seconds.
    pub ahead_s: f64,
}

impl Inbound {
    /// Subscribes to every topic of the contract, to the goal's, to those of `maps`, and to `/tf` where a goal or a map may
    /// come in another frame.
    ///
    /// # Errors
    /// As [`Bridge::subscribe`].
    pub fn subscribe(
        &self,
        bridge: &mut Bridge,
        config: &Config,
        observations: Vec<Extractor>,
        goal: Option<Extractor>,
        maps: &[SharedMap],
    ) -> Result<Maps, RosError> {
        for source in sources(config, observations) {
            let Source { topic, message_type, qos, groups } = source;
            let inbound = self.clone();
            let (name, goal_group) = (topic.clone(), config.goal.as_ref().map(|g| g.group.clone()));
            let groups: Vec<_> = groups.into_iter().map(|g| (goal_group.as_ref() == Some(&g.name), g)).collect();
            bridge.subscribe(&topic, &message_type, &qos, move |received| {
                for (is_goal_group, group) in &groups {
                    inbound.observed(&name, group, *is_goal_group, received);
                }
            })?;
        }
        let transforms = Transforms::new(self.notices.clone());
        let goal_frame = config.goal.as_ref().and_then(|goal| goal.frame_id.as_ref());
        let map_frame = maps.iter().filter_map(SharedMap::topic).find_map(|topic| topic.frame_id.as_ref());
        if goal_frame.or(map_frame).is_some()
            && let Err(error) = transforms.subscribe(bridge)
        {
            // Those that come in the contract's frame are as good as before.
            let text = format!("goals and maps in another frame than the contract's cannot be used: {error}");
            self.notices.warn("tf", text);
        }
        if let Some((goal, extractor)) = config.goal.as_ref().zip(goal) {
            Goals::new(goal.clone(), extractor, self.clone(), transforms.clone()).subscribe(bridge)?;
        }
        Maps::subscribe(bridge, maps, &transforms, &self.notices)
    }

    /// Subscribes to the action topic: what another sends.
    ///
    /// # Errors
    /// As [`Bridge::subscribe`].
    pub fn follow_commands(&self, bridge: &mut Bridge, config: &Config, action: Extractor) -> Result<(), RosError> {
        let (inbound, contract) = (self.clone(), &config.contract.action);
        let topic = contract.topic.clone();
        bridge.subscribe(&contract.topic, &contract.message_type, &contract.qos, move |received| {
            if let Some(sample) = inbound.decode(&topic, &action, received.bytes) {
                let stamp_ns = sample.stamp_ns.unwrap_or(received.received_ns);
                inbound.control.lock().unwrap_or_else(PoisonError::into_inner).commanded(stamp_ns, &sample.values);
            }
        })
    }

    fn observed(&self, topic: &str, group: &Group, is_goal_group: bool, received: Received<'_>) {
        let Some(sample) = self.decode(topic, &group.extractor, received.bytes) else { return };
        if sample.stamp_ns.is_none() && group.extractor.has_stamp() {
            let text = format!("{topic}: not stamped (its stamp is 0): the time of arrival is used");
            self.notices.warn(format!("{topic} unstamped"), text);
        }
        // No stamp: the time of arrival is the best that is known, as a bag's time is in a recording.
        let stamp_ns = sample.stamp_ns.unwrap_or(received.received_ns);
        let behind_s = received.received_ns.saturating_sub(stamp_ns) as f64 * 1e-9;
        // Before the first message of /clock nobody knows what is ahead.
        if behind_s < -self.ahead_s && received.received_ns > 0 {
            let text =
                format!("{topic}: message refused: stamped {:.3} s after its arrival; do the clocks agree?", -behind_s);
            return self.notices.warn(format!("{topic} ahead"), text);
        }
        if behind_s > BEHIND_S {
            let text = format!("{topic}: stamped {behind_s:.3} s before its arrival; do the clocks agree?");
            self.notices.warn(format!("{topic} behind"), text);
        }
        self.control.lock().unwrap_or_else(PoisonError::into_inner).observe(group.index, stamp_ns, &sample.values);
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(newest) = heard.newest_ns.get_mut(group.index) {
            *newest = Some(stamp_ns);
        }
        if is_goal_group && let Some(frame_id) = sample.frame_id {
            heard.group_frame_id = frame_id;
        }
    }

    /// The goal from now on, in the units of its group and in the frame `frame_id`; nothing: none. `from`: who says so, for people.
    pub fn use_goal(&self, from: &str, values: &[f64], frame_id: &str) {
        self.control.lock().unwrap_or_else(PoisonError::into_inner).set_goal(values);
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let goal = (!values.is_empty()).then(|| values.to_vec());
        if heard.goal != goal {
            let text = format!("{from}: the goal is now {values:?}");
            self.notices.send(Severity::Info, text.clone(), text);
        }
        heard.goal = goal;
        heard.goals += 1;
        heard.goal_frame_id = frame_id.into();
    }

    /// The sample, or a warning that names topic, type, offset and reason.
    pub(super) fn decode(&self, topic: &str, extractor: &Extractor, bytes: &[u8]) -> Option<Sample> {
        match extractor.extract(bytes) {
            Ok(sample) => Some(sample),
            Err(error) => {
                // Digits out: faults that differ by an offset or a number only are one kind.
                let kind: String = error.to_string().chars().filter(|c| !c.is_ascii_digit()).collect();
                self.notices.warn(format!("{topic} {kind}"), format!("{topic}: message refused: {error}"));
                None
            }
        }
    }
}

/// One subscription and the groups that read from it.
struct Source {
    topic: String,
    message_type: String,
    qos: Qos,
    groups: Vec<Group>,
}

struct Group {
    index: usize,
    name: String,
    extractor: Extractor,
}

/// Groups that share topic, type and QoS share a subscription.
fn sources(config: &Config, observations: Vec<Extractor>) -> Vec<Source> {
    let mut sources: Vec<Source> = Vec::new();
    for (index, (group, extractor)) in config.contract.observations.iter().zip(observations).enumerate() {
        let reader = Group { index, name: group.name.clone(), extractor };
        let shared = sources
            .iter_mut()
            .find(|s| s.topic == group.topic && s.message_type == group.message_type && s.qos == group.qos);
        match shared {
            Some(source) => source.groups.push(reader),
            None => sources.push(Source {
                topic: group.topic.clone(),
                message_type: group.message_type.clone(),
                qos: group.qos.clone(),
                groups: vec![reader],
            }),
        }
    }
    sources
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::message::{SchemaDefinitions, bind};

    #[test]
    fn groups_of_one_topic_share_a_subscription() {
        let text = "
period_s: 0.1
frame_stack: 1
observations:
  a: {topic: odom, type: p/msg/Vec, fields: [x], max_age_s: 1}
  b: {topic: scan, type: p/msg/Vec, fields: [x], max_age_s: 1}
  c: {topic: odom, type: p/msg/Vec, fields: [y], max_age_s: 1}
  d: {topic: odom, type: p/msg/Vec, fields: [y], max_age_s: 1, qos: {reliability: best_effort}}
action: {topic: u, type: p/msg/Vec, fields: [x], min: [-1], max: [1], safe: [0], max_age_s: 1}
";
        let config = Config::parse(text, Path::new("c.yaml")).unwrap();
        let definitions = SchemaDefinitions::new([("p/msg/Vec", "float64 x\nfloat64 y\n")]);
        let bound = bind(&config, &definitions).unwrap();
        let sources = sources(&config, bound.observations);
        let seen: Vec<(&str, Vec<usize>)> =
            sources.iter().map(|s| (s.topic.as_str(), s.groups.iter().map(|g| g.index).collect())).collect();
        // c joins a; d asks for another QoS and gets a subscription of its own.
        assert_eq!(seen, [("odom", vec![0, 2]), ("scan", vec![1]), ("odom", vec![3])]);
    }

    #[test]
    fn plans_are_drawn_in_the_goals_frame_first() {
        let mut heard = Heard::default();
        assert_eq!(heard.frame_id(), "map");
        heard.group_frame_id = "odom".into();
        assert_eq!(heard.frame_id(), "odom");
        heard.goal_frame_id = "world".into();
        assert_eq!(heard.frame_id(), "world");
    }
}
