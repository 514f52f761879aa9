//! From message bytes to channels and back, by message definition at run time. Knows no ROS, no tick and no robot.
//!
//! ```text
//! .msg text -> definition -> schema     field expression -> path
//!                               \           /
//! CDR bytes ----------------->  extractor  ----> Sample { stamp, frame id, channel values }
//! channel values ------------>  encoder    ----> CDR bytes
//! ```

mod bind;
mod cdr;
mod definition;
mod encode;
mod extract;
mod field;

pub use bind::{Bound, bind};
pub use definition::{AmentDefinitions, Definitions, SchemaDefinitions};
pub use encode::Encoder;
pub use extract::{Extractor, Sample};

/// Why bytes or a field expression were refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MessageError {
    #[error("to be replaced")]
    Placeholder,
}
