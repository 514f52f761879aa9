//! The embedded demo world: a maze, a point robot with wall contact, and an expert that drives it. Knows no ROS, no
//! message and no planner; imports nobody.
//!
//! ```text
//! maze -> world (force -> motion, 100 Hz)
//!   \       ^  |
//!    expert-'  '-> demonstration: what a recording shows, step by step
//! ```

mod demonstration;
mod disturbance;
mod expert;
mod maze;
mod world;

pub use demonstration::{Demonstration, Step};
pub use disturbance::Disturbance;
pub use expert::{ARRIVAL_DISTANCE_M, Expert};
pub use maze::{Cell, Maze, MazeError};
pub use world::{FORCE_LIMIT_N, ROBOT_RADIUS_M, RobotState, STEP_S, World};
