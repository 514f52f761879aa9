//! From history to a safe action: costs, inference, planner and control loop of df_planner.
//!
//! What it is: everything between observations on the tick grid and a command within the limits. [`Planner`] samples plans by
//! diffusion forcing (Chen et al., NeurIPS 2024, arXiv 2407.01392) and guides them by costs. [`ControlLoop`] decides what leaves
//! at a tick.
//!
//! What it is not: it does no I/O, has no clock and no global random generator. It knows neither ROS nor Burn. The caller
//! brings a `Denoiser`, for example `df_engine::CpuDenoiser`.
//!
//! # Flow
//! ```text
//! observe -> ControlLoop::tick -> Command                 (control: limits, fallback, out-of-distribution monitor)
//!                  | PlanRequest
//!                  v
//!            Planner::plan -> conditioning -> sampling, guided by costs -> choice -> Plan -> ControlLoop::accept
//!            (planner)        (inference)     (inference, guidance)        (planner)
//! ```
//!
//! - [`config`]: `planner`, `mode`, `safety` and `costs` of the YAML, with the table of keys that may change at run time
//! - [`costs`]: one file per cost, and the registry
//! - [`guidance`]: costs of normalised tokens, and their gradient
//! - [`inference`]: sampling, in one place for the planner, for queries and for validation in training
//! - `planner`: request in, plan out, in the full and the streaming mode
//! - `control`: the control loop
//!
//! # Example
//! ```
//! use std::path::Path;
//!
//! use df_core::{Document, Frame, History};
//! use df_engine::CheckpointDescription;
//! use df_planning::{Budget, PlanRequest, Planner, PlanningConfig};
//!
//! let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
//! let config = PlanningConfig::read(Document::load(&root.join("config/point_maze.yaml"))?)?;
//! let checkpoint = root.join("models/point_maze");
//! let description = CheckpointDescription::load(&checkpoint)?;
//! let denoiser = Box::new(description.cpu_denoiser(&checkpoint)?);
//! let (layout, schedule) = (description.layout.clone(), description.schedule());
//! let mut planner = Planner::new(denoiser, &config, layout.clone(), description.normaliser, schedule)?;
//!
//! // The robot has been at rest at (1, 1) m. Its actions are not known.
//! let mut history = History::new(&layout, config.planner.history);
//! for _ in 0..config.planner.history * layout.frame_stack {
//!     // Force x, y; position x, y; velocity x, y.
//!     let values = vec![0.0, 0.0, 1.0, 1.0, 0.0, 0.0];
//!     history.push(Frame { values, present: vec![false, true, true], std: Vec::new() });
//! }
//! // The command of tick 0 is on its way. The goal is at (3, 1) m.
//! let request = PlanRequest { tick_ns: 0, history, committed: Some(vec![0.0, 0.0]), goal: vec![3.0, 1.0] };
//! let plan = planner.plan(&request, &Budget::unlimited())?;
//! // The first action is for the next tick.
//! assert_eq!(plan.first_tick_ns, config.contract.period_ns());
//! assert_eq!(plan.actions[0].len(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![warn(missing_docs, unreachable_pub)]

pub mod config;
mod control;
pub mod costs;
pub mod guidance;
pub mod inference;
mod planner;

pub use config::{
    FallbackPolicy, GradientKind, GuidanceConfig, GuidanceStep, Latency, OperatingMode, OutOfDistributionConfig,
    PlannerConfig, PlannerMode, PlanningConfig, SafetyConfig, StreamingConfig, WarmStartConfig, description, labels,
};
pub use control::{Command, ControlLoop, FallbackLevel, Reason, ShadowScore, Tick};
pub use inference::{Budget, Query, SamplingError};
pub use planner::{
    CostStatistics, Plan, PlanError, PlanRequest, Planner, PlannerConfigError, PlannerError, Skipped, Statistics,
    TokenLimit,
};
