//! A publisher of serialized messages.

use super::error::RosError;

/// Publishes serialized messages on one topic. A clone publishes on the same topic.
#[derive(Clone)]
pub struct RawPublisher {
    pub(super) publisher: r2r::PublisherUntyped,
    pub(super) topic: String,
    pub(super) message_type: String,
}

impl RawPublisher {
    /// Publishes bytes: the encapsulation header, then CDR. The middleware does not check that the
    /// bytes fit the message type.
    ///
    /// # Errors
    /// The node is destroyed, or the middleware refuses.
    pub fn publish(&self, bytes: &[u8]) -> Result<(), RosError> {
        self.publisher.publish_raw(bytes).map_err(|cause| RosError::on_topic(&self.topic, &self.message_type, cause))
    }

    /// The number of connected subscriptions in other processes.
    pub fn subscribers(&self) -> usize {
        self.publisher.get_inter_process_subscription_count().unwrap_or(0)
    }
}
