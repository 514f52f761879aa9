//! The rules that values must keep. Each refusal names the key, the value and the rule.

/// A rule that a value breaks.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{key}: {value}: {rule}")]
pub struct ValidationError {
    /// The key, dotted.
    pub key: String,
    /// The value.
    pub value: String,
    /// The rule.
    pub rule: String,
}

/// Whether values keep their rules.
pub type Validation = Result<(), ValidationError>;

pub fn require(holds: bool, key: impl Into<String>, value: impl ToString, rule: impl ToString) -> Validation {
    if holds { Ok(()) } else { Err(ValidationError { key: key.into(), value: value.to_string(), rule: rule.to_string() }) }
}

pub fn positive(key: impl Into<String>, value: f64) -> Validation {
    require(value.is_finite() && value > 0.0, key, value, "must be a finite number above 0")
}

pub fn not_negative(key: impl Into<String>, value: f64) -> Validation {
    require(value.is_finite() && value >= 0.0, key, value, "must be a finite number of at least 0")
}

pub fn at_least_one(key: impl Into<String>, value: usize) -> Validation {
    require(value >= 1, key, value, "must be at least 1")
}

pub fn share(key: impl Into<String>, value: f64) -> Validation {
    require((0.0..1.0).contains(&value), key, value, "must be at least 0 and below 1")
}
