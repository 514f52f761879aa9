//! `/tf` and `/tf_static` into the buffer of transforms. Subscribed only where something may lie in another frame.

use std::sync::{Arc, Mutex};

use nalgebra::Isometry3;

use super::bridge::{Bridge, Received, RosError};
use super::driving::lock;
use super::notice::Notices;
use crate::config::{Qos, Reliability};
use crate::frames::{Buffer, Inserted, LookupError, Transform, When};
use crate::message::{TF_MESSAGE, transforms};

/// How long dynamic transforms are kept, seconds: the default of tf2.
const WINDOW_S: f64 = 10.0;
/// Messages that wait to be read: as tf2_ros's listeners have it.
const DEPTH: usize = 100;

/// The buffer, shared by those who fill it and those who ask.
#[derive(Clone)]
pub struct Transforms {
    buffer: Arc<Mutex<Buffer>>,
    notices: Notices,
}

impl Transforms {
    /// An empty buffer.
    pub fn new(notices: Notices) -> Self {
        Self { buffer: Arc::new(Mutex::new(Buffer::new(WINDOW_S))), notices }
    }

    /// Listens to `/tf` and `/tf_static`.
    ///
    /// # Errors
    /// As [`Bridge::subscribe`]; [`RosError::NoTypeSupport`] where tf2_msgs is not compiled in.
    pub fn subscribe(&self, bridge: &mut Bridge) -> Result<(), RosError> {
        for (topic, is_static) in [("/tf", false), ("/tf_static", true)] {
            let qos = Qos { reliability: Reliability::Reliable, depth: DEPTH, transient_local: is_static };
            let own = self.clone();
            bridge.subscribe(topic, TF_MESSAGE, &qos, move |received| own.heard(topic, is_static, received))?;
        }
        Ok(())
    }

    /// `target_from_source`.
    ///
    /// # Errors
    /// Which transform is missing, and by how much.
    pub fn lookup(&self, target: &str, source: &str, when: When) -> Result<Isometry3<f64>, LookupError> {
        lock(&self.buffer).lookup(target, source, when)
    }

    #[cfg(test)]
    pub fn insert(&self, transform: Transform, now_ns: i64) {
        lock(&self.buffer).insert(transform, false, now_ns).unwrap();
    }

    fn heard(&self, topic: &str, is_static: bool, received: Received<'_>) {
        let list = match transforms(received.bytes) {
            Ok(list) => list,
            Err(error) => return self.notices.warn(topic, format!("{topic}: message refused: {error}")),
        };
        for heard in list {
            let transform =
                Transform::new(&heard.parent, &heard.child, heard.stamp_ns, heard.translation_m, heard.rotation);
            let inserted =
                transform.and_then(|transform| lock(&self.buffer).insert(transform, is_static, received.received_ns));
            match inserted {
                Ok(Inserted::Added) => {}
                Ok(Inserted::Reparented { from }) => {
                    let (parent, child) = (&heard.parent, &heard.child);
                    let text = format!("{topic}: `{child}` lies in `{parent}` now, and no longer in `{from}`");
                    self.notices.warn(format!("{topic} {child}"), text);
                }
                Err(error) => {
                    let kind = format!("{topic} {} {}", heard.parent, heard.child);
                    self.notices.warn(kind, format!("{topic}: transform refused: {error}"));
                }
            }
        }
    }
}
