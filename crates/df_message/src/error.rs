//! The errors of definitions, field expressions, decoding and encoding.

/// An error in a definition, a field expression, or the bytes or values of a message. The caller adds the topic.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MessageError {
    /// A type name of another form than `package/msg/Name`.
    #[error("message type `{got}`: expected the form package/msg/Name")]
    TypeName {
        /// What was found.
        got: String,
    },
    /// No source of definitions has the type.
    #[error("message type {message_type} is not known: {searched}")]
    UnknownType {
        /// The message type, `package/msg/Name`.
        message_type: String,
        /// Where the type was searched.
        searched: String,
    },
    /// A line of a `.msg` text that breaks the grammar.
    #[error("definition of {message_type}, line {line}: `{text}`: {rule}")]
    Definition {
        /// The message type, `package/msg/Name`.
        message_type: String,
        /// Line in the `.msg` text, from 1.
        line: usize,
        /// The line, cut to 80 characters.
        text: String,
        /// The rule that is broken.
        rule: &'static str,
    },
    /// A type whose definition is well-formed but not supported.
    #[error("definition of {message_type}: {rule}")]
    Schema {
        /// The message type, `package/msg/Name`.
        message_type: String,
        /// The rule that is broken.
        rule: &'static str,
    },
    /// A definition file that exists and cannot be read.
    #[error("definition of {message_type}: cannot be read: {reason}")]
    Unreadable {
        /// The message type, `package/msg/Name`.
        message_type: String,
        /// The cause that the system reports.
        reason: String,
    },
    /// A field expression that breaks the grammar, or that names a field the type lacks.
    #[error("field `{expression}`, position {position}: {rule}")]
    Expression {
        /// The whole expression.
        expression: String,
        /// Byte position in the expression, from 0.
        position: usize,
        /// The rule that is broken.
        rule: String,
    },
    /// Bytes that are not a message of that type, or whose values are refused. `offset` counts from the first byte of
    /// the encapsulation header.
    #[error("{message_type}, byte {offset}: {error}")]
    Bytes {
        /// The message type, `package/msg/Name`.
        message_type: String,
        /// Byte position in the message, from 0.
        offset: usize,
        /// What is wrong there.
        error: DecodeError,
    },
    /// The number of values to encode differs from the number of channels.
    #[error("{message_type}: expected {expected} values to encode, got {got}")]
    ValueCount {
        /// The message type, `package/msg/Name`.
        message_type: String,
        /// What was expected.
        expected: usize,
        /// What was found.
        got: usize,
    },
    /// A value that the type of its field cannot hold.
    #[error("{message_type}: {field} = {value} cannot be encoded: expected {expected}")]
    Value {
        /// The message type, `package/msg/Name`.
        message_type: String,
        /// The field, as its label names it.
        field: String,
        /// The value.
        value: f64,
        /// What was expected.
        expected: &'static str,
    },
    /// A stamp or frame id that cannot be encoded.
    #[error("{message_type}: {what} cannot be encoded: {rule}")]
    Header {
        /// The message type, `package/msg/Name`.
        message_type: String,
        /// The stamp or the frame id.
        what: &'static str,
        /// The rule that is broken.
        rule: &'static str,
    },
}

/// What is wrong at one position of a message.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// The message ends too early.
    #[error("truncated: expected {expected} more bytes, got {got}")]
    Truncated {
        /// Bytes that the next value needs.
        expected: u64,
        /// Bytes that are left.
        got: usize,
    },
    /// The encapsulation header is not that of plain CDR.
    #[error("encapsulation header: expected 00 00 or 00 01 (plain CDR), got {:02x} {:02x}", got[0], got[1])]
    Encapsulation {
        /// What was found.
        got: [u8; 2],
    },
    /// More bytes follow the message than its padding can have.
    #[error("trailing bytes: expected at most {expected}, got {got}")]
    Trailing {
        /// What was expected.
        expected: usize,
        /// What was found.
        got: usize,
    },
    /// A bounded array or string is longer than its bound.
    #[error("expected at most {expected} elements by the definition, got {got}")]
    AboveBound {
        /// What was expected.
        expected: u32,
        /// What was found.
        got: u32,
    },
    /// A boolean is neither 0 nor 1.
    #[error("bool: expected 0 or 1, got {got}")]
    Bool {
        /// What was found.
        got: u8,
    },
    /// An array has another length than the field expression states.
    #[error("{field}: expected an array of {expected} elements, got {got}")]
    ArrayLength {
        /// The field, as its label names it.
        field: String,
        /// What was expected.
        expected: u32,
        /// What was found.
        got: u32,
    },
    /// An array is too short for an index.
    #[error("{field}: expected an array of more than {index} elements, got {got}")]
    ArrayIndex {
        /// The field, as its label names it.
        field: String,
        /// The index, from 0.
        index: u32,
        /// What was found.
        got: u32,
    },
    /// An integer that f64 cannot hold exactly.
    #[error("{field}: expected an integer of at most 2^53 in size, got {got}")]
    Inexact {
        /// The field, as its label names it.
        field: String,
        /// What was found.
        got: i128,
    },
    /// A number that is NaN or infinite as f32.
    #[error("{field}: expected a finite number (as f32), got {got}")]
    NotFinite {
        /// The field, as its label names it.
        field: String,
        /// What was found.
        got: f64,
    },
    /// The array of names lacks a selected name.
    #[error("{field}: expected `{name}` among the {got} names, it is missing")]
    NameMissing {
        /// The field, as its label names it.
        field: String,
        /// The selected name.
        name: String,
        /// How many names the array has.
        got: u32,
    },
    /// The array of names has a selected name more than once.
    #[error("{field}: expected `{name}` once among the names, it is there at {first} and {second}")]
    NameTwice {
        /// The field, as its label names it.
        field: String,
        /// The selected name.
        name: String,
        /// Index of the first occurrence.
        first: u32,
        /// Index of the second occurrence.
        second: u32,
    },
    /// The message has another frame id than the expected one.
    #[error("header.frame_id: expected `{expected}`, got `{got}`")]
    FrameId {
        /// What was expected.
        expected: String,
        /// What was found.
        got: String,
    },
    /// A quaternion is too short to be a rotation.
    #[error("{field}: expected a quaternion of norm at least {expected}, got {got}")]
    QuaternionNorm {
        /// The field, as its label names it.
        field: String,
        /// The smallest norm that is accepted.
        expected: f64,
        /// What was found.
        got: f64,
    },
}

/// A [`DecodeError`] and its position, before the message type is known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DecodeFailure {
    /// Byte position in the message, from 0.
    pub(crate) offset: usize,
    pub(crate) error: DecodeError,
}

impl DecodeFailure {
    /// Adds the message type.
    pub(crate) fn of(self, message_type: &str) -> MessageError {
        MessageError::Bytes { message_type: message_type.into(), offset: self.offset, error: self.error }
    }
}
