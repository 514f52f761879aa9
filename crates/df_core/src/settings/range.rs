//! Descriptions and ranges of the settings that may change at run time. The same ranges apply to the configuration file.
//! Rules between several settings stand beside their structs.

use serde::Serialize;

use super::setting::{Setting, flatten};
use super::validation::{Validation, require};

/// The description of one setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Description {
    /// Dotted key; `*` stands for one part of it.
    pub key: &'static str,
    /// One line for the reference and for `ros2 param describe`.
    pub text: &'static str,
    /// The values that it may have.
    pub range: Range,
    /// True if it cannot change while the planner runs, because other settings are checked against it.
    pub fixed: bool,
}

/// The upper bound of a share that must lie below 1.
pub const BELOW_ONE: f64 = 1.0 - f64::EPSILON;

/// The values that a setting may have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range {
    /// Every value.
    Any,
    /// From and to, both included.
    Integers(i64, i64),
    /// Finite numbers from and to, both included. In a list, every number.
    Numbers(f64, f64),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A list of pairs of numbers.
    Pairs,
}

/// A description of a setting that may change at run time.
pub const fn describe(key: &'static str, range: Range, text: &'static str) -> Description {
    Description { key, text, range, fixed: false }
}

/// The description of `key` in a catalogue.
pub fn find_description(catalogue: &'static [Description], key: &str) -> Option<&'static Description> {
    catalogue.iter().find(|entry| match entry.key.split_once('*') {
        Some((before, after)) => {
            key.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)).is_some_and(|part| !part.contains('.'))
        }
        None => entry.key == key,
    })
}

/// Checks the range of every value of a section.
///
/// # Errors
/// The first key whose value is out of range.
pub fn check_ranges<T: Serialize>(catalogue: &'static [Description], section: &str, settings: &T) -> Validation {
    flatten(settings).into_iter().try_for_each(|(key, value)| {
        let key = format!("{section}.{key}");
        find_description(catalogue, &key).map_or(Ok(()), |described| described.range.check(&key, &value))
    })
}

impl Range {
    /// Numbers per row of a list: 2 for pairs, else 1.
    pub(super) fn columns(self) -> usize {
        if self == Self::Pairs { 2 } else { 1 }
    }

    /// Checks one value.
    ///
    /// # Errors
    /// `value` is out of range or has another type.
    pub fn check(self, key: &str, value: &Setting) -> Validation {
        let within = |holds| require(holds, key, value, self);
        match (self, value) {
            (Self::Any, _) => Ok(()),
            (Self::Integers(from, to), Setting::Integer(value)) => within((from..=to).contains(value)),
            (Self::Numbers(from, to), Setting::Number(value)) => {
                within(value.is_finite() && (from..=to).contains(value))
            }
            (Self::Numbers(from, to), Setting::Numbers(values)) => {
                within(values.iter().all(|value| value.is_finite() && (from..=to).contains(value)))
            }
            (Self::OneOf(names), Setting::Text(name)) => within(names.contains(&name.as_str())),
            (Self::Pairs, Setting::Numbers(values)) => within(values.len().is_multiple_of(2)),
            _ => within(false),
        }
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Any => f.write_str("may be anything"),
            Self::Integers(from, i64::MAX) => write!(f, "must be at least {from}"),
            Self::Integers(from, to) => write!(f, "must be at least {from} and at most {to}"),
            Self::Numbers(f64::MIN_POSITIVE, f64::INFINITY) => f.write_str("must be a finite number above 0"),
            Self::Numbers(f64::MIN_POSITIVE, to) => write!(f, "must lie above 0, at most {to}"),
            Self::Numbers(from, f64::INFINITY) => write!(f, "must be a finite number of at least {from}"),
            Self::Numbers(from, BELOW_ONE) => write!(f, "must lie in [{from}, 1)"),
            Self::Numbers(from, to) => write!(f, "must lie in [{from}, {to}]"),
            Self::OneOf(names) => write!(f, "must be one of {}", names.join(", ")),
            Self::Pairs => f.write_str("must be pairs of numbers, one after the other"),
        }
    }
}
