//! Who publishes what on the subscribed topics: finds publishers that DDS does not connect, which otherwise show as
//! nothing but silence.

use std::collections::HashMap;

use r2r::qos::ReliabilityPolicy;

/// The complaints of the last check, per topic: each is told once while it lasts.
#[derive(Default)]
pub struct Graph {
    told: HashMap<String, Vec<String>>,
}

impl Graph {
    /// New complaints about the publishers on `topic`: another type, or a QoS that does not match.
    pub fn check(&mut self, node: &r2r::Node, topic: &str, message_type: &str, reliable: bool) -> Vec<String> {
        let topic = resolve(node, topic);
        let Ok(publishers) = node.get_publishers_info_by_topic(&topic, false) else { return Vec::new() };
        let mut wrong = Vec::new();
        for publisher in publishers {
            let who = format!("{}/{}", publisher.node_namespace.trim_end_matches('/'), publisher.node_name);
            if publisher.topic_type != message_type {
                wrong.push(format!(
                    "{topic}: {who} publishes {}, but the contract says {message_type}: its messages are not received",
                    publisher.topic_type
                ));
            } else if reliable && publisher.qos_profile.reliability == ReliabilityPolicy::BestEffort {
                wrong.push(format!(
                    "{topic}: {who} publishes best_effort, but the contract asks for reliable: its messages are not received"
                ));
            }
        }
        self.news(topic, wrong)
    }

    fn news(&mut self, topic: String, wrong: Vec<String>) -> Vec<String> {
        let told = self.told.entry(topic).or_default();
        let news = wrong.iter().filter(|w| !told.contains(w)).cloned().collect();
        *told = wrong;
        news
    }
}

/// The topic's name with namespace. Remappings are not seen here.
fn resolve(node: &r2r::Node, topic: &str) -> String {
    absolute(topic, &node.namespace().unwrap_or_default(), &node.fully_qualified_name().unwrap_or_default())
}

fn absolute(topic: &str, namespace: &str, node: &str) -> String {
    match topic.strip_prefix('~') {
        Some(rest) => format!("{node}{rest}"),
        None if topic.starts_with('/') => topic.into(),
        None => format!("{}/{topic}", namespace.trim_end_matches('/')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_absolute_as_rcl_does() {
        assert_eq!(absolute("odom", "/", "/planner"), "/odom");
        assert_eq!(absolute("odom", "/robot", "/robot/planner"), "/robot/odom");
        assert_eq!(absolute("/odom", "/robot", "/robot/planner"), "/odom");
        assert_eq!(absolute("~/plan", "/robot", "/robot/planner"), "/robot/planner/plan");
    }

    #[test]
    fn a_complaint_is_told_once_while_it_lasts() {
        let mut graph = Graph::default();
        let complaint = || vec!["wrong type".to_string()];
        assert_eq!(graph.news("/odom".into(), complaint()), complaint());
        assert!(graph.news("/odom".into(), complaint()).is_empty());
        assert!(graph.news("/odom".into(), Vec::new()).is_empty());
        assert_eq!(graph.news("/odom".into(), complaint()), complaint());
    }
}
