//! From message bytes to channels and back, by message definition at run time. Knows no ROS, no tick and no robot.
//!
//! ```text
//! .msg text -> definition -> schema     field expression -> field
//!                               \           /
//!                              resolve, channels, compile
//!                                      |
//! CDR bytes -----------------> extractor (walk) ----> Sample { stamp, frame id, channel values }
//! channel values ------------> encoder -------------> CDR bytes
//! ```

mod cdr;
mod channels;
mod compile;
mod definition;
mod encode;
mod error;
mod extract;
mod field;
mod numbers;
mod resolve;
mod schema;
mod transforms;
mod walk;

#[cfg(test)]
mod tests;

pub use definition::{AmentDefinitions, Definitions, FirstKnown, SchemaDefinitions, built_in};
pub use encode::Encoder;
pub use error::{Fault, MessageError};
pub use extract::{Extractor, Sample};
pub use numbers::{ArrayLengths, Numbers, Reading};
pub use schema::Schema;
pub use transforms::{StampedTransform, TF_MESSAGE, transforms};
