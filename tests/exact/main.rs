//! Tests the method against exact results. The ideal denoiser of a Gaussian process replaces the network, so the mean
//! and the covariance of samples are known in closed form. No network is trained.

mod guidance;
mod immediate;
mod planner;
mod process;
mod sampler;
mod statistics;
#[path = "../support/mod.rs"]
mod support;
