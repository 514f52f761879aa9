//! Why a definition, a field expression or the bytes of a message were refused.

/// Why bytes, a definition or a field expression were refused. The caller adds the topic.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MessageError {
    #[error("message type `{got}`: expected the form package/msg/Name")]
    TypeName { got: String },
    #[error("message type {message_type} is not known: {searched}")]
    UnknownType { message_type: String, searched: String },
    #[error("definition of {message_type}, line {line}: `{text}`: {rule}")]
    Definition { message_type: String, line: usize, text: String, rule: &'static str },
    #[error("definition of {message_type}: {rule}")]
    Schema { message_type: String, rule: &'static str },
    #[error("definition of {message_type}: cannot be read: {reason}")]
    Unreadable { message_type: String, reason: String },
    /// A field expression that breaks the grammar; `position` counts bytes from 0.
    #[error("field `{expression}`, position {position}: {rule}")]
    Expression { expression: String, position: usize, rule: String },
    /// Bytes that are not a message of that type, or whose values break the contract. `offset` counts from the first
    /// byte of the encapsulation header.
    #[error("{message_type}, byte {offset}: {fault}")]
    Bytes { message_type: String, offset: usize, fault: Fault },
    #[error("{message_type}: expected {expected} values to encode, got {got}")]
    ValueCount { message_type: String, expected: usize, got: usize },
    #[error("{message_type}: {field} = {value} cannot be encoded: expected {expected}")]
    Value { message_type: String, field: String, value: f64, expected: &'static str },
    #[error("{message_type}: {what} cannot be encoded: {rule}")]
    Header { message_type: String, what: &'static str, rule: &'static str },
}

/// What is wrong at one place of a message.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Fault {
    #[error("truncated: expected {expected} more bytes, got {got}")]
    Truncated { expected: u64, got: usize },
    #[error("encapsulation header: expected 00 00 or 00 01 (plain CDR), got {:02x} {:02x}", got[0], got[1])]
    Encapsulation { got: [u8; 2] },
    #[error("trailing bytes: expected at most {expected}, got {got}")]
    Trailing { expected: usize, got: usize },
    #[error("expected at most {expected} elements by the definition, got {got}")]
    AboveBound { expected: u32, got: u32 },
    #[error("bool: expected 0 or 1, got {got}")]
    Bool { got: u8 },
    #[error("{field}: expected an array of {expected} elements, got {got}")]
    ArrayLength { field: String, expected: u32, got: u32 },
    #[error("{field}: expected an array of more than {index} elements, got {got}")]
    ArrayIndex { field: String, index: u32, got: u32 },
    #[error("{field}: expected an integer of at most 2^53 in size, got {got}")]
    Inexact { field: String, got: i128 },
    #[error("{field}: expected a finite number (as f32), got {got}")]
    NotFinite { field: String, got: f64 },
    #[error("{field}: expected `{name}` among the {got} names, it is missing")]
    NameMissing { field: String, name: String, got: u32 },
    #[error("{field}: expected `{name}` once among the names, it is there at {first} and {second}")]
    NameTwice { field: String, name: String, first: u32, second: u32 },
    #[error("header.frame_id: expected `{expected}`, got `{got}`")]
    FrameId { expected: String, got: String },
    #[error("{field}: expected a quaternion of norm at least {expected}, got {got}")]
    QuaternionNorm { field: String, expected: f64, got: f64 },
}

/// A fault and its place, before the message type is added.
#[derive(Debug, Clone, PartialEq)]
pub struct Damage {
    pub offset: usize,
    pub fault: Fault,
}
