//! The columns of datasets that become the action and the groups.

use super::choice::{Choice, FieldChoice, ScaffoldError, StreamChoice, sizes};
use super::choose_topics::unused_name;
use crate::inspect::RawReport;
use crate::inspect::format::{number, seconds};
use crate::inspect::report::TopicReport;

/// The type that stands for numbers without one; every build knows it.
const NUMBERS: &str = "std_msgs/msg/Float64MultiArray";
/// Where a dataset does not say how far rows are apart.
const PERIOD_S: f64 = 0.05;
/// Wider columns are left out.
const MAX_WIDTH: usize = 64;
/// What a row is, and not what it holds.
const BOOKKEEPING: [&str; 5] = ["index", "timestamp", "done", "reward", "task"];

pub(super) fn choose(raws: &[RawReport]) -> Result<Choice, ScaffoldError> {
    let Some(raw) = raws.first() else { return Ok(Choice::default()) };
    let names: Vec<String> =
        raw.topics.iter().map(|column| format!("`{}` ({})", column.name, column.details.width)).collect();
    let is_action = |column: &&TopicReport| matches!(column.name.as_str(), "action" | "actions");
    let Some(command) = raw.topics.iter().find(is_action) else {
        return Err(ScaffoldError::NoAction {
            expected: "a column `action` or `actions`".into(),
            got: names.join(", "),
        });
    };
    let period_s = raw.step_s.unwrap_or(PERIOD_S);
    let period_s = format!("{period_s:.10}").parse().unwrap_or(period_s);
    let period_why = match raw.step_s {
        Some(step_s) => format!("the dataset has a frame every {}", seconds(step_s)),
        None => format!(
            "the dataset does not say how far rows are apart: {} is a guess, set what is true",
            seconds(PERIOD_S)
        ),
    };
    let mut choice = Choice {
        period_s,
        period_why,
        max_gap_s: (3.0 * period_s).max(0.5),
        columns: Some(if raw.kind == "LeRobot" { "lerobot" } else { "hdf5" }),
        ..Choice::default()
    };
    choice.action = stream(command, "action", period_s);
    let channels = || raws.iter().filter_map(|raw| raw.topics.iter().find(is_action)).map(|column| &column.channels);
    choice.action.limits = (0..command.details.width)
        .map(|i| {
            let of = |channels: &Vec<crate::inspect::ChannelSummary>| {
                channels.get(i).map(|channel| [channel.min, channel.max])
            };
            channels()
                .filter_map(of)
                .fold([f64::INFINITY, f64::NEG_INFINITY], |all, one| [all[0].min(one[0]), all[1].max(one[1])])
        })
        .collect();
    choice.action.comments = command
        .channels
        .iter()
        .map(|channel| format!("{}: {} to {} observed", channel.label, number(channel.min), number(channel.max)))
        .collect();
    // What is called an observation; else all that is left.
    let observations = raw.topics.iter().any(|column| column.name.starts_with("observation"));
    for column in raw.topics.iter().filter(|column| !is_action(column)) {
        match refused(column, observations) {
            Some(reason) => choice.skipped.push((column.name.clone(), reason)),
            None => {
                let short = column.name.rsplit(['.', '/']).next().unwrap_or_default();
                let name = unused_name(&choice.groups, short, &column.name);
                choice.groups.push(StreamChoice { required: true, ..stream(column, &name, period_s) });
            }
        }
    }
    if choice.groups.is_empty() {
        let got: Vec<String> = choice.skipped.iter().map(|(name, reason)| format!("{name}: {reason}")).collect();
        return Err(ScaffoldError::NoObservation { action: command.name.clone(), got: got.join("; ") });
    }
    let (rows, episodes) = (command.clock.messages, raw.episodes.unwrap_or(1).max(1));
    (choice.frame_stack, choice.window, choice.window_why) = sizes(period_s, rows as f64 * period_s / episodes as f64);
    Ok(choice)
}

/// Why a column is no observation.
fn refused(column: &TopicReport, observations: bool) -> Option<String> {
    let name = column.name.to_lowercase();
    let last = name.rsplit(['.', '/']).next().unwrap_or_default();
    if BOOKKEEPING.iter().any(|word| last.contains(word))
        || matches!(last, "terminals" | "timeouts" | "terminations" | "truncations")
    {
        Some("it says which row it is or how it went, not what is observed".into())
    } else if observations && !name.starts_with("observation") {
        Some("it is not called an observation".into())
    } else if column.details.width > MAX_WIDTH {
        Some(format!(
            "it has {} values a row, more than {MAX_WIDTH}: pick some, as in {}[0:8]",
            column.details.width, column.name
        ))
    } else if column.channels.iter().all(|channel| channel.count == 0 || channel.is_constant()) {
        Some("nothing in it changes".into())
    } else {
        None
    }
}

fn stream(column: &TopicReport, name: &str, period_s: f64) -> StreamChoice {
    let field = |i: usize| FieldChoice { expression: format!("data[{i}]"), unit: "" };
    let mut comments = Vec::new();
    if !column.details.names.is_empty() {
        comments.push(format!("the dataset calls them {}", column.details.names.join(", ")));
    }
    StreamChoice {
        name: name.into(),
        topic: name.into(),
        message_type: NUMBERS.into(),
        fields: (0..column.details.width).map(field).collect(),
        max_age_s: 2.0 * period_s,
        age_why: "two ticks: a dataset has a row at each".into(),
        columns: vec![column.name.clone()],
        comments,
        ..StreamChoice::default()
    }
}
