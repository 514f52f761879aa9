//! Subscribes to the topics of the contract. Groups that read the same topic share a subscription.

use super::goals::Goals;
use super::maps::Maps;
use super::sample_sink::{GroupReader, SampleSink};
use super::tf_listener::TfListener;
use crate::config::Config;
use crate::ros::node_handle::{NodeHandle, RosError};
use df_core::Qos;
use df_core::map::SharedMap;
use df_message::Extractor;

/// What is subscribed, and where the samples go.
pub(crate) struct Subscriptions {
    /// Names topics, types and QoS.
    pub config: Config,
    /// Gets the samples.
    pub sink: SampleSink,
    /// The maps of the costs.
    pub maps: Vec<SharedMap>,
}

impl Subscriptions {
    /// Subscribes to all observations, the goal and the maps. Also subscribes to `/tf` if a goal or
    /// a map may come in another frame.
    ///
    /// # Errors
    /// As [`NodeHandle::subscribe`] and [`Maps::subscribe`].
    pub(crate) fn subscribe(
        &self,
        handle: &mut NodeHandle,
        observations: Vec<Extractor>,
        goal: Option<Extractor>,
    ) -> Result<Maps, RosError> {
        for Source { topic, message_type, qos, groups } in sources(&self.config, observations) {
            let (sink, name) = (self.sink.clone(), topic.clone());
            handle.subscribe(&topic, &message_type, &qos, move |received| {
                groups.iter().for_each(|group| sink.observe(&name, group, received));
            })?;
        }
        let transforms = self.listen_to_transforms(handle);
        if let Some((goal, extractor)) = self.config.contract.goal.as_ref().zip(goal) {
            Goals::new(goal.clone(), extractor, self.sink.clone(), transforms.clone()).subscribe(handle)?;
        }
        Maps::subscribe(handle, &self.maps, &transforms, &self.sink.log)
    }

    /// Subscribes to the action topic, for the comparison in shadow mode.
    ///
    /// # Errors
    /// As [`NodeHandle::subscribe`].
    pub(crate) fn subscribe_to_commands(&self, handle: &mut NodeHandle, action: Extractor) -> Result<(), RosError> {
        let (sink, contract) = (self.sink.clone(), &self.config.contract.action);
        let topic = contract.topic.clone();
        handle.subscribe(&contract.topic, &contract.message_type, &contract.qos, move |received| {
            sink.observe_command(&topic, &action, received);
        })
    }

    /// The listener subscribes only if the goal or a map names a frame.
    fn listen_to_transforms(&self, handle: &mut NodeHandle) -> TfListener {
        let transforms = TfListener::new(self.sink.log.clone());
        let goal_frame = self.config.contract.goal.as_ref().and_then(|goal| goal.frame_id.as_ref());
        let map_frame = self.maps.iter().filter_map(SharedMap::topic).find_map(|topic| topic.frame_id.as_ref());
        if goal_frame.or(map_frame).is_some()
            && let Err(error) = transforms.subscribe(handle)
        {
            // Goals and maps in the contract's frame still work: a warning is enough.
            let text = format!("goals and maps in another frame than the contract's cannot be used: {error}");
            self.sink.log.warn("tf", text);
        }
        transforms
    }
}

/// One subscription and the groups that read from it.
struct Source {
    topic: String,
    message_type: String,
    qos: Qos,
    groups: Vec<GroupReader>,
}

/// Collects the groups with the same topic, type and QoS.
fn sources(config: &Config, observations: Vec<Extractor>) -> Vec<Source> {
    let mut sources: Vec<Source> = Vec::new();
    for (index, (group, extractor)) in config.contract.observations.iter().zip(observations).enumerate() {
        let is_goal_group = config.contract.goal.as_ref().is_some_and(|goal| goal.group == group.name);
        let reader = GroupReader { index, extractor, is_goal_group };
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
    use df_core::bind;
    use df_message::SchemaDefinitions;

    #[test]
    fn groups_with_the_same_topic_type_and_qos_share_a_subscription() {
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
        let bound = bind(&config.contract, &definitions).unwrap();
        let sources = sources(&config, bound.observations);
        let seen: Vec<(&str, Vec<usize>)> =
            sources.iter().map(|s| (s.topic.as_str(), s.groups.iter().map(|g| g.index).collect())).collect();
        // c joins a; d asks for another QoS and gets a subscription of its own.
        assert_eq!(seen, [("odom", vec![0, 2]), ("scan", vec![1]), ("odom", vec![3])]);
    }
}
