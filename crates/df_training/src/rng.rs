//! Where chance comes from in a training run: a generator of its own for every thing that is drawn, known by the run's seed, what
//! it is for and its number. So nothing depends on what was drawn before: a run goes on anywhere, and ranks agree.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What is drawn.
#[derive(Clone, Copy, Debug)]
pub enum RngStream {
    /// The episodes kept for validation.
    Split = 1,
    /// The length of the windows of a step.
    Length,
    /// Levels and noise of the window at a position.
    Window,
    /// The same in validation.
    Validation,
    /// Whether and how the window at a position has a stay.
    Stay,
}

/// The generator of one thing.
pub fn generator(seed: u64, purpose: RngStream, number: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8] = purpose as u8;
    let mut generator = ChaCha8Rng::from_seed(key);
    generator.set_stream(number);
    generator
}
