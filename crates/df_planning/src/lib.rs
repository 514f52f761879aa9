//! From history to a safe action: planner, plan, control loop, safety. No I/O, no clock of its own, no global RNG.
//!
//! At tick k (`ControlLoop::tick`): frame k joins the history; the command of tick k, which was planned in the period before, is
//! checked and handed out at once; and a [`PlanRequest`] for tick k+1 is made, in which command k is already known.
//! [`Planner::plan`] answers it, on another thread if the caller likes; [`ControlLoop::accept`] takes the answer.
//!
//! Where there is no plan in time, `fallback` says what is wanted instead; whatever is wanted leaves through `command_limiter`.

mod arrival;
mod budget;
pub mod catalogue;
mod command;
mod command_limiter;
mod conditioning;
mod config;
mod control;
#[cfg(test)]
mod control_limits_tests;
#[cfg(test)]
mod control_tests;
pub mod costs;
mod fallback;
pub mod guidance;
mod guided_sampler;
mod ood_monitor;
mod plan;
mod planner;
mod planner_config;
mod query;
mod safety_config;
mod settings;
mod shadow;
mod sliding_window;
mod warm_start;
mod weighting;

pub use budget::Budget;
pub use command::{Command, FallbackLevel, Reason};
pub use config::{PlanningConfig, description, labels};
pub use control::{ControlLoop, Tick};
pub use plan::{CostStatistics, Plan, PlanRequest, Skipped, Statistics};
pub use planner::{PlanError, Planner};
pub use planner_config::{
    GradientKind, GuidanceConfig, GuidanceStep, Latency, PlannerConfig, PlannerMode, StreamingConfig, WarmStartConfig,
};
pub use query::Query;
pub use safety_config::{FallbackPolicy, OperatingMode, OutOfDistributionConfig, SafetyConfig};
pub use settings::TokenLimit;
pub use shadow::ShadowScore;
