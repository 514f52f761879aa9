//! Frames on the tick grid: layout of channels, alignment of samples to ticks, normaliser, history. Plain numbers.

mod align;
mod history;
mod layout;
mod normaliser;

pub use align::Aligner;
pub use history::History;
pub use layout::{ACTION_MODALITY, Frame, Layout, Modality};
pub use normaliser::Normaliser;
