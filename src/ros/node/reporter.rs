//! Writes the node's log and publishes its diagnostics.

use std::time::Instant;

use r2r::diagnostic_msgs::msg::DiagnosticArray;

use super::assembly::Assembly;
use crate::ros::node_handle::{LazyPublisher, NodeHandle, RosError};
use crate::ros::report::{Diagnostics, LogEntry, NodeState, Severity, Throttle};

const TOPIC: &str = "/diagnostics";
const DEPTH: usize = 10;

/// Log and diagnostics of one node.
pub(super) struct Reporter {
    publisher: LazyPublisher<DiagnosticArray>,
    diagnostics: Diagnostics,
    node: String,
    logger: String,
    throttle: Throttle,
}

impl Reporter {
    /// Advertises `/diagnostics`.
    ///
    /// # Errors
    /// rcl refuses the topic.
    pub(super) fn open(handle: &mut NodeHandle) -> Result<Self, RosError> {
        Ok(Self {
            publisher: LazyPublisher::open(handle, TOPIC, DEPTH)?,
            diagnostics: Diagnostics::default(),
            node: handle.full_name(),
            logger: handle.logger(),
            throttle: Throttle::default(),
        })
    }

    /// Publishes the state of the node. `lifecycle`: the name of its life cycle state. `now_ns`:
    /// ROS time.
    pub(super) fn publish_diagnostics(&mut self, lifecycle: &str, assembly: Option<&Assembly>, now_ns: i64) {
        let Self { publisher, diagnostics, node, .. } = self;
        let published = publisher.publish(|| match assembly {
            Some(assembly) => {
                assembly.inspect(|work| diagnostics.report(NodeState { node, lifecycle, now_ns, work: Some(work) }))
            }
            None => diagnostics.report(NodeState { node, lifecycle, now_ns, work: None }),
        });
        if let Err(error) = published {
            self.write(Severity::Error, &error.to_string());
        }
    }

    /// Writes `entry`, unless it is throttled.
    pub(super) fn log(&mut self, entry: &LogEntry) {
        if let Some(text) = self.throttle.pass(entry, Instant::now()) {
            self.write(entry.severity, &text);
        }
    }

    /// Writes to the console (stderr) and to `/rosout`.
    fn write(&self, severity: Severity, text: &str) {
        // rcutils takes C strings: a zero byte would cut the text.
        let text = text.replace('\0', "\\0");
        match severity {
            Severity::Info => r2r::log_info!(&self.logger, "{text}"),
            Severity::Warning => r2r::log_warn!(&self.logger, "{text}"),
            Severity::Error => r2r::log_error!(&self.logger, "{text}"),
        }
    }
}
