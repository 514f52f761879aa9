//! When a tick is: ROS time, the steady clock's deadlines, and the lock step with a simulator.

mod lock_step;
mod pacing;
mod ros_time;

pub use lock_step::LockStep;
pub use pacing::Pacer;
pub use ros_time::{RosTime, stamp, stamped_ns, system_ns};
