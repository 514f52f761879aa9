//! A publisher whose messages are made only while someone listens.

use r2r::{QosProfile, WrappedTypesupport};

use super::bridge::{Bridge, RosError};

/// Publishes what people look at.
#[derive(Clone)]
pub struct Watched<T: WrappedTypesupport> {
    publisher: r2r::Publisher<T>,
    topic: String,
}

impl<T: WrappedTypesupport + 'static> Watched<T> {
    /// Reliable, volatile, the newest `depth` messages.
    ///
    /// # Errors
    /// A topic name that rcl refuses.
    pub fn open(bridge: &mut Bridge, topic: &str, depth: usize) -> Result<Self, RosError> {
        Ok(Self {
            publisher: bridge.typed_publisher(topic, QosProfile::default().keep_last(depth))?,
            topic: topic.into(),
        })
    }

    /// Destroys the publisher and all its clones.
    pub fn close(self, bridge: &mut Bridge) {
        bridge.drop_typed_publisher(self.publisher);
    }

    /// Makes a message and publishes it; does nothing where nobody listens.
    ///
    /// # Errors
    /// The node is gone, or the middleware refuses.
    pub fn publish(&self, make: impl FnOnce() -> T) -> Result<(), RosError> {
        // Where the middleware does not know, the node is being destroyed: nobody listens any more.
        let listeners = self.publisher.get_inter_process_subscription_count().unwrap_or(0);
        for_listeners(listeners, make, |message| self.publisher.publish(&message))
            .map_err(|cause| refused::<T>(&self.topic, cause))
    }
}

fn for_listeners<T, E>(
    listeners: usize,
    make: impl FnOnce() -> T,
    send: impl FnOnce(T) -> Result<(), E>,
) -> Result<(), E> {
    if listeners > 0 { send(make()) } else { Ok(()) }
}

fn refused<T>(topic: &str, cause: r2r::Error) -> RosError {
    RosError::Topic { topic: topic.into(), message_type: std::any::type_name::<T>().into(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_made_where_nobody_listens() {
        let mut sent = Vec::new();
        for (listeners, made) in [(0, "nobody sees this"), (1, "once"), (3, "once for all")] {
            for_listeners(
                listeners,
                || if listeners == 0 { panic!("made for nobody") } else { made },
                |message| {
                    sent.push(message);
                    Ok::<(), ()>(())
                },
            )
            .unwrap();
        }
        assert_eq!(sent, ["once", "once for all"]);
        assert_eq!(for_listeners(1, || (), |()| Err("the node is gone")), Err("the node is gone"));
    }
}
