//! Who publishes what on the subscribed topics: finds publishers that DDS does not connect, which otherwise show as
//! nothing but silence.

use std::collections::HashMap;

use r2r::QosProfile;
use r2r::qos::{DurabilityPolicy, ReliabilityPolicy};

use super::names::Names;
use crate::config::{Qos, Reliability};

/// The complaints of the last check, per topic: each is told once while it lasts.
#[derive(Default)]
pub struct Graph {
    told: HashMap<String, Vec<String>>,
    names: Names,
}

impl Graph {
    /// New complaints about the publishers on `topic`: another type, or a QoS that does not match.
    pub fn check(&mut self, node: &r2r::Node, topic: &str, message_type: &str, qos: &Qos) -> Vec<String> {
        let topic = self.names.resolve(node, topic);
        let Ok(publishers) = node.get_publishers_info_by_topic(&topic, false) else { return Vec::new() };
        let mut wrong = Vec::new();
        for publisher in publishers {
            let who = format!("{}/{}", publisher.node_namespace.trim_end_matches('/'), publisher.node_name);
            if publisher.topic_type != message_type {
                wrong.push(format!(
                    "{topic}: {who} publishes {}, but the contract says {message_type}: its messages are not received",
                    publisher.topic_type
                ));
            } else if let Some(mismatch) = mismatch(&publisher.qos_profile, qos) {
                wrong.push(format!("{topic}: {who} {mismatch}: its messages are not received"));
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

/// What DDS does not connect: less offered than requested. Names all of both sides.
fn mismatch(offered: &QosProfile, requested: &Qos) -> Option<String> {
    let best_effort = offered.reliability == ReliabilityPolicy::BestEffort;
    let volatile = offered.durability == DurabilityPolicy::Volatile;
    let reliable = requested.reliability == Reliability::Reliable;
    if !(reliable && best_effort || requested.transient_local && volatile) {
        return None;
    }
    let said = |reliable: bool, transient_local: bool| {
        let reliability = if reliable { "reliable" } else { "best_effort" };
        format!("{reliability}, {}", if transient_local { "transient_local" } else { "volatile" })
    };
    let (offered, requested) = (said(!best_effort, !volatile), said(reliable, requested.transient_local));
    Some(format!("offers {offered}, but the contract requests {requested}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mismatch_names_both_sides() {
        let offered = QosProfile::default().best_effort().volatile();
        let ask = |reliability, transient_local| Qos { reliability, depth: 1, transient_local };
        assert_eq!(
            mismatch(&offered, &ask(Reliability::BestEffort, true)).as_deref(),
            Some("offers best_effort, volatile, but the contract requests best_effort, transient_local")
        );
        assert_eq!(
            mismatch(&offered, &ask(Reliability::Reliable, false)).as_deref(),
            Some("offers best_effort, volatile, but the contract requests reliable, volatile")
        );
        assert_eq!(mismatch(&offered, &ask(Reliability::BestEffort, false)), None);
        let more = QosProfile::default().reliable().transient_local();
        assert_eq!(mismatch(&more, &ask(Reliability::Reliable, true)), None);
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
