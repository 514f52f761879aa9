//! Diffusion forcing (Chen et al. 2024, arXiv 2407.01392) on plain numbers.
//!
//! Diffusion forcing gives every part of a token sequence its own noise level. Level 0 is known, level 1 is pure noise.
//! One denoising network therefore conditions on any part of a sequence and generates any other part.
//!
//! This crate holds levels, noise schedules, scheduling matrices, objectives, solvers and conditioning masks, and the
//! trait [`Denoiser`]. It contains no network, no guidance, no clock and no message, and depends on no other crate of
//! this workspace.
//!
//! # Flow
//! ```text
//! training:  NoiseLevelSampler -> levels -> NoiseSchedule -> noisy tokens -> network -> Objective, LossWeight
//! sampling:  ConditioningMask, noise -> noisy tokens --+
//!            SchedulingMatrix, row ---> levels --------+-> Denoiser -> clean tokens -> Solver -> tokens of the next row
//! ```
//! Reading order: [`Tokens`] and [`Levels`], [`NoiseSchedule`], [`Objective`], [`ConditioningMask`],
//! [`SchedulingMatrix`], [`Solver`], [`sample`]. For training: [`NoiseLevelSampler`], [`LossWeight`].
//!
//! # Terms and symbols
//! | here | Chen et al. 2024 | |
//! |---|---|---|
//! | token `t` | `x_t` | the frames of `frame_stack` ticks; tensors are `[batch, token, channel]` |
//! | noise group | | one modality of one frame: the channels that share a level; the paper has one level per token |
//! | level `s` | `k / K` | continuous in [0, 1]; 0 clean, 1 pure noise |
//! | `alpha(s)` | `sqrt(alpha_bar_k)` | amplitude of the signal |
//! | `sigma(s)` | `sqrt(1 - alpha_bar_k)` | amplitude of the noise |
//! | scheduling matrix | `K`, `M x T` | levels of the tokens, one row per denoising step |
//!
//! # Example
//! Samples the second token of a Gaussian sequence whose first token is known. The two correlate with 0.8, so the
//! conditional mean of the second is 0.8 times the first. The denoiser of a Gaussian is exact. With the covariance `C`
//! and the diagonal matrices `A` of `alpha` and `S` of `sigma^2` it is
//! ```text
//! E[x0 | x] = C A (A C A + S)^-1 x
//! ```
//! ```
//! use df_diffusion::*;
//!
//! struct Gaussian(NoiseSchedule);
//!
//! impl Denoiser for Gaussian {
//!     fn denoise(&mut self, x: &Tokens, levels: &Levels) -> Result<Tokens, DenoiserError> {
//!         let mut clean = x.clone();
//!         for b in 0..x.batch {
//!             let [(a0, s0), (a1, s1)] = [0, 1].map(|t| self.0.alpha_sigma(levels.at(b, t)[0]));
//!             let (v0, v1, c) = (a0 * a0 + s0 * s0, a1 * a1 + s1 * s1, 0.8 * a0 * a1);
//!             let (x0, x1) = (x.at(b, 0)[0], x.at(b, 1)[0]);
//!             let determinant = v0 * v1 - c * c;
//!             let (w0, w1) = ((v1 * x0 - c * x1) / determinant, (v0 * x1 - c * x0) / determinant);
//!             clean.at_mut(b, 0)[0] = a0 * w0 + 0.8 * a1 * w1;
//!             clean.at_mut(b, 1)[0] = 0.8 * a0 * w0 + a1 * w1;
//!         }
//!         Ok(clean)
//!     }
//! #   fn denoise_with_gradient(&mut self, _: &Tokens, _: &Levels, _: &mut dyn FnMut(&Tokens) -> Tokens)
//! #       -> Result<(Tokens, Tokens), DenoiserError> { unreachable!("sampling without costs") }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let schedule = NoiseSchedule(NoiseScheduleKind::Cosine);
//! // One modality of one channel, one frame per token.
//! let spec = TokenSpec::new(&[0], 1);
//! let (batch, tokens) = (2, 2);
//! let mut mask = ConditioningMask::unconditioned(batch, tokens, &spec);
//! for b in 0..batch {
//!     mask.condition((b, 0, 0), 0.0, [1.5])?;
//! }
//! // Noise of opposite signs in the two sequences, so that their mean is the conditional mean.
//! let mut x = Tokens { batch, tokens, channels: 1, data: vec![0.0, 0.7, 0.0, -0.7] };
//! mask.apply(&mut x, schedule);
//! let matrix = SchedulingMatrix::new(MatrixKind::FullSequence, 1, 50, 0.0)?;
//! let mut solver = Solver::new(SolverConfig::ddim(0.0), schedule, &spec);
//! let mut denoiser = Gaussian(schedule);
//! sample(&mut x, &mask, &matrix, &mut solver, &mut |_| (), &mut |step: DenoisingStep| {
//!     denoiser.denoise(step.x, step.levels).map(Some)
//! })?;
//! assert_eq!((x.at(0, 0)[0], x.at(1, 0)[0]), (1.5, 1.5));
//! let (high, low) = (x.at(0, 1)[0], x.at(1, 1)[0]);
//! assert!(((high + low) / 2.0 - 0.8 * 1.5).abs() < 1e-3);
//! // The conditional standard deviation is sqrt(1 - 0.8^2) = 0.6.
//! assert!(((high - low) / 2.0 - 0.6 * 0.7).abs() < 0.02);
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs, unreachable_pub)]

mod conditioning_mask;
mod denoiser;
mod loss_weight;
mod noise_level_sampler;
mod noise_schedule;
mod objective;
mod sampler;
mod scheduling_matrix;
mod solver;
mod tokens;

pub use conditioning_mask::{ConditioningMask, LevelError};
pub use denoiser::{Denoiser, DenoiserError};
pub use loss_weight::{LossWeight, LossWeightKind};
pub use noise_level_sampler::{ConditioningSpec, NoiseLevelSampler, NoiseLevelSamplerConfig};
pub use noise_schedule::{NoiseSchedule, NoiseScheduleKind, RecentLevels};
pub use objective::{Objective, ObjectiveKind};
pub use sampler::{DenoisingStep, Sampled, sample};
pub use scheduling_matrix::{MatrixError, MatrixKind, SchedulingMatrix};
pub use solver::{Solver, SolverConfig, SolverKind};
pub use tokens::{Levels, TokenSpec, Tokens};
