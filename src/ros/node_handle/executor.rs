//! The thread that spins a node: takes messages, calls the callbacks, runs work sent to it.
//!
//! r2r hands a subscription's messages to a stream that keeps the oldest eleven. So each message is
//! taken from its stream right after the spin that brought it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures::{FutureExt, StreamExt};
use r2r::WrappedTypesupport;
use r2r::rosgraph_msgs::msg::Clock;

use super::error::RosError;
use super::graph::GraphChecker;
use super::{NodeHandle, Received};
use crate::ros::ros_time::stamped_ns;

/// The longest wait of one spin for a message. A stop is noticed as soon as it ends.
const SPIN_WAIT: Duration = Duration::from_millis(20);
/// The time between two checks of the publishers on the subscribed topics.
const GRAPH_CHECK: Duration = Duration::from_secs(1);
/// The maximum number of spins that take waiting messages before the simulated clock moves on.
const MAX_CATCH_UP_SPINS: usize = 64;
const THREAD: &str = "ros_spin";

type Call = Box<dyn FnOnce(&mut NodeHandle) + Send>;

/// A spinning node. Dropping it stops and joins the thread and destroys the node with all its
/// publishers.
pub struct Executor {
    stop: Arc<AtomicBool>,
    calls: mpsc::Sender<Call>,
    thread: Option<JoinHandle<()>>,
}

impl Executor {
    fn start(handle: NodeHandle) -> Result<Self, RosError> {
        let stop = Arc::new(AtomicBool::new(false));
        let stop_flag = stop.clone();
        let (calls, waiting_calls) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name(THREAD.into())
            .spawn(move || handle.run(&stop_flag, &waiting_calls))
            .map_err(|cause| RosError::Thread { name: THREAD, cause })?;
        Ok(Self { stop, calls, thread: Some(thread) })
    }

    /// Runs `work` on the executor's thread between two spins and waits for its result.
    ///
    /// # Errors
    /// The error of `work`, or [`RosError::Ended`].
    pub fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut NodeHandle) -> Result<T, RosError> + Send + 'static,
    ) -> Result<T, RosError> {
        let (sender, result) = mpsc::channel();
        // Sending fails only if the calling thread has panicked: nobody waits for the result.
        let call: Call = Box::new(move |handle| drop(sender.send(work(handle))));
        self.calls.send(call).map_err(|_| RosError::Ended)?;
        result.recv().map_err(|_| RosError::Ended)?
    }

    /// True if the thread has ended. It ends by itself only if it panics.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // The panic hook has already printed a panic of the thread.
            let _ = thread.join();
        }
    }
}

impl NodeHandle {
    /// Starts the thread that takes messages and calls the callbacks.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn spin(self) -> Result<Executor, RosError> {
        Executor::start(self)
    }

    fn run(mut self, stop: &AtomicBool, calls: &mpsc::Receiver<Call>) {
        let mut graph = GraphChecker::default();
        let mut checked = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            if self.subscriptions.is_empty() && !self.has_services && self.clock.is_none() {
                // rcl returns at once if there is nothing to wait for.
                std::thread::sleep(SPIN_WAIT);
            }
            self.node.spin_once(SPIN_WAIT);
            self.deliver();
            if let Some(now_ns) = self.take_clock() {
                // Deliver what was sent before the clock moved, then move the clock.
                for _ in 0..MAX_CATCH_UP_SPINS {
                    self.node.spin_once(Duration::ZERO);
                    if !self.deliver() {
                        break;
                    }
                }
                self.time.set(now_ns);
            }
            self.after_spin.iter_mut().for_each(|callback| callback());
            calls.try_iter().for_each(|call| call(&mut self));
            if checked.elapsed() >= GRAPH_CHECK {
                checked = Instant::now();
                self.check_graph(&mut graph);
            }
        }
    }

    /// Calls the callbacks with all waiting messages. Returns true if there was one.
    fn deliver(&mut self) -> bool {
        let received_ns = self.time.now_ns();
        let mut any = false;
        for subscription in &mut self.subscriptions {
            while let Some(Some(bytes)) = subscription.stream.next().now_or_never() {
                (subscription.callback)(Received { received_ns, bytes: &bytes });
                any = true;
            }
        }
        if any {
            self.time.notify();
        }
        any
    }

    /// The newest waiting time of `/clock` in nanoseconds, if any.
    fn take_clock(&mut self) -> Option<i64> {
        let stream = self.clock.as_mut()?;
        let mut newest = None;
        while let Some(Some(bytes)) = stream.next().now_or_never() {
            // Ignore bytes that are no Clock message: the clock stops, which diagnostics of ticks show.
            if let Ok(Clock { clock }) = Clock::from_serialized_bytes(&bytes) {
                newest = Some(stamped_ns(&clock));
            }
        }
        newest
    }

    fn check_graph(&mut self, graph: &mut GraphChecker) {
        let Some(warn) = &mut self.on_graph_warning else { return };
        for subscription in &self.subscriptions {
            let warnings = graph.check(&self.node, &subscription.topic, &subscription.message_type, &subscription.qos);
            warnings.into_iter().for_each(&mut *warn);
        }
    }
}
