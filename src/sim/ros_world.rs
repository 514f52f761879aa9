//! Connects the demo's world to ROS topics: odometry and goal out, force in. Also receives the
//! planner's diagnostics and rollouts. Knows no physics.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use r2r::WrappedTypesupport;
use r2r::diagnostic_msgs::msg::DiagnosticArray;
use r2r::geometry_msgs::msg::{PoseStamped, WrenchStamped};
use r2r::nav_msgs::msg::Odometry;
use r2r::rosgraph_msgs::msg::Clock;
use r2r::visualization_msgs::msg::{Marker, MarkerArray};

use crate::ros::{Executor, NodeHandle, RawPublisher, RosError, lock, stamp, stamped_ns, wait_while_for};
use df_core::{Qos, Reliability};

/// The name of the world's node.
const NODE_NAME: &str = "df_sim";
/// A force acts for this time after its arrival, seconds. Then the robot coasts.
const FORCE_HOLD_S: f64 = 0.2;

/// The world's topics and frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorldNames {
    /// The topic of the odometry.
    pub odometry: String,
    /// The topic of the force.
    pub force: String,
    /// The topic of the goal.
    pub goal: String,
    /// The topic of the planner's rollouts.
    pub rollouts: String,
    /// True if the world publishes `/clock`.
    pub clock: bool,
    /// The frame of odometry and goal.
    pub map_frame: String,
    /// The frame of the robot.
    pub robot_frame: String,
}

/// A line of positions `[x, y]`, metres.
pub type Polyline = Vec<[f64; 2]>;

/// The world's node. It spins until it is dropped.
pub struct WorldLink {
    /// What was received.
    pub inbox: WorldInbox,
    odometry: RawPublisher,
    goal: RawPublisher,
    clock: Option<RawPublisher>,
    names: WorldNames,
    _executor: Executor,
}

/// What the world has received. All clones share it.
#[derive(Clone, Default)]
pub struct WorldInbox {
    state: Arc<Mutex<State>>,
    force_arrived: Arc<Condvar>,
}

#[derive(Default)]
struct State {
    force: [f64; 2],
    forces: u64,
    first_force_ns: i64,
    last_force_ns: i64,
    last_stamp_ns: i64,
    diagnostics: BTreeMap<String, String>,
    rollouts: Option<Vec<Polyline>>,
}

impl WorldLink {
    /// Creates the node `df_sim` and starts to spin it.
    ///
    /// # Errors
    /// ROS 2 cannot be initialised, rcl refuses a name, or the system gives no thread.
    pub fn open(names: WorldNames) -> Result<Self, RosError> {
        let mut handle = NodeHandle::open(NODE_NAME)?;
        let reliable = Qos { reliability: Reliability::Reliable, depth: 10, transient_local: false };
        // A planner that starts later still gets the goal.
        let latched = Qos { depth: 1, transient_local: true, ..reliable.clone() };
        let odometry = handle.publisher(&names.odometry, "nav_msgs/msg/Odometry", &reliable)?;
        let goal = handle.publisher(&names.goal, "geometry_msgs/msg/PoseStamped", &latched)?;
        let clock = ("/clock", "rosgraph_msgs/msg/Clock");
        let clock = names.clock.then(|| handle.publisher(clock.0, clock.1, &reliable)).transpose()?;

        let inbox = WorldInbox::default();
        let WorldInbox { state, force_arrived } = inbox.clone();
        let sink = state.clone();
        handle.subscribe(&names.force, "geometry_msgs/msg/WrenchStamped", &reliable, move |received| {
            if let Ok(message) = WrenchStamped::from_serialized_bytes(received.bytes) {
                let (force, stamp) = (message.wrench.force, message.header.stamp);
                lock(&sink).add_force([force.x, force.y], received.received_ns, stamped_ns(&stamp));
                force_arrived.notify_all();
            }
        })?;
        let sink = state.clone();
        handle.subscribe("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray", &reliable, move |received| {
            if let Ok(message) = DiagnosticArray::from_serialized_bytes(received.bytes) {
                let pairs = message.status.into_iter().flat_map(|status| status.values);
                lock(&sink).diagnostics.extend(pairs.map(|pair| (pair.key, pair.value)));
            }
        })?;
        let sink = state.clone();
        handle.subscribe(&names.rollouts, "visualization_msgs/msg/MarkerArray", &reliable, move |received| {
            if let Ok(message) = MarkerArray::from_serialized_bytes(received.bytes) {
                let strips = message.markers.iter().filter(|marker| marker.type_ == Marker::LINE_STRIP as i32);
                let lines = strips.map(|marker| marker.points.iter().map(|point| [point.x, point.y]).collect());
                lock(&sink).rollouts = Some(lines.collect());
            }
        })?;
        Ok(Self { inbox, odometry, goal, clock, names, _executor: handle.spin()? })
    }

    /// Publishes the robot's position in metres and its velocity in metres per second.
    ///
    /// # Errors
    /// The middleware refuses.
    pub fn publish_odometry(&self, stamp_ns: i64, position: [f64; 2], velocity: [f64; 2]) -> Result<(), RosError> {
        let mut message = Odometry::default();
        message.header.stamp = stamp(stamp_ns);
        message.header.frame_id.clone_from(&self.names.map_frame);
        message.child_frame_id.clone_from(&self.names.robot_frame);
        [message.pose.pose.position.x, message.pose.pose.position.y] = position;
        message.pose.pose.orientation.w = 1.0;
        [message.twist.twist.linear.x, message.twist.twist.linear.y] = velocity;
        self.odometry.publish(&serialized(&message, &self.names.odometry)?)
    }

    /// Publishes the goal's position in metres.
    ///
    /// # Errors
    /// The middleware refuses.
    pub fn publish_goal(&self, stamp_ns: i64, goal: [f64; 2]) -> Result<(), RosError> {
        let mut message = PoseStamped::default();
        message.header.stamp = stamp(stamp_ns);
        message.header.frame_id.clone_from(&self.names.map_frame);
        [message.pose.position.x, message.pose.position.y] = goal;
        message.pose.orientation.w = 1.0;
        self.goal.publish(&serialized(&message, &self.names.goal)?)
    }

    /// Publishes the simulated time in nanoseconds, if the world publishes `/clock`.
    ///
    /// # Errors
    /// The middleware refuses.
    pub fn publish_clock(&self, now_ns: i64) -> Result<(), RosError> {
        let Some(clock) = &self.clock else { return Ok(()) };
        clock.publish(&serialized(&Clock { clock: stamp(now_ns) }, "/clock")?)
    }

    /// True if every topic of this world has a subscriber.
    pub fn has_subscribers(&self) -> bool {
        let publishers = [&self.odometry, &self.goal].into_iter().chain(&self.clock);
        publishers.map(RawPublisher::subscribers).all(|count| count > 0)
    }
}

impl WorldInbox {
    /// Waits for a force with the stamp `tick_ns` or a later one. Returns its stamp in nanoseconds
    /// and the force in newtons, or None after `timeout`.
    pub fn wait_for_force(&self, tick_ns: i64, timeout: Duration) -> Option<(i64, [f64; 2])> {
        let is_missing = |state: &mut State| state.forces == 0 || state.last_stamp_ns < tick_ns;
        let mut state = wait_while_for(&self.force_arrived, lock(&self.state), timeout, is_missing);
        (!is_missing(&mut state)).then_some((state.last_stamp_ns, state.force))
    }

    /// The force that acts at `now_ns`, newtons. None if the planner has been silent for too long.
    pub fn force(&self, now_ns: i64) -> Option<[f64; 2]> {
        let state = lock(&self.state);
        let age_s = now_ns.saturating_sub(state.last_force_ns) as f64 * 1e-9;
        (state.forces > 0 && age_s <= FORCE_HOLD_S).then_some(state.force)
    }

    /// The number of forces so far.
    pub fn forces(&self) -> u64 {
        lock(&self.state).forces
    }

    /// The mean rate of the forces so far, hertz. None before the second force.
    pub fn force_rate_hz(&self) -> Option<f64> {
        let state = lock(&self.state);
        let seconds = state.last_force_ns.saturating_sub(state.first_force_ns) as f64 * 1e-9;
        (state.forces > 1 && seconds > 0.0).then(|| (state.forces - 1) as f64 / seconds)
    }

    /// The newest rollouts since the last call.
    pub fn take_rollouts(&self) -> Option<Vec<Polyline>> {
        lock(&self.state).rollouts.take()
    }

    /// The newest value of `key` in `/diagnostics`, if it is a number.
    pub fn diagnostic(&self, key: &str) -> Option<f64> {
        lock(&self.state).diagnostics.get(key)?.parse().ok()
    }
}

impl State {
    fn add_force(&mut self, force: [f64; 2], received_ns: i64, stamp_ns: i64) {
        self.last_stamp_ns = stamp_ns;
        if self.forces == 0 {
            self.first_force_ns = received_ns;
        }
        self.forces += 1;
        self.force = force;
        self.last_force_ns = received_ns;
    }
}

fn serialized<T: WrappedTypesupport>(message: &T, topic: &str) -> Result<Vec<u8>, RosError> {
    message.to_serialized_bytes().map_err(|cause| RosError::Topic {
        topic: topic.into(),
        message_type: std::any::type_name::<T>().into(),
        cause,
    })
}
