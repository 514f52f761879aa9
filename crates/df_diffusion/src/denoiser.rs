//! The trait that networks implement, and that exact denoisers implement in tests.

use crate::{Levels, Tokens};

/// Predicts clean tokens from noisy ones.
pub trait Denoiser {
    /// The clean tokens `E[x0 | x, levels]`, `[batch, token, channel]`.
    ///
    /// `x`: `[batch, token, channel]`. `levels`: `[batch, token, noise_group]`.
    ///
    /// # Errors
    /// [`DenoiserError`].
    fn denoise(&mut self, x: &Tokens, levels: &Levels) -> Result<Tokens, DenoiserError>;

    /// Maximum length of a sequence, tokens; `None`: no limit.
    fn max_tokens(&self) -> Option<usize> {
        None
    }

    /// As [`Denoiser::denoise`], with the gradient of a scalar function of the clean tokens with respect to `x`.
    ///
    /// `cotangent` receives the clean tokens and returns the gradient of the scalar with respect to them. All three are
    /// `[batch, token, channel]`. Returns the clean tokens and the gradient. Conditioned values (level 0) are
    /// constants: their entries of the gradient have no meaning.
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

/// Why a denoiser returned no prediction.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DenoiserError {
    /// The sequence is longer than [`Denoiser::max_tokens`].
    #[error("{tokens} tokens are more than the {max} that the network was built for")]
    TooLong {
        /// Tokens of the sequence.
        tokens: usize,
        /// Maximum that the network takes.
        max: usize,
    },
    /// The device or library that evaluates the network failed.
    #[error("the backend failed: {0}")]
    Backend(String),
    /// The prediction contains NaN or infinity.
    #[error("the network's prediction holds a value that is not finite")]
    NotFinite,
}
