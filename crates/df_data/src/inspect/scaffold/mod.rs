//! A contract to begin with, made from what demonstrations hold: which topic is the action, which are observations, how fast,
//! how old, within which limits. Each choice is written down beside it with what was measured.
//!
//! The action is, of the topics of known types ([`message_catalogue::action_rank`]) that change, the one whose name sounds most like a command,
//! then the one whose type does, then the one with most messages.

mod columns;
mod message_catalogue;
mod pick;
mod write;

use super::InspectError;
use super::raw;
use crate::Input;

/// Why there is no contract to begin with.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    #[error(transparent)]
    Inspect(#[from] InspectError),
    #[error("no topic can be the action: expected one of {expected}, with values that change; got {got}")]
    NoAction { expected: String, got: String },
    #[error("no topic can be observed beside the action `{action}`: {got}")]
    NoObservation { action: String, got: String },
    #[error("the inputs are of different kinds ({first} and {other}): start with those of one kind")]
    Mixed { first: &'static str, other: &'static str },
}

/// A configuration to begin with.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaffold {
    pub yaml: String,
    /// What a person should look at first.
    pub notes: Vec<String>,
}

/// What was chosen.
#[derive(Clone, Debug, Default)]
struct Choice {
    period_s: f64,
    /// Why these numbers, for people.
    period_why: String,
    frame_stack: usize,
    window: usize,
    window_why: String,
    max_gap_s: f64,
    action: Stream,
    groups: Vec<Stream>,
    /// Name and reason.
    skipped: Vec<(String, String)>,
    /// `lerobot` or `hdf5`.
    columns: Option<&'static str>,
}

/// The action or a group.
#[derive(Clone, Debug, Default)]
struct Stream {
    name: String,
    topic: String,
    message_type: String,
    fields: Vec<Field>,
    max_age_s: f64,
    age_why: String,
    required: bool,
    /// Of the action.
    limits: Vec<[f64; 2]>,
    /// The columns of a dataset.
    columns: Vec<String>,
    comments: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Field {
    expression: String,
    /// Empty: not known.
    unit: &'static str,
}

/// Makes a configuration to begin with.
///
/// # Errors
/// [`ScaffoldError`].
pub fn scaffold(inputs: &[Input]) -> Result<Scaffold, ScaffoldError> {
    let report = raw::inspect(inputs)?;
    let raws = &report.inputs;
    let first = raws.first().map_or("", |raw| raw.kind);
    if let Some(other) = raws.iter().find(|raw| raw.kind != first) {
        return Err(ScaffoldError::Mixed { first, other: other.kind });
    }
    let choice = if first == "bag" { pick::choose(raws)? } else { columns::choose(raws)? };
    let mut notes: Vec<String> = raws.iter().filter_map(|raw| raw.cut.clone()).collect();
    notes.push(format!("the action is `{}` ({}): is it?", choice.action.topic, choice.action.message_type));
    notes.push("set action.min, max and safe to what the robot may do: they are what was observed".into());
    notes.push(format!("{} left out; the end of the file says why", choice.skipped.len()));
    Ok(Scaffold { yaml: write::yaml(&choice, raws), notes })
}

/// Frames of a token: as many as last about so long.
const TOKEN_S: f64 = 0.2;
const MAX_STACK: usize = 8;
/// Tokens of a window: as many as fit twice into a stretch without a break.
const MAX_WINDOW: usize = 14;
const WINDOW_MIN: usize = 3;

/// Frames per token, tokens per window and why. `stretch_s`: how long the data go on without a break.
fn sizes(period_s: f64, stretch_s: f64) -> (usize, usize, String) {
    let stack = ((TOKEN_S / period_s).round() as usize).clamp(1, MAX_STACK);
    let token_s = stack as f64 * period_s;
    let window = ((stretch_s / token_s / 2.0 + 1e-9) as usize).clamp(WINDOW_MIN, MAX_WINDOW);
    let why =
        format!("{:.3} s; the data go on for {:.1} s without a break, on average", window as f64 * token_s, stretch_s);
    (stack, window, why)
}

#[cfg(test)]
mod tests;
