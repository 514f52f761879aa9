//! The ROS 2 side of the planner: the node `df_planner` and its connection to ROS.
//! Only this module and the demo's world (`sim::ros_world`) depend on r2r.
//! Planning and control are in [`df_planning`], which does not depend on ROS.
//!
//! # Flow
//! ```text
//! observations --> io::subscriptions --> io::sample_sink --.
//! goal         --> io::goals ---------------'              v
//! /tf          --> io::tf_listener          df_planning::ControlLoop --> io::action_publisher
//! map          --> io::maps --> costs             |              ^
//!                                  requests (io::mailbox)      plans
//!                                                 v              |
//!                                       threads::planning_thread --> report::display
//! ```
//!
//! # Threads
//! | thread | file | task |
//! |---|---|---|
//! | `ros_spin` | `node_handle/executor.rs` | take messages, call the callbacks |
//! | `tick` | `threads/control_thread.rs` | publish one command a period |
//! | `planning` | `threads/planning_thread.rs` | make a plan for the newest request |
//! | `map` | `io/maps.rs` | compute the distances of one map topic |
//! | `signals` | `node/shutdown.rs` | turn SIGINT and SIGTERM into an event |
//! | main | `node/run.rs` | serve life cycle and parameters, write log and diagnostics |
//!
//! The threads share `threads::Shared`. Each of its locks is held for microseconds.
//!
//! # Folders
//! | folder | content |
//! |---|---|
//! | `node_handle/` | a node that carries serialized messages: executor, publishers, graph checks |
//! | `report/` | the output for people: log, diagnostics, drawings |
//! | `io/` | topics of the contract: observations, goal, maps, transforms, action |
//! | `threads/` | the threads that drive, and their timing |
//! | `node/` | the planner node: life cycle, parameters, assembly, main loop |
//!
//! A folder uses only `lock.rs`, `ros_time.rs` and folders above it in this table.

mod io;
mod lock;
mod node;
mod node_handle;
mod report;
mod ros_time;
mod threads;

pub use lock::{lock, wait_while_for};
pub use node::{NODE_NAME, NodeError, NodeSettings, Options, SettingsError, own_arguments, run};
pub use node_handle::{Executor, NodeHandle, RawPublisher, Received, RosError};
pub use ros_time::{stamp, stamped_ns, system_ns};
