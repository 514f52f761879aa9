//! How a section of the YAML becomes a checked struct: documents, rules on values, ranges, and settings as flat lists.
//!
//! ```text
//! text -> Document -> section::<T> -> T::check -> a validated struct, or a ConfigError with file, line, key, value and rule
//! ```
//! Knows no section: each crate has the structs of its own, beside what they configure.

mod document;
mod flat;
mod locate;
mod range;
mod validation;

pub use document::{ConfigError, Document, read_yaml};
pub use flat::{Setting, flatten, replaced, wrong_type};
pub use range::{BELOW_ONE, Description, Range, check_ranges, describe, find_description};
pub use validation::{ValidationError, Validation, at_least_one, not_negative, positive, require, share};
