//! A warning of an inspection and what it is about.

use serde::Serialize;

/// What a warning is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WarningKind {
    /// A recording is cut off or damaged.
    CutOff,
    /// Messages or rows cannot be used.
    Refused,
    /// A clock jumps back, or log time and stamps drift apart.
    ClockJump,
    /// Stamps go back by up to one second.
    NotMonotone,
    /// A topic is slower than the ticks.
    SlowTopic,
    /// `max_age_s` is too short for the rate of the topic.
    MaximumAge,
    /// Gaps cost many training windows.
    WindowsLost,
    /// No training window fits into any episode.
    NothingLeft,
    /// Episodes are shorter than a training window.
    ShortEpisodes,
    /// A channel never changes.
    Constant,
    /// A channel often rests at a limit or an extreme.
    Saturated,
    /// An action exceeds the limits of the contract.
    BeyondLimits,
    /// A channel has values that are not finite.
    NotFinite,
    /// A value is many standard deviations from the mean.
    Outliers,
    /// A channel wraps around like an angle.
    AngleWrap,
    /// Numbers of type f32 are too coarse for the values.
    Rounded,
    /// A channel has few different values.
    Quantised,
    /// Values or stamps often repeat the one before.
    Held,
    /// The ranges of a channel differ between inputs.
    InputsDisagree,
}

/// A fact that a person should know before training.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Warning {
    /// What it is about.
    pub kind: WarningKind,
    /// The topic, channel or file.
    pub about: String,
    /// A sentence whose subject is `about`.
    pub text: String,
}

impl Warning {
    pub(super) fn new(kind: WarningKind, about: &str, text: String) -> Self {
        Self { kind, about: about.into(), text }
    }
}
