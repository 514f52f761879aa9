//! Publishes commands on the action topic.

use std::sync::Arc;

use crate::ros::node_handle::{RawPublisher, RosError};
use df_message::{Encoder, MessageError};
use df_planning::Command;

/// Encodes and publishes commands. A clone publishes on the same topic.
#[derive(Clone)]
pub(crate) struct ActionPublisher {
    /// The action topic.
    pub publisher: RawPublisher,
    /// Writes the action's channels into a message.
    pub encoder: Arc<Encoder>,
}

/// Why a command was not published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActionError {
    /// A value does not fit into the message.
    #[error("the command cannot be encoded: {0}")]
    Encode(#[from] MessageError),
    /// The node is destroyed, or the middleware refuses.
    #[error("the command cannot be published: {0}")]
    Publish(#[from] RosError),
}

impl ActionPublisher {
    /// Publishes `command`, stamped with its tick.
    ///
    /// # Errors
    /// [`ActionError`].
    pub(crate) fn publish(&self, command: &Command) -> Result<(), ActionError> {
        Ok(self.publisher.publish(&self.encoder.encode(command.tick_ns, "", &command.values)?)?)
    }
}
