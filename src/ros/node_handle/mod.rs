//! A ROS 2 node that carries serialized messages. It handles topics, types and QoS; the
//! meaning of the bytes is the caller's.
//!
//! ```text
//! NodeHandle::open -> subscribe, publisher, service ... -> spin -> Executor, which owns the thread
//! ```
//! The node lives on the executor's thread. To make or drop something while it spins, send work to
//! that thread with [`Executor::call`].

mod context;
mod error;
mod executor;
mod graph;
mod lazy_publisher;
mod publisher;
mod remapping;

use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use r2r::{ParameterValue, QosProfile, ServiceRequest, WrappedServiceTypeSupport, WrappedTypesupport};

pub use error::RosError;
pub use executor::Executor;
pub(super) use lazy_publisher::LazyPublisher;
pub use publisher::RawPublisher;

use super::lock::lock;
use super::ros_time::RosTime;
use df_core::{Qos, Reliability};

/// A received message, as a subscription's callback gets it.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// When it was taken from the middleware, nanoseconds of ROS time.
    pub received_ns: i64,
    /// The serialized message: encapsulation header, then CDR.
    pub bytes: &'a [u8],
}

/// A node with its subscriptions and callbacks.
pub struct NodeHandle {
    node: r2r::Node,
    subscriptions: Vec<Subscription>,
    time: Arc<RosTime>,
    clock: Option<MessageStream>,
    on_graph_warning: Option<Box<dyn FnMut(String) + Send>>,
    after_spin: Vec<Box<dyn FnMut() + Send>>,
    has_services: bool,
}

/// The subscriptions and callbacks of a [`NodeHandle`] at some time, see [`NodeHandle::rollback`].
#[derive(Clone, Copy, Debug)]
pub struct Checkpoint {
    subscriptions: usize,
    after_spin: usize,
}

type MessageStream = Pin<Box<dyn Stream<Item = Vec<u8>> + Send>>;

struct Subscription {
    topic: String,
    message_type: String,
    qos: Qos,
    stream: MessageStream,
    callback: Box<dyn FnMut(Received<'_>) + Send>,
}

impl NodeHandle {
    /// Initialises ROS 2 from the process's arguments (`--ros-args`) and creates a node.
    ///
    /// # Errors
    /// rcl refuses the arguments, a parameter file or the name.
    pub fn open(name: &str) -> Result<Self, RosError> {
        let context = context::create_context()?;
        let node = r2r::Node::create(context, name, "").map_err(|cause| RosError::Node { name: name.into(), cause })?;
        Ok(Self {
            node,
            subscriptions: Vec::new(),
            time: Arc::new(RosTime::new(false)),
            clock: None,
            on_graph_warning: None,
            after_spin: Vec::new(),
            has_services: false,
        })
    }

    /// Takes the time from `/clock` from now on.
    ///
    /// # Errors
    /// As [`NodeHandle::subscribe`].
    pub fn simulate_time(&mut self) -> Result<(), RosError> {
        let (topic, message_type) = ("/clock", "rosgraph_msgs/msg/Clock");
        let newest = QosProfile::default().keep_last(1).best_effort();
        let stream = self.node.subscribe_raw(topic, message_type, newest);
        self.clock = Some(Box::pin(stream.map_err(|cause| RosError::on_topic(topic, message_type, cause))?));
        self.time = Arc::new(RosTime::new(true));
        Ok(())
    }

    /// The node's clock.
    pub fn time(&self) -> Arc<RosTime> {
        self.time.clone()
    }

    /// Calls `callback` on the executor's thread with every message on `topic`.
    ///
    /// # Errors
    /// rcl refuses the topic's name, or the message type was not compiled in.
    pub fn subscribe(
        &mut self,
        topic: &str,
        message_type: &str,
        qos: &Qos,
        callback: impl FnMut(Received<'_>) + Send + 'static,
    ) -> Result<(), RosError> {
        let stream = self
            .node
            .subscribe_raw(topic, message_type, profile(qos))
            .map_err(|cause| RosError::on_topic(topic, message_type, cause))?;
        self.subscriptions.push(Subscription {
            topic: topic.into(),
            message_type: message_type.into(),
            qos: qos.clone(),
            stream: Box::pin(stream),
            callback: Box::new(callback),
        });
        Ok(())
    }

    /// Calls `callback` on the executor's thread after every spin, at least every 20 ms.
    pub fn after_each_spin(&mut self, callback: impl FnMut() + Send + 'static) {
        self.after_spin.push(Box::new(callback));
    }

    /// Remembers the present subscriptions and callbacks.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint { subscriptions: self.subscriptions.len(), after_spin: self.after_spin.len() }
    }

    /// Drops the subscriptions and callbacks made since `checkpoint`. The middleware destroys a
    /// subscription only when its next message arrives.
    pub fn rollback(&mut self, checkpoint: Checkpoint) {
        self.subscriptions.truncate(checkpoint.subscriptions);
        self.after_spin.truncate(checkpoint.after_spin);
    }

    /// Serves `name`. Returns the requests; the receiver must respond to each.
    ///
    /// # Errors
    /// rcl refuses the name.
    pub fn service<T: WrappedServiceTypeSupport + 'static>(
        &mut self,
        name: &str,
        qos: QosProfile,
    ) -> Result<impl Stream<Item = ServiceRequest<T>> + Send + use<T>, RosError> {
        self.has_services = true;
        self.node.create_service::<T>(name, qos).map_err(|cause| RosError::on_typed_topic::<T>(name, cause))
    }

    /// Advertises `topic` for a message type that is known at compile time.
    ///
    /// # Errors
    /// rcl refuses the topic's name.
    pub fn typed_publisher<T: WrappedTypesupport>(
        &mut self,
        topic: &str,
        qos: QosProfile,
    ) -> Result<r2r::Publisher<T>, RosError> {
        self.node.create_publisher::<T>(topic, qos).map_err(|cause| RosError::on_typed_topic::<T>(topic, cause))
    }

    /// Destroys a publisher and all its clones.
    pub fn drop_typed_publisher<T: WrappedTypesupport>(&mut self, publisher: r2r::Publisher<T>) {
        self.node.destroy_publisher(publisher);
    }

    /// Advertises `topic` for serialized messages. The publisher may move to any thread.
    ///
    /// # Errors
    /// As [`NodeHandle::subscribe`].
    pub fn publisher(&mut self, topic: &str, message_type: &str, qos: &Qos) -> Result<RawPublisher, RosError> {
        let publisher = self
            .node
            .create_publisher_untyped(topic, message_type, profile(qos))
            .map_err(|cause| RosError::on_topic(topic, message_type, cause))?;
        Ok(RawPublisher { publisher, topic: topic.into(), message_type: message_type.into() })
    }

    /// Destroys a publisher and all its clones.
    pub fn drop_publisher(&mut self, publisher: RawPublisher) {
        self.node.destroy_publisher_untyped(publisher.publisher);
    }

    /// A text parameter given at start (`-p name:=value` or a parameter file).
    ///
    /// # Errors
    /// The value is not a string.
    pub fn string_parameter(&self, name: &str) -> Result<Option<String>, RosError> {
        match self.parameter(name) {
            None => Ok(None),
            Some(ParameterValue::String(value)) => Ok(Some(value)),
            Some(other) => Err(wrong_parameter(name, "a string", &other)),
        }
    }

    /// A boolean parameter given at start.
    ///
    /// # Errors
    /// The value is not a boolean.
    pub fn bool_parameter(&self, name: &str) -> Result<Option<bool>, RosError> {
        match self.parameter(name) {
            None => Ok(None),
            Some(ParameterValue::Bool(value)) => Ok(Some(value)),
            Some(other) => Err(wrong_parameter(name, "true or false", &other)),
        }
    }

    /// All parameters given at start.
    pub fn given_parameters(&self) -> Vec<(String, ParameterValue)> {
        lock(&self.node.params).iter().map(|(name, parameter)| (name.clone(), parameter.value.clone())).collect()
    }

    /// The node's name with its namespace, such as `/robot_1/df_planner`.
    pub fn full_name(&self) -> String {
        self.node.fully_qualified_name().unwrap_or_default()
    }

    /// The name of the node's logger, for `r2r::log_warn!` and the like.
    pub fn logger(&self) -> String {
        self.node.logger().to_string()
    }

    /// Calls `warn` if a publisher on a subscribed topic has another type or an incompatible QoS.
    /// DDS does not connect such a publisher, so its messages never arrive.
    pub fn on_graph_warning(&mut self, warn: impl FnMut(String) + Send + 'static) {
        self.on_graph_warning = Some(Box::new(warn));
    }

    fn parameter(&self, name: &str) -> Option<ParameterValue> {
        let parameters = lock(&self.node.params);
        parameters.get(name).map(|p| p.value.clone()).filter(|v| *v != ParameterValue::NotSet)
    }
}

fn profile(qos: &Qos) -> QosProfile {
    let profile = QosProfile::default().keep_last(qos.depth);
    let profile = match qos.reliability {
        Reliability::Reliable => profile.reliable(),
        Reliability::BestEffort => profile.best_effort(),
    };
    if qos.transient_local { profile.transient_local() } else { profile.volatile() }
}

fn wrong_parameter(name: &str, expected: &'static str, got: &ParameterValue) -> RosError {
    RosError::Parameter { name: name.into(), expected, got: format!("{got:?}") }
}
