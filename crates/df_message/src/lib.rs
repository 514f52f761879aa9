//! Decodes and encodes ROS 2 messages at run time, from their message definitions.
//!
//! The crate parses `.msg` texts, looks up field expressions such as `pose.pose.position.x`, `ranges[0:360:10]` or
//! `yaw(pose.orientation)` in them, and compiles both to a projection. A projection reads the wanted numbers straight from
//! the CDR bytes of a message and skips the rest. An [`Encoder`] does the reverse.
//!
//! It is not a ROS client: it needs no ROS installation and generates no code. It knows no topic, no clock and no robot. It
//! reads plain CDR (XCDR1), not XCDR2 or parameter lists. For a message as a tree of dynamic values, use another crate.
//!
//! ```text
//! .msg text -> definition -> schema     field expression -> field
//!                               \           /
//!                              resolve, channels, compile
//!                                      |
//! CDR bytes -----------------> extract (projection) -> Sample { stamp, frame id, channel values }
//! channel values ------------> encode ---------------> CDR bytes
//! CDR bytes -----------------> numbers --------------> every number, to inspect an unknown recording
//! CDR bytes -----------------> tf_message -----------> transforms of tf2_msgs/msg/TFMessage
//! ```
//!
//! # Example
//! Parse a definition, compile field expressions, encode a message and decode it:
//! ```
//! use df_message::{Definitions, Encoder, Extractor, SchemaDefinitions};
//!
//! // A type's own text, then one section for each type that it nests, as a bag records it.
//! let text = "Point position\nstring label\n===\nMSG: my_msgs/Point\nfloat64 x\nfloat64 y\n";
//! let definitions = SchemaDefinitions::new([("my_msgs/msg/Pose", text)]);
//! let schema = definitions.schema("my_msgs/msg/Pose")?;
//!
//! let fields = ["position.x".to_string(), "position.y".to_string()];
//! let encoder = Encoder::new(&schema, &fields)?;
//! let bytes = encoder.encode(0, "", &[1.5, -2.0])?;
//!
//! let extractor = Extractor::new(&schema, &["position.y".into(), "sin_cos(position.x)".into()])?;
//! assert_eq!(extractor.labels(), ["position.y", "sin(position.x)", "cos(position.x)"]);
//! assert_eq!(extractor.extract(&bytes)?.values, [-2.0, 1.5f64.sin(), 1.5f64.cos()]);
//! # Ok::<(), df_message::MessageError>(())
//! ```

#![warn(missing_docs, unreachable_pub)]

mod cdr;
mod channels;
mod compile;
mod definition;
mod encode;
mod error;
mod extract;
mod field;
mod header;
mod numbers;
mod projection;
mod resolve;
mod schema;
mod tf_message;

#[cfg(test)]
mod tests;

pub use definition::{AmentDefinitions, Definitions, FirstKnown, SchemaDefinitions, built_in};
pub use encode::Encoder;
pub use error::{DecodeError, MessageError};
pub use extract::{Extractor, Sample};
pub use numbers::{ArrayLengths, Numbers, Reading};
pub use schema::Schema;
pub use tf_message::{StampedTransform, TF_MESSAGE, transforms};
