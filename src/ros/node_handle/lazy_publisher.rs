//! A publisher that builds a message only if somebody subscribes.

use r2r::{QosProfile, WrappedTypesupport};

use super::NodeHandle;
use super::error::RosError;

/// Publishes messages for displays and tools. A clone publishes on the same topic.
#[derive(Clone)]
pub(crate) struct LazyPublisher<T: WrappedTypesupport> {
    publisher: r2r::Publisher<T>,
    topic: String,
}

impl<T: WrappedTypesupport + 'static> LazyPublisher<T> {
    /// Advertises `topic`: reliable, volatile, keeps the newest `depth` messages.
    ///
    /// # Errors
    /// rcl refuses the topic's name.
    pub(crate) fn open(handle: &mut NodeHandle, topic: &str, depth: usize) -> Result<Self, RosError> {
        Ok(Self {
            publisher: handle.typed_publisher(topic, QosProfile::default().keep_last(depth))?,
            topic: topic.into(),
        })
    }

    /// Destroys the publisher and all its clones.
    pub(crate) fn close(self, handle: &mut NodeHandle) {
        handle.drop_typed_publisher(self.publisher);
    }

    /// Builds and publishes a message if there is a subscriber; otherwise does nothing.
    ///
    /// # Errors
    /// The node is destroyed, or the middleware refuses.
    pub(crate) fn publish(&self, build: impl FnOnce() -> T) -> Result<(), RosError> {
        // The count fails only while the node is being destroyed: nobody subscribes any more.
        let subscribers = self.publisher.get_inter_process_subscription_count().unwrap_or(0);
        build_and_send(subscribers, build, |message| self.publisher.publish(&message))
            .map_err(|cause| RosError::on_typed_topic::<T>(&self.topic, cause))
    }
}

fn build_and_send<T, E>(
    subscribers: usize,
    build: impl FnOnce() -> T,
    send: impl FnOnce(T) -> Result<(), E>,
) -> Result<(), E> {
    if subscribers > 0 { send(build()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_is_built_without_a_subscriber() {
        let mut sent = Vec::new();
        for (subscribers, message) in [(0, "never built"), (1, "for one"), (3, "once for all three")] {
            build_and_send(
                subscribers,
                || if subscribers == 0 { panic!("built without a subscriber") } else { message },
                |message| {
                    sent.push(message);
                    Ok::<(), ()>(())
                },
            )
            .unwrap();
        }
        assert_eq!(sent, ["for one", "once for all three"]);
        assert_eq!(build_and_send(1, || (), |()| Err("the node is gone")), Err("the node is gone"));
    }
}
