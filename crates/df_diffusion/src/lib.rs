//! Diffusion forcing itself: tokens, noise levels, schedules, scheduling matrices, solvers. Plain numbers; knows no
//! robot and no network, only the trait [`Denoiser`].
//!
//! Reading order: [`Tokens`] and [`Levels`] (what is denoised, how noisy it is), [`NoiseSchedule`] (level to alpha and
//! sigma), [`Objective`] (what a network predicts), [`ConditioningMask`] (what is given), [`SchedulingMatrix`] (which level when),
//! [`Solver`] (one step), [`sample`] (all steps), [`mix`] (levels for training).

mod denoiser;
mod conditioning_mask;
mod loss_weight;
mod scheduling_matrix;
pub mod noise_level_sampler;
mod noise_schedule;
mod objective;
mod sampler;
mod solver;
mod tokens;

pub use denoiser::{Denoiser, DenoiserError};
pub use conditioning_mask::{ConditioningMask, LevelError};
pub use loss_weight::{LossWeight, LossWeightKind};
pub use scheduling_matrix::{MatrixError, MatrixKind, SchedulingMatrix};
pub use noise_level_sampler::NoiseLevelSamplerConfig;
pub use noise_schedule::{NoiseSchedule, NoiseScheduleKind, RecentLevels};
pub use objective::{Objective, ObjectiveKind};
pub use sampler::{Sampled, Step, sample};
pub use solver::{Solver, SolverConfig, SolverKind};
pub use tokens::{Levels, TokenSpec, Tokens};
