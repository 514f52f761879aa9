//! A warning of an inspection and what it is about.

use serde::Serialize;

/// What a warning is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WarningKind {
    CutOff,
    Refused,
    ClockJump,
    NotMonotone,
    SlowTopic,
    MaximumAge,
    WindowsLost,
    NothingLeft,
    ShortEpisodes,
    Constant,
    Saturated,
    BeyondLimits,
    NotFinite,
    Outliers,
    AngleWrap,
    Rounded,
    Quantised,
    Held,
    InputsDisagree,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Warning {
    pub kind: WarningKind,
    /// The topic, channel or file.
    pub about: String,
    pub text: String,
}

impl Warning {
    pub fn new(kind: WarningKind, about: &str, text: String) -> Self {
        Self { kind, about: about.into(), text }
    }
}
