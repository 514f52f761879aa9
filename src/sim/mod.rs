//! The simulated worlds, each with an expert that drives it: a point robot in a maze for the demo, and
//! the benchmark Maze2D. They know no planner, and no ROS but for `ros_world`.
//!
//! ```text
//! maze -> world (force -> motion, 100 Hz) -> trial: one drive to one goal -> picture
//!   \       ^
//!    expert-' -> demonstration: what a recording shows, step by step -> recorder -> bag
//! ```
//! Only the recorder knows messages and bags. Only `ros_world` knows ROS topics; it exists with the
//! feature `ros`.

mod demonstration;
mod disturbance;
mod expert;
mod maze;
pub mod maze2d;
mod picture;
mod recorder;
#[cfg(feature = "ros")]
mod ros_world;
mod summary;
mod trial;
mod world;

pub use demonstration::{Demonstration, Step};
pub use disturbance::Disturbance;
pub use expert::{ARRIVAL_DISTANCE_M, Expert};
pub use maze::{Cell, Maze, MazeError};
pub use picture::{Moment, Picture};
pub use recorder::{MAP_FRAME, ROBOT_FRAME, RecordError, Recorded, Recording, Topics, definitions};
#[cfg(feature = "ros")]
pub use ros_world::{Polyline, WorldInbox, WorldLink, WorldNames};
pub use summary::Summary;
pub use trial::{GOAL_TOLERANCE_M, HOLD_S, MIN_DISTANCE_CELLS, Trial};
pub use world::{FORCE_LIMIT_N, ROBOT_RADIUS_M, RobotState, STEP_S, World};
