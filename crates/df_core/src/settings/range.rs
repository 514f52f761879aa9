//! What may change while the planner runs: a description and the range of every such setting. The ranges are the rules of
//! the configuration file, too; rules between several settings stand beside their structs.

use serde::Serialize;

use super::flat::{Setting, flatten};
use super::validation::{Validation, require};

/// What there is to say about one setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Description {
    /// Dotted; `*` stands for one part of it.
    pub key: &'static str,
    pub text: &'static str,
    pub range: Range,
    /// A limit for others: it holds from start to end.
    pub fixed: bool,
}

/// The upper bound of a share that must lie below 1.
pub const BELOW_ONE: f64 = 1.0 - f64::EPSILON;

/// The values that a setting may have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range {
    Any,
    /// From and to, both included.
    Integers(i64, i64),
    /// From and to, both included; never infinite. Of a list: every one.
    Numbers(f64, f64),
    OneOf(&'static [&'static str]),
    /// Rows of two numbers.
    Pairs,
}

/// An entry of a catalogue; it may change at run time.
pub const fn describe(key: &'static str, range: Range, text: &'static str) -> Description {
    Description { key, text, range, fixed: false }
}

/// The entry of a catalogue that describes `key`.
pub fn find_description(catalogue: &'static [Description], key: &str) -> Option<&'static Description> {
    catalogue.iter().find(|entry| match entry.key.split_once('*') {
        Some((before, after)) => {
            key.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)).is_some_and(|part| !part.contains('.'))
        }
        None => entry.key == key,
    })
}

/// Whether every value of a section keeps its range.
///
/// # Errors
/// The first key that does not.
pub fn check_ranges<T: Serialize>(catalogue: &'static [Description], section: &str, settings: &T) -> Validation {
    flatten(settings).into_iter().try_for_each(|(key, value)| {
        let key = format!("{section}.{key}");
        find_description(catalogue, &key).map_or(Ok(()), |described| described.range.check(&key, &value))
    })
}

impl Range {
    /// Columns of a list's rows: 1, or 2 of pairs.
    pub(super) fn columns(self) -> usize {
        if self == Self::Pairs { 2 } else { 1 }
    }

    /// # Errors
    /// The rule that `value` breaks.
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
