//! Costs of a planned rollout, in physical units.
//!
//! Each cost is one file. It holds `XCost`, its `XCostConfig` and its tests. A cost implements two traits:
//!
//! - [`Cost`]: its value and its gradient
//! - `CostFactory`: its name in the configuration, its keys, and how it is bound to channels
//!
//! [`bind_costs`] makes the costs of a configuration. A new cost is one file, one `mod` line here and one line in
//! `REGISTRY` of `registry.rs`. The file documents the formula, the keys and their defaults.

mod binding;
mod config;
mod consistency;
mod cost;
mod effort;
mod error;
mod factory;
mod gate;
mod goal;
mod keep_out;
mod limits;
mod obstacles;
mod path;
mod registry;
mod smoothness;
mod target;
#[cfg(test)]
mod test_support;

pub(crate) use config::check;
pub use config::{CostConfig, GateConfig, RawCostConfig, UnreadableKey};
pub use cost::{Cost, Rollout};
pub use error::CostError;
pub use registry::bind_costs;
