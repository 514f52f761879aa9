//! What a scaffold chose: the action, the groups, the times and sizes, each with its reason.

use crate::inspect::InspectError;

/// Why no configuration can be proposed.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    /// The inputs cannot be inspected.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// No topic or column can be the action.
    #[error("no topic can be the action: expected one of {expected}, with values that change; got {got}")]
    NoAction {
        /// The message types or column names that can be.
        expected: String,
        /// What the inputs hold.
        got: String,
    },
    /// Nothing is left to observe beside the action.
    #[error("no topic can be observed beside the action `{action}`: {got}")]
    NoObservation {
        /// The topic or column of the action.
        action: String,
        /// Why each of the others is left out.
        got: String,
    },
    /// Bags and datasets are mixed.
    #[error("the inputs are of different kinds ({first} and {other}): give inputs of one kind")]
    Mixed {
        /// The kind of the first input.
        first: &'static str,
        /// The kind that differs.
        other: &'static str,
    },
}

/// What was chosen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choice {
    pub(crate) period_s: f64,
    /// Why this period.
    pub(crate) period_why: String,
    pub(crate) frame_stack: usize,
    pub(crate) window: usize,
    pub(crate) window_why: String,
    pub(crate) max_gap_s: f64,
    pub(crate) action: StreamChoice,
    pub(crate) groups: Vec<StreamChoice>,
    /// Name and reason.
    pub(crate) skipped: Vec<(String, String)>,
    /// `lerobot` or `hdf5`.
    pub(crate) columns: Option<&'static str>,
}

/// The action or a group.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamChoice {
    pub(crate) name: String,
    pub(crate) topic: String,
    pub(crate) message_type: String,
    pub(crate) fields: Vec<FieldChoice>,
    pub(crate) max_age_s: f64,
    pub(crate) age_why: String,
    pub(crate) required: bool,
    /// Of the action.
    pub(crate) limits: Vec<[f64; 2]>,
    /// The columns of a dataset.
    pub(crate) columns: Vec<String>,
    pub(crate) comments: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct FieldChoice {
    pub(crate) expression: String,
    /// Empty: not known.
    pub(crate) unit: &'static str,
}

/// Frames of a token: as many as last about so long.
const TOKEN_S: f64 = 0.2;
const MAX_STACK: usize = 8;
/// Tokens of a window: as many as fit twice into a stretch without a break.
const MAX_WINDOW: usize = 14;
const WINDOW_MIN: usize = 3;

/// Frames per token, tokens per window and why. `stretch_s`: how long the data go on without a break.
pub(crate) fn sizes(period_s: f64, stretch_s: f64) -> (usize, usize, String) {
    let stack = ((TOKEN_S / period_s).round() as usize).clamp(1, MAX_STACK);
    let token_s = stack as f64 * period_s;
    let window = ((stretch_s / token_s / 2.0 + 1e-9) as usize).clamp(WINDOW_MIN, MAX_WINDOW);
    let why =
        format!("{:.3} s; the data go on for {:.1} s without a break, on average", window as f64 * token_s, stretch_s);
    (stack, window, why)
}
