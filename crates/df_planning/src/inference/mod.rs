//! Sampling with a denoiser, in one place: the planner, queries and validation in training use it.
//!
//! - `conditioning`: known frames and values as noise levels of a mask
//! - `noise`: seeded noise, and the prefix that the rollouts of a candidate share
//! - `warm_start`: the last plan, shifted and re-noised
//! - `sliding_window`: sequences that are longer than the network's window
//! - `guided_sampler`: the denoising steps, within a time `budget`
//! - `guidance_step`: one guided prediction
//! - `query`: conditional sampling of any pattern of noise groups

mod budget;
mod conditioning;
mod error;
mod guidance_step;
mod guided_sampler;
mod noise;
mod query;
mod sampling_task;
mod sliding_window;
mod warm_start;

pub use budget::Budget;
pub use conditioning::{Conditioning, KnownObservation};
pub use error::{SamplingError, TooLong};
pub use guided_sampler::GuidedSampler;
pub use noise::{SeededNoise, tie_prefix};
pub use query::Query;
pub use sampling_task::{GuidedSample, SamplingTask};
pub use sliding_window::SlidingWindow;
pub use warm_start::{PlanBuffer, RenoiseSchedule, warm_start};
