//! The configuration of reading: the contract, the section `columns`, and some keys of `training`.

use std::path::Path;

use df_core::{ConfigError, Contract, Document};
use serde::Deserialize;

use crate::ColumnsConfig;

/// How recordings and datasets become frames and episodes.
#[derive(Clone, Debug, PartialEq)]
pub struct DataConfig {
    /// Topics, fields, period and goal.
    pub contract: Contract,
    /// The section `columns`.
    pub columns: ColumnsConfig,
    /// `training.window`: tokens per training window, which inspection counts.
    pub window: usize,
    /// `training.max_gap_s`: a longer silence of an observation splits the episode, seconds.
    pub max_gap_s: f64,
    /// `training.max_skew_s`: how far the stamps of two topics may lie apart in the order of recording, seconds.
    pub max_skew_s: f64,
    /// `training.cache_gb`: maximum size of the frames kept between runs, 10^9 bytes.
    pub cache_gb: f64,
}

/// The keys of `training` that reading needs, with their defaults; other keys are ignored.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct ReadingConfig {
    /// Tokens per training window, which inspection counts.
    pub window: usize,
    /// A longer silence of an observation splits the episode, seconds.
    pub max_gap_s: f64,
    /// Maximum difference of the stamps of two topics in the order of recording, seconds.
    pub max_skew_s: f64,
    /// Maximum size of the frames kept between runs, 10^9 bytes.
    pub cache_gb: f64,
}

impl Default for ReadingConfig {
    fn default() -> Self {
        Self { window: 14, max_gap_s: 0.5, max_skew_s: 10.0, cache_gb: 50.0 }
    }
}

impl DataConfig {
    /// Composes sections that were read elsewhere.
    pub fn new(contract: Contract, columns: ColumnsConfig, reading: ReadingConfig) -> Self {
        let ReadingConfig { window, max_gap_s, max_skew_s, cache_gb } = reading;
        Self { contract, columns, window, max_gap_s, max_skew_s, cache_gb }
    }

    /// Reads and checks the sections of a text; other sections are ignored. `file` is only cited.
    ///
    /// # Errors
    /// [`ConfigError`] with file, line, key, value and rule.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let document = Document::new(text, file);
        let (columns, reading) = (document.section::<ColumnsConfig>("columns")?, document.section("training")?);
        let config = Self::new(Contract::read(document)?, columns, reading);
        let checked = config.contract.check().and_then(|()| config.columns.check(&config.contract.group_names()));
        checked.map_err(|broken| config.contract.document.locate(broken))?;
        Ok(config)
    }
}
