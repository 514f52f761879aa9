//! The method against exact answers: with the ideal denoiser of a Gaussian process in place of the network, samples must have
//! the mean and covariance that are known in closed form. Nothing here is trained.

mod guidance;
mod immediate;
mod planner;
mod process;
mod sampler;
mod statistics;
#[path = "../support/mod.rs"]
mod support;
