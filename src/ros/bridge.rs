//! A ROS 2 node that carries serialized messages: raw subscriptions with callbacks, raw publishers, one thread that
//! spins. Knows topics, types and QoS; not what the bytes mean.
//!
//! r2r hands a subscription's messages to a stream that keeps the oldest eleven, so every message is taken out of it
//! right after the spin that brought it. The node lives on the spinning thread; what is to be made or dropped while it spins is
//! asked of that thread ([`Spinning::call`]).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures::{FutureExt, Stream, StreamExt};
use r2r::rosgraph_msgs::msg::Clock;
use r2r::{ParameterValue, QosProfile, ServiceRequest, WrappedServiceTypeSupport, WrappedTypesupport};

use super::graph::Graph;
use super::timing::{RosTime, stamped_ns};
use crate::config::{Qos, Reliability};

/// The longest that a spin waits for a message; also how soon a stop is noticed.
const SPIN_WAIT: Duration = Duration::from_millis(20);
/// How often the graph is asked who publishes on the subscribed topics.
const GRAPH_CHECK: Duration = Duration::from_secs(1);
/// Most spins that take what has already come before the simulated clock is moved on.
const CATCH_UP_SPINS: usize = 64;

/// Why a node, a subscription or a publisher could not be made, or a message not be sent.
#[derive(Debug, thiserror::Error)]
pub enum RosError {
    #[error("ROS 2 could not be initialised: {0}")]
    Init(String),
    #[error("the node `{name}` could not be created: {cause}")]
    Node { name: String, cause: r2r::Error },
    #[error(
        "{topic}: no support for {message_type} was compiled in; build with DF_MESSAGE_PACKAGES=\"{package}\" and a ROS \
         installation that holds it"
    )]
    NoTypeSupport { topic: String, message_type: String, package: String },
    #[error("{topic} ({message_type}): {cause}")]
    Topic { topic: String, message_type: String, cause: r2r::Error },
    #[error("parameter `{name}`: expected {expected}, got {got}")]
    Parameter { name: String, expected: &'static str, got: String },
    #[error("the ROS thread has ended")]
    Ended,
}

/// What a subscription's callback gets.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// When it was taken from the middleware, nanoseconds of ROS time.
    pub received_ns: i64,
    /// The serialized message: encapsulation header, then CDR.
    pub bytes: &'a [u8],
}

/// A node before it spins: subscriptions and publishers are made here.
pub struct Bridge {
    node: r2r::Node,
    inboxes: Vec<Inbox>,
    time: Arc<RosTime>,
    clock: Option<MessageStream>,
    on_graph_warning: Option<Box<dyn FnMut(String) + Send>>,
    each_spin: Vec<Box<dyn FnMut() + Send>>,
    has_services: bool,
}

/// How many subscriptions and callbacks there are.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    inboxes: usize,
    each_spin: usize,
}

type MessageStream = Pin<Box<dyn Stream<Item = Vec<u8>> + Send>>;
type Call = Box<dyn FnOnce(&mut Bridge) + Send>;

struct Inbox {
    topic: String,
    message_type: String,
    qos: Qos,
    stream: MessageStream,
    callback: Box<dyn FnMut(Received<'_>) + Send>,
}

impl Bridge {
    /// Initialises ROS 2 from the process's arguments (`--ros-args`) and creates a node.
    ///
    /// # Errors
    /// Arguments or a parameter file that rcl refuses, an invalid name.
    pub fn open(name: &str) -> Result<Self, RosError> {
        let context = create_context()?;
        let node = r2r::Node::create(context, name, "").map_err(|cause| RosError::Node { name: name.into(), cause })?;
        Ok(Self {
            node,
            inboxes: Vec::new(),
            time: Arc::new(RosTime::new(false)),
            clock: None,
            on_graph_warning: None,
            each_spin: Vec::new(),
            has_services: false,
        })
    }

    /// From now on `/clock` is the time.
    ///
    /// # Errors
    /// As [`Bridge::subscribe`].
    pub fn simulate_time(&mut self) -> Result<(), RosError> {
        let (topic, message_type) = ("/clock", "rosgraph_msgs/msg/Clock");
        let newest = QosProfile::default().keep_last(1).best_effort();
        let stream = self.node.subscribe_raw(topic, message_type, newest);
        self.clock = Some(Box::pin(stream.map_err(|cause| topic_error(topic, message_type, cause))?));
        self.time = Arc::new(RosTime::new(true));
        Ok(())
    }

    /// ROS time.
    pub fn time(&self) -> Arc<RosTime> {
        self.time.clone()
    }

    /// Calls `callback` on the spinning thread with every message on `topic`.
    ///
    /// # Errors
    /// A topic name that rcl refuses, a type that was not compiled in.
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
            .map_err(|cause| topic_error(topic, message_type, cause))?;
        self.inboxes.push(Inbox {
            topic: topic.into(),
            message_type: message_type.into(),
            qos: qos.clone(),
            stream: Box::pin(stream),
            callback: Box::new(callback),
        });
        Ok(())
    }

    /// What listens now: what [`Bridge::go_back_to`] takes.
    pub fn mark(&self) -> Mark {
        Mark { inboxes: self.inboxes.len(), each_spin: self.each_spin.len() }
    }

    /// Drops the subscriptions and callbacks made since. The middleware lets go of a subscription when the next message comes
    /// for it.
    pub fn go_back_to(&mut self, mark: Mark) {
        self.inboxes.truncate(mark.inboxes);
        self.each_spin.truncate(mark.each_spin);
    }

    /// Calls of a service, to be answered by whoever takes them from the stream.
    ///
    /// # Errors
    /// A name that rcl refuses.
    pub fn service<T: WrappedServiceTypeSupport + 'static>(
        &mut self,
        name: &str,
        qos: QosProfile,
    ) -> Result<impl Stream<Item = ServiceRequest<T>> + Send + use<T>, RosError> {
        self.has_services = true;
        let service = self.node.create_service::<T>(name, qos);
        service.map_err(|cause| topic_error(name, std::any::type_name::<T>(), cause))
    }

    /// A publisher of messages of a type that is known here.
    ///
    /// # Errors
    /// A name that rcl refuses.
    pub fn typed_publisher<T: WrappedTypesupport>(
        &mut self,
        topic: &str,
        qos: QosProfile,
    ) -> Result<r2r::Publisher<T>, RosError> {
        let publisher = self.node.create_publisher::<T>(topic, qos);
        publisher.map_err(|cause| topic_error(topic, std::any::type_name::<T>(), cause))
    }

    /// Destroys a publisher and all its copies.
    pub fn drop_typed_publisher<T: WrappedTypesupport>(&mut self, publisher: r2r::Publisher<T>) {
        self.node.destroy_publisher(publisher);
    }

    /// Destroys a publisher and all its copies.
    pub fn drop_publisher(&mut self, publisher: RawPublisher) {
        self.node.destroy_publisher_untyped(publisher.publisher);
    }

    /// A publisher of serialized messages; it may move to any thread.
    ///
    /// # Errors
    /// As [`Bridge::subscribe`].
    pub fn publisher(&mut self, topic: &str, message_type: &str, qos: &Qos) -> Result<RawPublisher, RosError> {
        let publisher = self
            .node
            .create_publisher_untyped(topic, message_type, profile(qos))
            .map_err(|cause| topic_error(topic, message_type, cause))?;
        Ok(RawPublisher { publisher, topic: topic.into(), message_type: message_type.into() })
    }

    /// A ROS parameter given at start (`-p name:=value` or a parameter file).
    ///
    /// # Errors
    /// It was given and is not a string.
    pub fn string_parameter(&self, name: &str) -> Result<Option<String>, RosError> {
        match self.parameter(name) {
            None => Ok(None),
            Some(ParameterValue::String(value)) => Ok(Some(value)),
            Some(other) => Err(wrong_parameter(name, "a string", &other)),
        }
    }

    /// As [`Bridge::string_parameter`], true or false.
    ///
    /// # Errors
    /// It was given and is not a boolean.
    pub fn bool_parameter(&self, name: &str) -> Result<Option<bool>, RosError> {
        match self.parameter(name) {
            None => Ok(None),
            Some(ParameterValue::Bool(value)) => Ok(Some(value)),
            Some(other) => Err(wrong_parameter(name, "true or false", &other)),
        }
    }

    /// Every ROS parameter given at start.
    pub fn given_parameters(&self) -> Vec<(String, ParameterValue)> {
        let parameters = self.node.params.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        parameters.iter().map(|(name, parameter)| (name.clone(), parameter.value.clone())).collect()
    }

    /// The node's name with its namespace, such as `/robot_1/df_planner`.
    pub fn full_name(&self) -> String {
        self.node.fully_qualified_name().unwrap_or_default()
    }

    /// The node's logger, for `r2r::log_warn!` and its kin: they reach the console and `/rosout`.
    pub fn logger(&self) -> String {
        self.node.logger().to_string()
    }

    /// Calls `tell` when someone publishes another type or an incompatible QoS on a subscribed topic. DDS does not
    /// connect such a publisher, so that nothing but silence would be seen.
    pub fn on_graph_warning(&mut self, tell: impl FnMut(String) + Send + 'static) {
        self.on_graph_warning = Some(Box::new(tell));
    }

    /// Calls `callback` on the spinning thread after every spin, 20 ms apart at most: what waits for something looks there.
    pub fn each_spin(&mut self, callback: impl FnMut() + Send + 'static) {
        self.each_spin.push(Box::new(callback));
    }

    /// Starts the thread that takes messages and calls the callbacks.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn spin(self) -> std::io::Result<Spinning> {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = stop.clone();
        let (calls, asked) = mpsc::channel();
        let thread = std::thread::Builder::new().name("ros_spin".into()).spawn(move || self.run(&seen, &asked))?;
        Ok(Spinning { stop, calls, thread: Some(thread) })
    }

    fn run(mut self, stop: &AtomicBool, asked: &mpsc::Receiver<Call>) {
        let mut graph = Graph::default();
        let mut checked = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            if self.inboxes.is_empty() && !self.has_services && self.clock.is_none() {
                // rcl returns at once when there is nothing to wait for.
                std::thread::sleep(SPIN_WAIT);
            }
            self.node.spin_once(SPIN_WAIT);
            self.hand_over();
            if let Some(now_ns) = self.clock_reading() {
                // What was sent before the clock moved on is looked at before it moves on.
                for _ in 0..CATCH_UP_SPINS {
                    self.node.spin_once(Duration::ZERO);
                    if !self.hand_over() {
                        break;
                    }
                }
                self.time.set(now_ns);
            }
            self.each_spin.iter_mut().for_each(|callback| callback());
            asked.try_iter().for_each(|call| call(&mut self));
            if checked.elapsed() >= GRAPH_CHECK {
                checked = Instant::now();
                self.check_graph(&mut graph);
            }
        }
    }

    /// Gives the callbacks what has come; whether anything has.
    fn hand_over(&mut self) -> bool {
        let received_ns = self.time.now_ns();
        let mut any = false;
        for inbox in &mut self.inboxes {
            while let Some(Some(bytes)) = inbox.stream.next().now_or_never() {
                (inbox.callback)(Received { received_ns, bytes: &bytes });
                any = true;
            }
        }
        if any {
            self.time.ring();
        }
        any
    }

    /// The newest time that `/clock` has brought, if any.
    fn clock_reading(&mut self) -> Option<i64> {
        let stream = self.clock.as_mut()?;
        let mut newest = None;
        while let Some(Some(bytes)) = stream.next().now_or_never() {
            // A message that is no clock does not move it: time stands still, which every tick sees.
            if let Ok(Clock { clock }) = Clock::from_serialized_bytes(&bytes) {
                newest = Some(stamped_ns(&clock));
            }
        }
        newest
    }

    fn check_graph(&mut self, graph: &mut Graph) {
        let Some(tell) = &mut self.on_graph_warning else { return };
        for inbox in &self.inboxes {
            let complaints = graph.check(&self.node, &inbox.topic, &inbox.message_type, &inbox.qos);
            complaints.into_iter().for_each(&mut *tell);
        }
    }

    fn parameter(&self, name: &str) -> Option<ParameterValue> {
        let parameters = self.node.params.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        parameters.get(name).map(|p| p.value.clone()).filter(|v| *v != ParameterValue::NotSet)
    }
}

/// A spinning node. Dropped: stopped and joined; every publisher of the node is dead afterwards.
pub struct Spinning {
    stop: Arc<AtomicBool>,
    calls: mpsc::Sender<Call>,
    thread: Option<JoinHandle<()>>,
}

impl Spinning {
    /// Has something done with the node by its thread, between two spins, and waits for the result.
    ///
    /// # Errors
    /// [`RosError::Ended`].
    pub fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Bridge) -> Result<T, RosError> + Send + 'static,
    ) -> Result<T, RosError> {
        let (sender, answer) = mpsc::channel();
        // Nobody waits for the answer any more only if this thread has panicked.
        let call: Call = Box::new(move |bridge| drop(sender.send(work(bridge))));
        self.calls.send(call).map_err(|_| RosError::Ended)?;
        answer.recv().map_err(|_| RosError::Ended)?
    }

    /// Has the thread ended (it only does so by itself by panicking)?
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Stops the thread and destroys the node.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Spinning {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was already printed by the panic hook.
            let _ = thread.join();
        }
    }
}

/// Publishes serialized messages on one topic.
#[derive(Clone)]
pub struct RawPublisher {
    publisher: r2r::PublisherUntyped,
    topic: String,
    message_type: String,
}

impl RawPublisher {
    /// Publishes bytes (encapsulation header, then CDR). The middleware does not check that they are of the type.
    ///
    /// # Errors
    /// The node is gone, or the middleware refuses.
    pub fn publish(&self, bytes: &[u8]) -> Result<(), RosError> {
        self.publisher.publish_raw(bytes).map_err(|cause| topic_error(&self.topic, &self.message_type, cause))
    }

    /// How many subscriptions of other processes are connected.
    pub fn subscribers(&self) -> usize {
        self.publisher.get_inter_process_subscription_count().unwrap_or(0)
    }
}

/// The process's one context. r2r panics where rcl refuses the arguments; that is a user's mistake, not a bug here.
fn create_context() -> Result<r2r::Context, RosError> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = catch_unwind(AssertUnwindSafe(r2r::Context::create));
    std::panic::set_hook(hook);
    match result {
        Ok(Ok(context)) => Ok(context),
        Ok(Err(error)) => Err(RosError::Init(error.to_string())),
        Err(panic) => {
            let message = panic.downcast_ref::<String>().cloned();
            Err(RosError::Init(message.unwrap_or_else(|| "rcl refused the arguments after --ros-args".into())))
        }
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

fn topic_error(topic: &str, message_type: &str, cause: r2r::Error) -> RosError {
    let (topic, message_type) = (topic.to_string(), message_type.to_string());
    if matches!(cause, r2r::Error::InvalidMessageType { .. }) {
        let package = message_type.split('/').next().unwrap_or_default().to_string();
        return RosError::NoTypeSupport { topic, message_type, package };
    }
    RosError::Topic { topic, message_type, cause }
}

fn wrong_parameter(name: &str, expected: &'static str, got: &ParameterValue) -> RosError {
    RosError::Parameter { name: name.into(), expected, got: format!("{got:?}") }
}
