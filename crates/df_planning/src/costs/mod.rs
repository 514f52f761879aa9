//! Costs of a planned future in physical units, and how they bend the samples: Monte Carlo guidance.
//!
//! One cost per file behind the traits [`Cost`] (what it costs) and `Kind` (how the configuration asks for it); [`costs`]
//! makes them from the configuration. A new cost is one file and one line in the list of `kinds.rs`. Its fields and
//! formula stand at its struct, its defaults and rules below it.

mod binding;
mod config;
mod consistency;
mod cost;
mod effort;
mod error;
mod gate;
mod goal;
mod keep_out;
mod kinds;
mod limits;
mod obstacles;
mod path;
mod smoothness;
mod target;

pub use config::{CostConfig, CostSettings, Gate, UnknownKey, check};
pub use cost::{Cost, Rollout};
pub use error::CostError;
pub use kinds::costs;
