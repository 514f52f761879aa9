//! What a robot's data mean: the contract, frames on the tick grid, coordinate frames and maps. Plain numbers.

pub mod alignment;
mod bind;
mod contract;
mod contract_keys;
mod history;
mod layout;
pub mod map;
mod normaliser;
pub mod settings;
pub mod tf;

pub use alignment::Aligner;
pub use bind::{Bound, bind};
pub use contract::{
    ACTION, Action, Contract, Goal, MapTopic, ObservationGroup, Qos, Reliability, Uncertainty, is_frame_id,
};
pub use contract_keys::{CONTRACT_KEYS, ContractKey};
pub use history::History;
pub use layout::{ACTION_MODALITY, Frame, Layout, Modality};
pub use normaliser::Normaliser;
pub use settings::{ConfigError, Document};
