//! Why a transform was refused, and why one cannot be given.

/// A transform that does not enter the buffer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TransformError {
    #[error("frame `{name}`: {rule}")]
    Name { name: String, rule: &'static str },
    #[error("{child} is its own parent")]
    OwnParent { child: String },
    #[error("{parent}_from_{child}: {what} is {got}, expected a finite number")]
    NotFinite { parent: String, child: String, what: &'static str, got: f64 },
    #[error("{parent}_from_{child}: the quaternion has the norm {got}, expected 1 within {tolerance}")]
    QuaternionNorm { parent: String, child: String, got: f64, tolerance: f64 },
    #[error("{parent}_from_{child}: stamped {by_s:.3} s ahead of the clock, expected at most {max_s} s")]
    Ahead { parent: String, child: String, by_s: f64, max_s: f64 },
    #[error("{parent}_from_{child}: {by_s:.3} s older than the newest one, expected at most {max_s} s")]
    Old { parent: String, child: String, by_s: f64, max_s: f64 },
    #[error("{parent}_from_{child} closes a loop: {parent} already lies in {child}")]
    Loop { parent: String, child: String },
    #[error("{parent}_from_{child}: there are {max} frames already, which is as many as the buffer holds")]
    Full { parent: String, child: String, max: usize },
}

/// A transform that the buffer cannot give: which one is missing, and by how much. `asked`: such as `map_from_base`.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LookupError {
    #[error("frame `{name}`: {rule}")]
    Name { name: String, rule: &'static str },
    #[error("{asked}: no transform names the frame `{missing}`")]
    Unknown { asked: String, missing: String },
    #[error("{asked}: no transform connects them; one lies in `{target_root}`, the other in `{source_root}`")]
    NotConnected { asked: String, target_root: String, source_root: String },
    /// The transform between two frames of the way has not come that far.
    #[error("{asked}: the newest {parent}_from_{child} is {by_s:.3} s older than the time asked for, {asked_s:.3} s")]
    TooNew { asked: String, parent: String, child: String, by_s: f64, asked_s: f64 },
    /// It has been forgotten, or was never known that early.
    #[error("{asked}: the oldest {parent}_from_{child} is {by_s:.3} s newer than the time asked for, {asked_s:.3} s")]
    TooOld { asked: String, parent: String, child: String, by_s: f64, asked_s: f64 },
}
