//! Message definitions: `.msg` texts from a ROS installation or from a bag's schema.

use super::MessageError;

/// Where the text of a message definition comes from.
pub trait Definitions {
    /// The definition of `package/msg/Name` together with all that it nests, parsed.
    ///
    /// # Errors
    /// The type or one that it nests is unknown, or its text is malformed.
    fn schema(&self, message_type: &str) -> Result<std::sync::Arc<Schema>, MessageError>;
}

/// A parsed message type with everything that it nests.
#[derive(Debug)]
pub struct Schema {
    _private: (),
}

/// The `share/<package>/msg/*.msg` files below the prefixes of `AMENT_PREFIX_PATH`.
pub struct AmentDefinitions {
    _private: (),
}

/// Definitions given as text in the form of a bag's schema: the type's own text, then `===` lines and `MSG: pkg/Name`.
pub struct SchemaDefinitions {
    _private: (),
}
