//! Why sampling failed.

use df_diffusion::{DenoiserError, LevelError, MatrixError};

/// Why sampling failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SamplingError {
    /// The scheduling matrix cannot be made.
    #[error(transparent)]
    Matrix(#[from] MatrixError),
    /// A noise level lies outside [0, 1].
    #[error(transparent)]
    Level(#[from] LevelError),
    /// The network failed.
    #[error(transparent)]
    Denoiser(#[from] DenoiserError),
    /// The sequence does not fit into the network's window.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// The gradient of one cost is not finite.
    #[error("the gradient of cost `{cost}` is {value}; check its keys and the values of its channels")]
    CostGradient {
        /// The name of the cost.
        cost: &'static str,
        /// The first value that is not finite.
        value: f32,
    },
    /// The gradients of the costs are finite. Their gradient through the network is not.
    #[error("the gradient of the costs through the network is {value}; planner.guidance.gradient: cheap avoids it")]
    NetworkGradient {
        /// The first value that is not finite.
        value: f32,
    },
    /// Not one denoising step fitted into the time.
    #[error("the time did not allow a single denoising step")]
    OutOfTime,
}

/// History and horizon do not fit into the network's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{history} history tokens and a horizon of {horizon} do not fit into the {max} tokens that the network was trained on"
)]
pub struct TooLong {
    /// Tokens of the history.
    pub history: usize,
    /// Tokens after the history.
    pub horizon: usize,
    /// Tokens of the network's window.
    pub max: usize,
}
