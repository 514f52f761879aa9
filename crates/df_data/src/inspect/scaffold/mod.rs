//! Proposes a configuration for a recording: the action, the observations, period, maximum ages and limits. The YAML
//! states each choice with its measurement.
//!
//! The action is, of the topics of known types ([`message_catalogue::action_rank`]) that change, the one whose name
//! sounds most like a command, then the one whose type does, then the one with most messages.

mod choice;
mod choose_columns;
mod choose_topics;
mod message_catalogue;
mod write;

use super::raw_inspection;
use crate::Input;

pub use choice::ScaffoldError;

/// A proposed configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaffold {
    /// The text of the configuration.
    pub yaml: String,
    /// What a person should check first.
    pub notes: Vec<String>,
}

/// Proposes a configuration for these inputs.
///
/// # Errors
/// [`ScaffoldError`].
pub fn scaffold(inputs: &[Input]) -> Result<Scaffold, ScaffoldError> {
    let report = raw_inspection::inspect(inputs)?;
    let raws = &report.inputs;
    let first = raws.first().map_or("", |raw| raw.kind);
    if let Some(other) = raws.iter().find(|raw| raw.kind != first) {
        return Err(ScaffoldError::Mixed { first, other: other.kind });
    }
    let choice = if first == "bag" { choose_topics::choose(raws)? } else { choose_columns::choose(raws)? };
    let mut notes: Vec<String> = raws.iter().filter_map(|raw| raw.cut.clone()).collect();
    notes.push(format!("the action is `{}` ({}): is it?", choice.action.topic, choice.action.message_type));
    notes.push("set action.min, max and safe to what the robot may do: they are what was observed".into());
    notes.push(format!("{} left out; the end of the file says why", choice.skipped.len()));
    Ok(Scaffold { yaml: write::yaml(&choice, raws), notes })
}

#[cfg(test)]
mod tests;
