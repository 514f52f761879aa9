//! The trait behind which all demonstrations stand, whatever holds them: a source gives the samples of the contract's streams.

use std::path::Path;

use super::storage::{self, SplitBag};
use super::streams::{Streams, find_topic};
use super::{Bag, BagError, EpisodeReport, Table};
use crate::DataConfig;
use df_core::Bound;
use df_message::SchemaDefinitions;

/// Where a LeRobot dataset says what it is, below its directory.
pub const INFO: &str = "meta/info.json";
/// Where Minari's directories keep their file.
pub const MINARI_FILE: &str = "data/main_data.hdf5";
const HDF5_EXTENSIONS: [&str; 3] = ["hdf5", "h5", "hdf"];

/// Which stream of the contract a sample belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Action,
    /// The observation group of this number in the contract.
    Observation(usize),
}

impl Stream {
    /// The action is 0, the groups follow.
    pub fn index(self) -> usize {
        match self {
            Self::Action => 0,
            Self::Observation(group) => 1 + group,
        }
    }
}

/// What a source says next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event<'a> {
    /// A sample, in the units of the contract: its channels, then variances where the contract has them.
    Sample { stream: Stream, stamp_ns: i64, values: &'a [f64] },
    /// Time starts anew: what comes does not follow what came.
    Break,
}

/// Demonstrations, read one sample at a time.
pub trait Source {
    /// The message definitions that it carries, if any.
    fn message_definitions(&self) -> SchemaDefinitions {
        SchemaDefinitions::default()
    }

    /// Does it say itself where episodes end? Else a break of time is a clock that jumped.
    fn has_episodes(&self) -> bool {
        false
    }

    /// Gives every sample of the contract's streams in the order of recording; counts in `report` what is left out.
    ///
    /// # Errors
    /// The contract does not fit the source; damage, with file and place: what came before it has been given. One that was
    /// cut off gives [`BagError::Unfinished`] after everything else has been given.
    fn samples(
        &self,
        config: &DataConfig,
        bound: &Bound,
        report: &mut EpisodeReport,
        to: &mut dyn FnMut(Event),
    ) -> Result<(), BagError>;

    /// Goals by ascending stamp, in the units of the goal's group; those in another frame than the contract's are left out.
    /// Empty where the contract or the source has none.
    ///
    /// # Errors
    /// Damage; a goal topic of another type.
    fn goals(&self, _config: &DataConfig, _bound: &Bound) -> Result<Vec<(i64, Vec<f64>)>, BagError> {
        Ok(Vec::new())
    }
}

/// Opens demonstrations of any kind that is known: a bag (a directory of rosbag2 or one of its files), a LeRobot dataset
/// (its directory), a D4RL or Minari file (or Minari's directory).
///
/// # Errors
/// No such path; nothing known; something that this program was built without.
pub fn open_source(path: &Path) -> Result<Box<dyn Source>, BagError> {
    Ok(match Known::open(path)? {
        Known::Bag(bag) => Box::new(bag),
        #[cfg(feature = "formats")]
        Known::LeRobot(dataset) => Box::new(dataset),
        #[cfg(feature = "formats")]
        Known::Hdf5(dataset) => Box::new(dataset),
    })
}

/// Demonstrations as they are, without a contract.
pub enum Contents {
    Bag(Box<dyn Bag>),
    Table(Box<dyn Table>),
}

/// Opens what [`open_source`] opens, to look at all of it.
///
/// # Errors
/// As [`open_source`].
pub fn open_contents(path: &Path) -> Result<Contents, BagError> {
    Ok(match Known::open(path)? {
        Known::Bag(bag) => Contents::Bag(Box::new(bag)),
        #[cfg(feature = "formats")]
        Known::LeRobot(dataset) => Contents::Table(Box::new(dataset)),
        #[cfg(feature = "formats")]
        Known::Hdf5(dataset) => Contents::Table(Box::new(dataset)),
    })
}

enum Known {
    Bag(SplitBag),
    #[cfg(feature = "formats")]
    LeRobot(super::lerobot::LeRobot),
    #[cfg(feature = "formats")]
    Hdf5(super::hdf5::Hdf5),
}

impl Known {
    fn open(path: &Path) -> Result<Self, BagError> {
        if path.join(INFO).is_file() {
            #[cfg(feature = "formats")]
            return Ok(Self::LeRobot(super::lerobot::LeRobot::open(path)?));
            #[cfg(not(feature = "formats"))]
            return Err(BagError::NotBuilt { path: path.into(), what: "a LeRobot dataset", feature: "lerobot" });
        }
        if is_hdf5(path) || path.join(MINARI_FILE).is_file() {
            #[cfg(feature = "formats")]
            return Ok(Self::Hdf5(super::hdf5::Hdf5::open(path)?));
            #[cfg(not(feature = "formats"))]
            return Err(BagError::NotBuilt { path: path.into(), what: "an HDF5 dataset", feature: "hdf5" });
        }
        Ok(Self::Bag(storage::split_bag(path)?))
    }
}

fn is_hdf5(path: &Path) -> bool {
    path.is_file() && path.extension().is_some_and(|extension| HDF5_EXTENSIONS.iter().any(|known| extension == *known))
}

impl<B: Bag + ?Sized> Source for B {
    fn message_definitions(&self) -> SchemaDefinitions {
        self.definitions()
    }

    /// Samples are placed by header stamp, or by log time where there is none.
    fn samples(
        &self,
        config: &DataConfig,
        bound: &Bound,
        report: &mut EpisodeReport,
        to: &mut dyn FnMut(Event),
    ) -> Result<(), BagError> {
        let mut streams = Streams::new(self.topics(), config, bound, report)?;
        let topics = streams.topics();
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        let read = self.read(&topics, &mut |message| streams.add(message, report, to));
        match read {
            Ok(()) => streams.finish(),
            Err(error @ BagError::Unfinished { .. }) => streams.finish().and(Err(error)),
            Err(error) => Err(error),
        }
    }

    fn goals(&self, config: &DataConfig, bound: &Bound) -> Result<Vec<(i64, Vec<f64>)>, BagError> {
        let (Some(goal), Some(extractor)) = (&config.contract.goal, &bound.goal) else { return Ok(Vec::new()) };
        let Ok(found) = find_topic(self.topics(), &goal.topic) else { return Ok(Vec::new()) };
        if found.message_type != goal.message_type {
            let (expected, got) = (goal.message_type.clone(), found.message_type.clone());
            return Err(BagError::TopicType { topic: found.name.clone(), expected, got });
        }
        let mut goals = Vec::new();
        let read = self.read(&[found.name.as_str()], &mut |message| {
            if let Ok(sample) = extractor.extract(&message.bytes)
                && goal.frame_id.as_ref().is_none_or(|expected| sample.frame_id.as_ref() == Some(expected))
            {
                goals.push((sample.stamp_ns.unwrap_or(message.log_ns), sample.values));
            }
        });
        match read {
            Err(BagError::Unfinished { .. }) | Ok(()) => {}
            Err(error) => return Err(error),
        }
        goals.sort_by_key(|(stamp, _)| *stamp);
        Ok(goals)
    }
}
