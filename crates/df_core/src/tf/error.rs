//! The errors of inserting and of looking up a transform.

/// Why the buffer refuses a transform.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TransformError {
    /// A frame name that tf2 refuses.
    #[error("frame `{name}`: {rule}")]
    Name {
        /// The name.
        name: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// Parent and child are the same frame.
    #[error("{child} is its own parent")]
    OwnParent {
        /// The child frame.
        child: String,
    },
    /// A number that is NaN or infinite.
    #[error("{parent}_from_{child}: {what} is {got}, expected a finite number")]
    NotFinite {
        /// The parent frame.
        parent: String,
        /// The child frame.
        child: String,
        /// The translation or the rotation.
        what: &'static str,
        /// What was found.
        got: f64,
    },
    /// A quaternion whose norm is not 1.
    #[error("{parent}_from_{child}: the quaternion has the norm {got}, expected 1 within {tolerance}")]
    QuaternionNorm {
        /// The parent frame.
        parent: String,
        /// The child frame.
        child: String,
        /// What was found.
        got: f64,
        /// Largest accepted distance of the norm from 1.
        tolerance: f64,
    },
    /// A stamp too far in the future.
    #[error("{parent}_from_{child}: stamped {by_s:.3} s ahead of the clock, expected at most {max_s} s")]
    Ahead {
        /// The parent frame.
        parent: String,
        /// The child frame.
        child: String,
        /// The difference, seconds.
        by_s: f64,
        /// Largest accepted difference, seconds.
        max_s: f64,
    },
    /// A stamp older than the window of the buffer.
    #[error("{parent}_from_{child}: {by_s:.3} s older than the newest one, expected at most {max_s} s")]
    Old {
        /// The parent frame.
        parent: String,
        /// The child frame.
        child: String,
        /// The difference, seconds.
        by_s: f64,
        /// Largest accepted difference, seconds.
        max_s: f64,
    },
    /// A transform that makes a frame its own ancestor.
    #[error("{parent}_from_{child} closes a loop: {parent} already lies in {child}")]
    Loop {
        /// The parent frame.
        parent: String,
        /// The child frame.
        child: String,
    },
    /// The buffer holds its maximum number of frames.
    #[error("{parent}_from_{child}: there are {max} frames already, which is as many as the buffer holds")]
    Full {
        /// The parent frame.
        parent: String,
        /// The child frame.
        child: String,
        /// The maximum number of frames.
        max: usize,
    },
}

/// Why the buffer cannot give a transform: which transform is missing, and by how many seconds.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LookupError {
    /// A frame name that tf2 refuses.
    #[error("frame `{name}`: {rule}")]
    Name {
        /// The name.
        name: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// No transform names one of the frames.
    #[error("{asked}: no transform names the frame `{missing}`")]
    Unknown {
        /// The requested transform, such as `map_from_base`.
        asked: String,
        /// The unknown frame.
        missing: String,
    },
    /// The two frames belong to different trees.
    #[error("{asked}: no transform connects them; one lies in `{target_root}`, the other in `{source_root}`")]
    NotConnected {
        /// The requested transform, such as `map_from_base`.
        asked: String,
        /// Root of the tree of the target frame.
        target_root: String,
        /// Root of the tree of the source frame.
        source_root: String,
    },
    /// The newest transform of one edge is older than the requested time.
    #[error("{asked}: the newest {parent}_from_{child} is {by_s:.3} s older than the time asked for, {asked_s:.3} s")]
    TooNew {
        /// The requested transform, such as `map_from_base`.
        asked: String,
        /// The parent frame.
        parent: String,
        /// The child frame.
        child: String,
        /// The difference, seconds.
        by_s: f64,
        /// The requested time, seconds.
        asked_s: f64,
    },
    /// The oldest transform of one edge is newer than the requested time.
    #[error("{asked}: the oldest {parent}_from_{child} is {by_s:.3} s newer than the time asked for, {asked_s:.3} s")]
    TooOld {
        /// The requested transform, such as `map_from_base`.
        asked: String,
        /// The parent frame.
        parent: String,
        /// The child frame.
        child: String,
        /// The difference, seconds.
        by_s: f64,
        /// The requested time, seconds.
        asked_s: f64,
    },
}
