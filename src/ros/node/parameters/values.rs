//! Converts parameter values to ROS messages and back.

use r2r::ParameterValue;
use r2r::rcl_interfaces::msg::{
    FloatingPointRange, IntegerRange, ParameterDescriptor, ParameterValue as Message, SetParametersResult,
};

use super::entry::{Entry, Given, NOT_SET};
use df_core::settings::{Range, Setting};

// The constants of rcl_interfaces/msg/ParameterType.
const BOOL: u8 = 1;
const INTEGER: u8 = 2;
const DOUBLE: u8 = 3;
const STRING: u8 = 4;
const BYTE_ARRAY: u8 = 5;
const BOOL_ARRAY: u8 = 6;
const INTEGER_ARRAY: u8 = 7;
const DOUBLE_ARRAY: u8 = 8;
const STRING_ARRAY: u8 = 9;

/// The number of the type in `rcl_interfaces/msg/ParameterType`.
pub(super) fn type_of(value: &Setting) -> u8 {
    match value {
        Setting::Bool(_) => BOOL,
        Setting::Integer(_) => INTEGER,
        Setting::Number(_) => DOUBLE,
        Setting::Text(_) => STRING,
        Setting::Numbers(_) => DOUBLE_ARRAY,
    }
}

/// The value as a message.
pub(super) fn to_message(value: &Setting) -> Message {
    let mut message = Message { type_: type_of(value), ..Message::default() };
    match value {
        Setting::Bool(value) => message.bool_value = *value,
        Setting::Integer(value) => message.integer_value = *value,
        Setting::Number(value) => message.double_value = *value,
        Setting::Text(value) => message.string_value.clone_from(value),
        Setting::Numbers(values) => message.double_array_value.clone_from(values),
    }
    message
}

/// The value of a message, or the name of a type that no parameter has.
pub(super) fn from_message(message: &Message) -> Given {
    match message.type_ {
        BOOL => Ok(Setting::Bool(message.bool_value)),
        INTEGER => Ok(Setting::Integer(message.integer_value)),
        DOUBLE => Ok(Setting::Number(message.double_value)),
        STRING => Ok(Setting::Text(message.string_value.clone())),
        DOUBLE_ARRAY => Ok(Setting::Numbers(message.double_array_value.clone())),
        BYTE_ARRAY => array(&message.byte_array_value, "byte_array"),
        BOOL_ARRAY => array(&message.bool_array_value, "bool_array"),
        INTEGER_ARRAY => array(&message.integer_array_value, "integer_array"),
        STRING_ARRAY => array(&message.string_array_value, "string_array"),
        _ => Err(NOT_SET),
    }
}

/// The value of a parameter that was given at start.
pub(crate) fn given(value: &ParameterValue) -> Given {
    match value {
        ParameterValue::NotSet => Err(NOT_SET),
        ParameterValue::Bool(value) => Ok(Setting::Bool(*value)),
        ParameterValue::Integer(value) => Ok(Setting::Integer(*value)),
        ParameterValue::Double(value) => Ok(Setting::Number(*value)),
        ParameterValue::String(value) => Ok(Setting::Text(value.clone())),
        ParameterValue::DoubleArray(values) => Ok(Setting::Numbers(values.clone())),
        ParameterValue::BoolArray(values) => array(values, "bool_array"),
        ParameterValue::ByteArray(values) => array(values, "byte_array"),
        ParameterValue::IntegerArray(values) => array(values, "integer_array"),
        ParameterValue::StringArray(values) => array(values, "string_array"),
    }
}

/// Accepts an empty array of any type: `ros2 param set NODE goal []` sends one of booleans.
fn array<T>(values: &[T], name: &'static str) -> Given {
    if values.is_empty() { Ok(Setting::Numbers(Vec::new())) } else { Err(name) }
}

/// The description of a parameter as a message.
pub(super) fn descriptor(name: &str, entry: &Entry) -> ParameterDescriptor {
    let about = &entry.about;
    let mut descriptor = ParameterDescriptor {
        name: name.into(),
        type_: type_of(&entry.value),
        description: about.text.into(),
        additional_constraints: if about.range == Range::Any { String::new() } else { about.range.to_string() },
        read_only: about.fixed,
        ..ParameterDescriptor::default()
    };
    match about.range {
        Range::Integers(from_value, to_value) => {
            descriptor.integer_range = vec![IntegerRange { from_value, to_value, step: 0 }];
        }
        Range::Numbers(from_value, to_value) => {
            descriptor.floating_point_range = vec![FloatingPointRange { from_value, to_value, step: 0.0 }];
        }
        Range::Any | Range::OneOf(_) | Range::Pairs => {}
    }
    descriptor
}

/// The result of a request to set parameters, as a message.
pub(super) fn result(result: Result<(), String>) -> SetParametersResult {
    SetParametersResult { successful: result.is_ok(), reason: result.err().unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_the_same_after_conversion_to_a_message_and_back() {
        for value in [
            Setting::Bool(true),
            Setting::Integer(-7),
            Setting::Number(0.25),
            Setting::Text("x".into()),
            Setting::Numbers(vec![1.0, -2.0]),
        ] {
            assert_eq!(from_message(&to_message(&value)), Ok(value));
        }
        assert_eq!(from_message(&Message::default()), Err(NOT_SET));
        let empty = Message { type_: BOOL_ARRAY, ..Message::default() };
        assert_eq!(from_message(&empty), Ok(Setting::Numbers(Vec::new())));
        let whole = Message { type_: INTEGER_ARRAY, integer_array_value: vec![1, 2], ..Message::default() };
        assert_eq!(from_message(&whole), Err("integer_array"));
    }
}
