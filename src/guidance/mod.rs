//! Costs of a planned future in physical units, and how they bend the samples: Monte Carlo guidance.
//!
//! One cost per file behind the trait [`Cost`]; [`costs`] makes them from the configuration. A new cost is one file and
//! one line in [`costs`].

mod consistency;
mod cost;
mod goal;
mod monte_carlo;

pub use cost::{Cost, Future, costs};
pub use monte_carlo::{Evaluation, Guidance, share, shorten};
