//! The trait behind which every recording and dataset stands: a source gives the samples of the contract's streams.

use df_core::Bound;
use df_message::SchemaDefinitions;

use super::{BagError, EpisodeReport};
use crate::DataConfig;

/// Which stream of the contract a sample belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamId {
    /// The commands.
    Action,
    /// The observation group of this index in the contract.
    Observation(usize),
}

impl StreamId {
    /// The action is 0, the groups follow.
    pub fn index(self) -> usize {
        match self {
            Self::Action => 0,
            Self::Observation(group) => 1 + group,
        }
    }
}

/// One step of reading a source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SourceEvent<'a> {
    /// A sample of one stream.
    Sample {
        /// The stream.
        stream: StreamId,
        /// The header stamp, or the log time where there is none, nanoseconds.
        stamp_ns: i64,
        /// The channels in the units of the contract, then variances where the contract has them.
        values: &'a [f64],
    },
    /// Time starts anew: later samples do not follow earlier ones.
    Break,
}

/// A recording or dataset, read one sample at a time.
pub trait SampleSource {
    /// The message definitions that the source carries; none by default.
    fn message_definitions(&self) -> SchemaDefinitions {
        SchemaDefinitions::default()
    }

    /// True if the source itself says where episodes end. If not, a break of time is a clock that jumped.
    fn has_episodes(&self) -> bool {
        false
    }

    /// Gives every sample of the contract's streams in the order of recording; counts in `report` what is left out.
    ///
    /// # Errors
    /// The contract does not fit the source. Damage, with file and location: earlier samples have been given. A
    /// recording that was cut off gives [`BagError::Unfinished`] after everything else has been given.
    fn samples(
        &self,
        config: &DataConfig,
        bound: &Bound,
        report: &mut EpisodeReport,
        to: &mut dyn FnMut(SourceEvent),
    ) -> Result<(), BagError>;

    /// Goals by ascending stamp, in the units of the goal's group; those in another frame than the contract's are left
    /// out. Empty where the contract or the source has none.
    ///
    /// # Errors
    /// Damage; a goal topic of another type.
    fn goals(&self, _config: &DataConfig, _bound: &Bound) -> Result<Vec<(i64, Vec<f64>)>, BagError> {
        Ok(Vec::new())
    }
}
