//! Rules on values. Each error names the key, the value and the rule.

/// A value that breaks a rule.
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

/// The result of checking values.
pub type Validation = Result<(), ValidationError>;

/// Checks that `holds` is true.
///
/// # Errors
/// [`ValidationError`] with the key, the value and the rule.
pub fn require(holds: bool, key: impl Into<String>, value: impl ToString, rule: impl ToString) -> Validation {
    if holds {
        Ok(())
    } else {
        Err(ValidationError { key: key.into(), value: value.to_string(), rule: rule.to_string() })
    }
}

/// Checks that a number is finite and above 0.
///
/// # Errors
/// [`ValidationError`].
pub fn positive(key: impl Into<String>, value: f64) -> Validation {
    require(value.is_finite() && value > 0.0, key, value, "must be a finite number above 0")
}

/// Checks that a number is finite and at least 0.
///
/// # Errors
/// [`ValidationError`].
pub fn not_negative(key: impl Into<String>, value: f64) -> Validation {
    require(value.is_finite() && value >= 0.0, key, value, "must be a finite number of at least 0")
}

/// Checks that a count is at least 1.
///
/// # Errors
/// [`ValidationError`].
pub fn at_least_one(key: impl Into<String>, value: usize) -> Validation {
    require(value >= 1, key, value, "must be at least 1")
}

/// Checks that a fraction is at least 0 and below 1.
///
/// # Errors
/// [`ValidationError`].
pub fn fraction(key: impl Into<String>, value: f64) -> Validation {
    require((0.0..1.0).contains(&value), key, value, "must be at least 0 and below 1")
}
