//! Counter-based random streams: every draw of a training run has its own generator, keyed by seed, stream and index.
//!
//! No draw depends on an earlier one. So a resumed run continues with the same numbers, and all ranks agree.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The purpose of a random stream. The numbers are part of the results: do not reorder.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RngStream {
    /// The choice of the validation episodes.
    Split = 1,
    /// The length of the windows of a step; the index is the step.
    Length,
    /// Noise levels and noise of a training window; the index is its position.
    Window,
    /// Noise levels and noise of a validation window; the index is its position.
    Validation,
    /// The dwell augmentation of a training window; the index is its position.
    Dwell,
}

impl RngStream {
    /// The generator for one index of this stream. Equal arguments give equal numbers.
    pub(crate) fn generator(self, seed: u64, index: u64) -> ChaCha8Rng {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8] = self as u8;
        let mut generator = ChaCha8Rng::from_seed(key);
        generator.set_stream(index);
        generator
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    #[test]
    fn equal_keys_give_equal_numbers_and_other_keys_give_others() {
        let draw = |seed, stream: RngStream, index| -> u64 { stream.generator(seed, index).random() };
        let reference = draw(1, RngStream::Window, 7);
        assert_eq!(reference, draw(1, RngStream::Window, 7));
        for other in [draw(2, RngStream::Window, 7), draw(1, RngStream::Validation, 7), draw(1, RngStream::Window, 8)] {
            assert_ne!(reference, other);
        }
    }
}
