//! df_planner: a robot planner that learns from recorded demonstrations and plans with diffusion forcing.
//!
//! This package holds the programs and what touches the world; the method is in the crates below it:
//! ```text
//! ros/ (topics) --\                                                         /-> ros/ (commands)
//!                  df_message -> df_core -> df_planning (df_diffusion, df_engine)
//! sim/, replay/ --/  bytes      features     plans and commands             \-> replay/ (rows)
//!                    df_data -> df_training: bags and datasets to checkpoints
//! ```
//! Modules: [`config`] composes the YAML, [`ros`] is the only one that knows ROS 2, [`sim`] has the embedded worlds,
//! [`replay`] plans over recordings.

#![warn(missing_docs, unreachable_pub)]

pub mod config;
mod load_planner;
#[cfg(feature = "recordings")]
pub mod replay;
#[cfg(feature = "ros")]
pub mod ros;
#[cfg(feature = "sim")]
pub mod sim;

pub use load_planner::{LoadPlannerError, load_planner};
