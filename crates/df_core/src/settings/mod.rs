//! Reads a section of the YAML into a validated struct: documents, rules, ranges, and settings as flat lists.
//!
//! ```text
//! text -> Document -> section::<T> -> T::check -> a validated struct, or a ConfigError with file, line, key, value and rule
//! ```
//! This module has no section of its own: each crate has its structs beside what they configure.

mod document;
mod locate;
mod range;
mod replaced;
mod setting;
mod validation;

pub use document::{ConfigError, Document, read_yaml};
pub use range::{BELOW_ONE, Description, Range, check_ranges, describe, find_description};
pub use replaced::replaced;
pub use setting::{Setting, flatten, wrong_type};
pub use validation::{Validation, ValidationError, at_least_one, fraction, not_negative, positive, require};
