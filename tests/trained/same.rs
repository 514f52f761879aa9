//! The same seed.
