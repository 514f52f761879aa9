//! Finds publishers on the subscribed topics that DDS does not connect. Their messages never
//! arrive, and no other error shows it.

use std::collections::HashMap;

use r2r::QosProfile;
use r2r::qos::{DurabilityPolicy, ReliabilityPolicy};

use super::remapping::RemapRules;
use df_core::{Qos, Reliability};

/// Checks publishers. Remembers the warnings of the last check, so that each is given once while
/// its cause lasts.
#[derive(Default)]
pub(super) struct GraphChecker {
    /// The warnings of the last check by topic.
    given: HashMap<String, Vec<String>>,
    remapping: RemapRules,
}

impl GraphChecker {
    /// New warnings about the publishers on `topic`: another message type, or an incompatible QoS.
    pub(super) fn check(&mut self, node: &r2r::Node, topic: &str, message_type: &str, qos: &Qos) -> Vec<String> {
        let topic = self.remapping.resolve(node, topic);
        let Ok(publishers) = node.get_publishers_info_by_topic(&topic, false) else { return Vec::new() };
        let mut warnings = Vec::new();
        for publisher in publishers {
            let name = format!("{}/{}", publisher.node_namespace.trim_end_matches('/'), publisher.node_name);
            if publisher.topic_type != message_type {
                warnings.push(format!(
                    "{topic}: {name} publishes {}, but the contract says {message_type}: its messages are not received",
                    publisher.topic_type
                ));
            } else if let Some(mismatch) = mismatch(&publisher.qos_profile, qos) {
                warnings.push(format!("{topic}: {name} {mismatch}: its messages are not received"));
            }
        }
        self.only_new(topic, warnings)
    }

    fn only_new(&mut self, topic: String, warnings: Vec<String>) -> Vec<String> {
        let given = self.given.entry(topic).or_default();
        let new = warnings.iter().filter(|warning| !given.contains(warning)).cloned().collect();
        *given = warnings;
        new
    }
}

/// Describes both sides if DDS does not connect them: the publisher offers less than requested.
fn mismatch(offered: &QosProfile, requested: &Qos) -> Option<String> {
    let best_effort = offered.reliability == ReliabilityPolicy::BestEffort;
    let volatile = offered.durability == DurabilityPolicy::Volatile;
    let reliable = requested.reliability == Reliability::Reliable;
    if !(reliable && best_effort || requested.transient_local && volatile) {
        return None;
    }
    let in_words = |reliable: bool, transient_local: bool| {
        let reliability = if reliable { "reliable" } else { "best_effort" };
        format!("{reliability}, {}", if transient_local { "transient_local" } else { "volatile" })
    };
    let (offered, requested) = (in_words(!best_effort, !volatile), in_words(reliable, requested.transient_local));
    Some(format!("offers {offered}, but the contract requests {requested}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qos_mismatch_names_both_sides() {
        let offered = QosProfile::default().best_effort().volatile();
        let request = |reliability, transient_local| Qos { reliability, depth: 1, transient_local };
        assert_eq!(
            mismatch(&offered, &request(Reliability::BestEffort, true)).as_deref(),
            Some("offers best_effort, volatile, but the contract requests best_effort, transient_local")
        );
        assert_eq!(
            mismatch(&offered, &request(Reliability::Reliable, false)).as_deref(),
            Some("offers best_effort, volatile, but the contract requests reliable, volatile")
        );
        assert_eq!(mismatch(&offered, &request(Reliability::BestEffort, false)), None);
        let more = QosProfile::default().reliable().transient_local();
        assert_eq!(mismatch(&more, &request(Reliability::Reliable, true)), None);
    }

    #[test]
    fn a_warning_is_given_once_while_its_cause_lasts() {
        let mut graph = GraphChecker::default();
        let warning = || vec!["wrong type".to_string()];
        assert_eq!(graph.only_new("/odom".into(), warning()), warning());
        assert!(graph.only_new("/odom".into(), warning()).is_empty());
        assert!(graph.only_new("/odom".into(), Vec::new()).is_empty());
        assert_eq!(graph.only_new("/odom".into(), warning()), warning());
    }
}
