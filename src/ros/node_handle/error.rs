//! What can go wrong between a node and ROS.

/// Why a node, a subscription or a publisher cannot be made, or a message cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum RosError {
    /// ROS 2 refuses the process's arguments or environment.
    #[error("ROS 2 could not be initialised: {0}")]
    Init(String),
    /// rcl refuses the node, for example because of its name.
    #[error("the node `{name}` could not be created: {cause}")]
    Node {
        /// The requested name.
        name: String,
        /// The error of rcl.
        cause: r2r::Error,
    },
    /// The message type was not found when this program was compiled.
    #[error(
        "{topic}: no support for {message_type} was compiled in; build with DF_MESSAGE_PACKAGES=\"{package}\" and a ROS \
         installation that holds it"
    )]
    NoTypeSupport {
        /// The topic as it was given.
        topic: String,
        /// Such as `nav_msgs/msg/Odometry`.
        message_type: String,
        /// The package of the type.
        package: String,
    },
    /// rcl or the middleware refuses a topic, a service or a message.
    #[error("{topic} ({message_type}): {cause}")]
    Topic {
        /// The topic or service as it was given.
        topic: String,
        /// Such as `nav_msgs/msg/Odometry`.
        message_type: String,
        /// The error of rcl.
        cause: r2r::Error,
    },
    /// A ROS parameter has the wrong type.
    #[error("parameter `{name}`: expected {expected}, got {got}")]
    Parameter {
        /// The parameter.
        name: String,
        /// The expected type in words.
        expected: &'static str,
        /// The value that was given.
        got: String,
    },
    /// The system gives no thread.
    #[error("the system refuses the thread `{name}`: {cause}")]
    Thread {
        /// The thread's name.
        name: &'static str,
        /// The error of the system.
        cause: std::io::Error,
    },
    /// The executor's thread has ended, so the node is gone.
    #[error("the ROS thread has ended: the node can no longer be used")]
    Ended,
}

impl RosError {
    /// An error on `topic`. Names the package to build with where the type is missing.
    pub(super) fn on_topic(topic: &str, message_type: &str, cause: r2r::Error) -> Self {
        let (topic, message_type) = (topic.to_string(), message_type.to_string());
        if matches!(cause, r2r::Error::InvalidMessageType { .. }) {
            let package = message_type.split('/').next().unwrap_or_default().to_string();
            return Self::NoTypeSupport { topic, message_type, package };
        }
        Self::Topic { topic, message_type, cause }
    }

    /// As [`RosError::on_topic`], for a message type that is known at compile time.
    pub(super) fn on_typed_topic<T>(topic: &str, cause: r2r::Error) -> Self {
        Self::on_topic(topic, std::any::type_name::<T>(), cause)
    }
}
