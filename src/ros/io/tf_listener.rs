//! Receives `/tf` and `/tf_static` into the transform buffer.

use std::sync::{Arc, Mutex};

use nalgebra::Isometry3;

use crate::ros::lock::lock;
use crate::ros::node_handle::{NodeHandle, Received, RosError};
use crate::ros::report::ThrottledLog;
use df_core::tf::{Buffer, Inserted, LookupError, Transform, When};
use df_core::{Qos, Reliability};
use df_message::{TF_MESSAGE, transforms};

/// How long dynamic transforms are kept, seconds: the default of tf2.
const WINDOW_S: f64 = 10.0;
/// The depth of the subscriptions' queues, as in tf2_ros.
const DEPTH: usize = 100;

/// Fills a transform buffer and looks transforms up. All clones share the buffer.
#[derive(Clone)]
pub(crate) struct TfListener {
    buffer: Arc<Mutex<Buffer>>,
    log: ThrottledLog,
}

impl TfListener {
    /// A listener with an empty buffer. It receives nothing before [`TfListener::subscribe`].
    pub(crate) fn new(log: ThrottledLog) -> Self {
        Self { buffer: Arc::new(Mutex::new(Buffer::new(WINDOW_S))), log }
    }

    /// Subscribes to `/tf` and `/tf_static`.
    ///
    /// # Errors
    /// As [`NodeHandle::subscribe`]; [`RosError::NoTypeSupport`] if tf2_msgs was not compiled in.
    pub(crate) fn subscribe(&self, handle: &mut NodeHandle) -> Result<(), RosError> {
        for (topic, is_static) in [("/tf", false), ("/tf_static", true)] {
            let qos = Qos { reliability: Reliability::Reliable, depth: DEPTH, transient_local: is_static };
            let listener = self.clone();
            handle.subscribe(topic, TF_MESSAGE, &qos, move |received| listener.receive(topic, is_static, received))?;
        }
        Ok(())
    }

    /// The transform `target_from_source`: it maps coordinates in `source` to those in `target`.
    ///
    /// # Errors
    /// A frame is unknown, or no transform is known at that time. The error names both.
    pub(crate) fn lookup(&self, target: &str, source: &str, when: When) -> Result<Isometry3<f64>, LookupError> {
        lock(&self.buffer).lookup(target, source, when)
    }

    /// Inserts a dynamic transform.
    #[cfg(test)]
    pub(crate) fn insert(&self, transform: Transform, now_ns: i64) {
        lock(&self.buffer).insert(transform, false, now_ns).unwrap();
    }

    fn receive(&self, topic: &str, is_static: bool, received: Received<'_>) {
        let list = match transforms(received.bytes) {
            Ok(list) => list,
            Err(error) => return self.log.warn(topic, format!("{topic}: message refused: {error}")),
        };
        for entry in list {
            let transform =
                Transform::new(&entry.parent, &entry.child, entry.stamp_ns, entry.translation_m, entry.rotation);
            let inserted =
                transform.and_then(|transform| lock(&self.buffer).insert(transform, is_static, received.received_ns));
            match inserted {
                Ok(Inserted::Added) => {}
                Ok(Inserted::Reparented { from }) => {
                    let (parent, child) = (&entry.parent, &entry.child);
                    let text = format!("{topic}: the parent of `{child}` is now `{parent}`; it was `{from}`");
                    self.log.warn(format!("{topic} {child}"), text);
                }
                Err(error) => {
                    let key = format!("{topic} {} {}", entry.parent, entry.child);
                    self.log.warn(key, format!("{topic}: transform refused: {error}"));
                }
            }
        }
    }
}
