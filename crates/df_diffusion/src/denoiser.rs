//! The trait that the network implements, and that exact denoisers implement in tests.

use super::{Levels, Tokens};

/// Predicts clean tokens from noisy ones.
pub trait Denoiser {
    /// The clean tokens `E[x0 | x, levels]`, `[batch, token, channel]`.
    ///
    /// `x` is `[batch, token, channel]`, `levels` `[batch, token, noise_group]`.
    ///
    /// # Errors
    /// [`DenoiserError`].
    fn denoise(&mut self, x: &Tokens, levels: &Levels) -> Result<Tokens, DenoiserError>;

    /// The longest sequence that it can take, tokens; `None`: any.
    fn max_tokens(&self) -> Option<usize> {
        None
    }

    /// As [`Denoiser::denoise`], and the gradient with respect to `x` of a scalar that depends on the clean tokens: `cotangent` is
    /// given the clean tokens and returns that scalar's gradient with respect to them. Where `x` is known (level 0) it is a constant
    /// of the question, and what stands there in the gradient means nothing.
    ///
    /// # Errors
    /// [`DenoiserError`].
    fn denoise_with_gradient(
        &mut self,
        x: &Tokens,
        levels: &Levels,
        cotangent: &mut dyn FnMut(&Tokens) -> Tokens,
    ) -> Result<(Tokens, Tokens), DenoiserError>;
}

/// Why a denoiser gave nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DenoiserError {
    #[error("{tokens} tokens are more than the {max} that the network was built for")]
    TooLong { tokens: usize, max: usize },
    #[error("the backend failed: {0}")]
    Backend(String),
    #[error("the network's prediction holds a value that is not finite")]
    NotFinite,
}
