//! From history to a safe action: planner, plan, control loop, safety. No I/O, no clock of its own, no global RNG.
//!
//! At tick k (`ControlLoop::tick`): the command of tick k, which was planned in the period before, is checked and handed
//! out at once; then frame k joins the history and a [`PlanRequest`] for tick k+1 is made, in which command k is already
//! known. [`Planner::plan`] answers it, on another thread if the caller likes; [`ControlLoop::accept`] takes the answer.

mod arrival;
mod budget;
mod conditioning;
mod control;
mod plan;
mod planner;
mod question;
mod safety;
mod sampling;
mod settings;
mod streaming;
mod windows;

pub use budget::Budget;
pub use control::{ControlLoop, Tick};
pub use plan::{CostStatistics, LeftOut, Plan, PlanRequest, Statistics};
pub use planner::{PlanError, Planner};
pub use question::Question;
pub use safety::{Command, Reason, Rung, Safety};
pub use settings::TokenLimit;
