//! Binds the contract's topics and fields to message definitions.

use super::{Definitions, Encoder, Extractor};
use crate::config::{Config, ConfigError};

/// The contract, bound: how each topic's bytes become channels, and the action's channels bytes.
pub struct Bound {
    /// One per observation group, in the contract's order.
    pub observations: Vec<Extractor>,
    pub action: Extractor,
    pub action_encoder: Encoder,
    pub goal: Option<Extractor>,
}

impl Bound {
    /// Modality names and channel labels, the action first: what `signal::Layout::new` takes.
    pub fn modalities(&self, config: &Config) -> Vec<(String, Vec<String>)> {
        let _ = config;
        unimplemented!("helper A")
    }
}

/// Binds every topic of `config`; each refusal names the key of the configuration.
///
/// # Errors
/// A type that is not known, a field that the type lacks, a goal whose channel count is not its group's, action limits
/// whose count is not the channel count.
pub fn bind(config: &Config, definitions: &dyn Definitions) -> Result<Bound, ConfigError> {
    let _ = (config, definitions);
    unimplemented!("helper A")
}
