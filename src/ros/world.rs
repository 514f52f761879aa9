//! The robot's side of the contract, for the embedded world: odometry and goal out, force in; listens to the planner's
//! diagnostics and sampled futures. Knows no physics.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use r2r::WrappedTypesupport;
use r2r::diagnostic_msgs::msg::DiagnosticArray;
use r2r::geometry_msgs::msg::{PoseStamped, WrenchStamped};
use r2r::nav_msgs::msg::Odometry;
use r2r::rosgraph_msgs::msg::Clock;
use r2r::visualization_msgs::msg::{Marker, MarkerArray};

use super::timing::{stamp, stamped_ns};
use super::{Bridge, RawPublisher, RosError, Spinning};
use crate::config::{Qos, Reliability};

/// A force holds for so long after it was received, seconds; then the robot coasts.
const FORCE_HOLDS_S: f64 = 0.2;

/// Topics and frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorldNames {
    pub odometry: String,
    pub force: String,
    pub goal: String,
    /// The planner's sampled futures.
    pub futures: String,
    /// Whether the world is the clock, too: `/clock`.
    pub clock: bool,
    pub map_frame: String,
    pub robot_frame: String,
}

/// A line of positions, metres.
pub type Line = Vec<[f64; 2]>;

/// The node of the embedded world.
pub struct WorldNode {
    odometry: RawPublisher,
    goal: RawPublisher,
    clock: Option<RawPublisher>,
    names: WorldNames,
    /// What comes in.
    pub listening: Listening,
    _spinning: Spinning,
}

/// What a world has received; every thread may have a copy.
#[derive(Clone, Default)]
pub struct Listening {
    seen: Arc<Mutex<Seen>>,
    came: Arc<Condvar>,
}

/// What has been received.
#[derive(Default)]
struct Seen {
    force: [f64; 2],
    forces: u64,
    first_force_ns: i64,
    last_force_ns: i64,
    last_stamp_ns: i64,
    diagnostics: BTreeMap<String, String>,
    futures: Option<Vec<Line>>,
}

impl WorldNode {
    /// Creates the node `df_sim` and lets it spin.
    ///
    /// # Errors
    /// ROS 2 cannot be initialised, a name that rcl refuses, no thread.
    pub fn open(names: WorldNames) -> Result<Self, RosError> {
        let mut bridge = Bridge::open("df_sim")?;
        let reliable = Qos { reliability: Reliability::Reliable, depth: 10, transient_local: false };
        // A planner that starts later still gets the goal.
        let latched = Qos { depth: 1, transient_local: true, ..reliable.clone() };
        let odometry = bridge.publisher(&names.odometry, "nav_msgs/msg/Odometry", &reliable)?;
        let goal = bridge.publisher(&names.goal, "geometry_msgs/msg/PoseStamped", &latched)?;
        let clock = ("/clock", "rosgraph_msgs/msg/Clock");
        let clock = names.clock.then(|| bridge.publisher(clock.0, clock.1, &reliable)).transpose()?;

        let listening = Listening::default();
        let Listening { seen, came: bell } = listening.clone();
        let inbox = seen.clone();
        bridge.subscribe(&names.force, "geometry_msgs/msg/WrenchStamped", &reliable, move |received| {
            if let Ok(message) = WrenchStamped::from_serialized_bytes(received.bytes) {
                let (force, stamp) = (message.wrench.force, message.header.stamp);
                let stamp_ns = stamped_ns(&stamp);
                lock(&inbox).force([force.x, force.y], received.received_ns, stamp_ns);
                bell.notify_all();
            }
        })?;
        let inbox = seen.clone();
        bridge.subscribe("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray", &reliable, move |received| {
            if let Ok(message) = DiagnosticArray::from_serialized_bytes(received.bytes) {
                let pairs = message.status.into_iter().flat_map(|status| status.values);
                lock(&inbox).diagnostics.extend(pairs.map(|pair| (pair.key, pair.value)));
            }
        })?;
        let inbox = seen.clone();
        bridge.subscribe(&names.futures, "visualization_msgs/msg/MarkerArray", &reliable, move |received| {
            if let Ok(message) = MarkerArray::from_serialized_bytes(received.bytes) {
                let strips = message.markers.iter().filter(|marker| marker.type_ == Marker::LINE_STRIP as i32);
                let lines = strips.map(|marker| marker.points.iter().map(|point| [point.x, point.y]).collect());
                lock(&inbox).futures = Some(lines.collect());
            }
        })?;
        let _spinning = bridge.spin().map_err(|cause| RosError::Init(format!("no thread to spin: {cause}")))?;
        Ok(Self { odometry, goal, clock, names, listening, _spinning })
    }

    /// Publishes where the robot is (metres) and how it moves (metres per second).
    ///
    /// # Errors
    /// As the middleware says.
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

    /// Publishes where the robot is to go, metres.
    ///
    /// # Errors
    /// As the middleware says.
    pub fn publish_goal(&self, stamp_ns: i64, goal: [f64; 2]) -> Result<(), RosError> {
        let mut message = PoseStamped::default();
        message.header.stamp = stamp(stamp_ns);
        message.header.frame_id.clone_from(&self.names.map_frame);
        [message.pose.position.x, message.pose.position.y] = goal;
        message.pose.orientation.w = 1.0;
        self.goal.publish(&serialized(&message, &self.names.goal)?)
    }

    /// Publishes simulated time.
    ///
    /// # Errors
    /// As the middleware says.
    pub fn publish_clock(&self, now_ns: i64) -> Result<(), RosError> {
        let Some(clock) = &self.clock else { return Ok(()) };
        clock.publish(&serialized(&Clock { clock: stamp(now_ns) }, "/clock")?)
    }

    /// Whether a planner listens to everything that this world publishes.
    pub fn is_heard(&self) -> bool {
        let publishers = [&self.odometry, &self.goal].into_iter().chain(&self.clock);
        publishers.map(RawPublisher::subscribers).all(|count| count > 0)
    }
}

impl Listening {
    /// Waits for a force that is stamped with this tick or a later one: its stamp and the force.
    pub fn await_force(&self, tick_ns: i64, patience: Duration) -> Option<(i64, [f64; 2])> {
        let has_not_come = |seen: &mut Seen| seen.forces == 0 || seen.last_stamp_ns < tick_ns;
        let waited = self.came.wait_timeout_while(lock(&self.seen), patience, has_not_come);
        let (seen, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        (!timeout.timed_out()).then_some((seen.last_stamp_ns, seen.force))
    }

    /// The force in effect, newtons; none once the planner has been silent for too long.
    pub fn force(&self, now_ns: i64) -> Option<[f64; 2]> {
        let seen = lock(&self.seen);
        let age_s = now_ns.saturating_sub(seen.last_force_ns) as f64 * 1e-9;
        (seen.forces > 0 && age_s <= FORCE_HOLDS_S).then_some(seen.force)
    }

    /// Forces received so far.
    pub fn forces(&self) -> u64 {
        lock(&self.seen).forces
    }

    /// The mean rate of the forces received so far, hertz; `None` before the second one.
    pub fn force_rate_hz(&self) -> Option<f64> {
        let seen = lock(&self.seen);
        let seconds = seen.last_force_ns.saturating_sub(seen.first_force_ns) as f64 * 1e-9;
        (seen.forces > 1 && seconds > 0.0).then(|| (seen.forces - 1) as f64 / seconds)
    }

    /// The newest sampled futures since the last call.
    pub fn take_futures(&self) -> Option<Vec<Line>> {
        lock(&self.seen).futures.take()
    }

    /// The newest value of a key in `/diagnostics`, where it is a number.
    pub fn diagnostic(&self, key: &str) -> Option<f64> {
        lock(&self.seen).diagnostics.get(key)?.parse().ok()
    }
}

impl Seen {
    fn force(&mut self, force: [f64; 2], received_ns: i64, stamp_ns: i64) {
        self.last_stamp_ns = stamp_ns;
        if self.forces == 0 {
            self.first_force_ns = received_ns;
        }
        self.forces += 1;
        self.force = force;
        self.last_force_ns = received_ns;
    }
}

/// Nothing panics while the lock is held, and what it guards is whole at any time.
fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serialized<T: WrappedTypesupport>(message: &T, topic: &str) -> Result<Vec<u8>, RosError> {
    message.to_serialized_bytes().map_err(|cause| RosError::Topic {
        topic: topic.into(),
        message_type: std::any::type_name::<T>().into(),
        cause,
    })
}
