//! Settings as a flat list of dotted keys with one value each, as ROS 2 parameters need them.

use serde::Serialize;
use serde_yaml::Value;

/// The value of one setting. A setting never changes its type.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting {
    /// True or false.
    Bool(bool),
    /// An integer.
    Integer(i64),
    /// A floating-point number.
    Number(f64),
    /// A text.
    Text(String),
    /// A list of numbers. Pairs of numbers are stored one after the other.
    Numbers(Vec<f64>),
}

impl Setting {
    /// The name of the type in ROS 2.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::Integer(_) => "integer",
            Self::Number(_) => "double",
            Self::Text(_) => "string",
            Self::Numbers(_) => "double_array",
        }
    }

    pub(super) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(Self::Bool(*value)),
            Value::Number(number) => {
                Some(number.as_i64().map_or_else(|| Self::Number(number.as_f64().unwrap_or(f64::NAN)), Self::Integer))
            }
            Value::String(text) => Some(Self::Text(text.clone())),
            Value::Sequence(values) => {
                let mut numbers = Vec::new();
                values.iter().for_each(|value| add_numbers(value, &mut numbers));
                Some(Self::Numbers(numbers))
            }
            Value::Null | Value::Mapping(_) | Value::Tagged(_) => None,
        }
    }

    /// The value as YAML. A list of numbers is written in rows of `columns` if `columns` is not 1.
    pub(super) fn to_value(&self, columns: usize) -> Value {
        match self {
            Self::Bool(value) => Value::from(*value),
            Self::Integer(value) => Value::from(*value),
            Self::Number(value) => Value::from(*value),
            Self::Text(value) => Value::from(value.as_str()),
            Self::Numbers(values) if columns == 1 => Value::from(values.clone()),
            Self::Numbers(values) => values.chunks(columns).map(|row| Value::from(row.to_vec())).collect(),
        }
    }
}

impl std::fmt::Display for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
            Self::Text(value) => f.write_str(value),
            Self::Numbers(values) => write!(f, "{values:?}"),
        }
    }
}

/// Every value of `settings` with its dotted key, in the order of the struct.
pub fn flatten<T: Serialize>(settings: &T) -> Vec<(String, Setting)> {
    let mut found = Vec::new();
    add_leaves(&tree(settings), String::new(), &mut found);
    found
}

/// The rule that a value of type `got` breaks where the current value is `now`.
pub fn wrong_type(now: &Setting, got: &str) -> String {
    let example = match now {
        Setting::Number(_) => " (such as 1.0)",
        Setting::Numbers(_) => " (such as [1.0, 2.5])",
        Setting::Bool(_) | Setting::Integer(_) | Setting::Text(_) => "",
    };
    format!("must be of type {}{example}, got {got}", now.type_name())
}

/// `settings` as a YAML tree. Structs of names and numbers always have one.
pub(super) fn tree<T: Serialize>(settings: &T) -> Value {
    serde_yaml::to_value(settings).unwrap_or_default()
}

fn add_leaves(value: &Value, key: String, found: &mut Vec<(String, Setting)>) {
    if let Value::Mapping(children) = value {
        for (name, child) in children {
            let name = name.as_str().unwrap_or_default();
            add_leaves(child, if key.is_empty() { name.to_string() } else { format!("{key}.{name}") }, found);
        }
    } else if let Some(setting) = Setting::of(value) {
        found.push((key, setting));
    }
}

fn add_numbers(value: &Value, numbers: &mut Vec<f64>) {
    match value {
        Value::Sequence(values) => values.iter().for_each(|value| add_numbers(value, numbers)),
        other => numbers.push(other.as_f64().unwrap_or(f64::NAN)),
    }
}
