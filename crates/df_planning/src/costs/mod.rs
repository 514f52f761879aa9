//! Costs of a planned future in physical units, and how they bend the samples: Monte Carlo guidance.
//!
//! One cost per file behind the traits [`Cost`] (what it costs) and `Kind` (how the configuration asks for it); [`costs`]
//! makes them from the configuration. A new cost is one file and one line in the list of `kinds.rs`. Its fields and
//! formula stand at its struct, its defaults and rules below it.

mod binding;
mod consistency;
mod cost;
mod distance_field;
mod distance_transform;
mod effort;
mod error;
mod gate;
mod goal;
mod keep_out;
mod kinds;
mod limits;
mod monte_carlo;
mod obstacles;
mod path;
mod polygon;
mod smoothness;
mod target;

pub use cost::{Cost, Future};
pub use distance_field::{DistanceField, GridError, SharedMap, Unknown};
pub use error::CostError;
pub use kinds::costs;
pub use monte_carlo::{Evaluation, Guidance, Span, share, shorten};
