//! The topics of bags that become the action and the groups, and their times.

use super::choice::{Choice, ScaffoldError, StreamChoice, sizes};
use super::message_catalogue::{ACTIONS, action_fields, action_rank, groups, name_rank};
use crate::inspect::RawReport;
use crate::inspect::format::{number, percent, seconds};
use crate::inspect::report::TopicReport;

/// Ticks are no faster than this, seconds.
const PERIOD_MIN_S: f64 = 0.02;
/// A period this near to that of a whole rate is taken to be it.
const ROUND: f64 = 0.02;
/// A topic slower than so many ticks is no observation.
const SLOW_TICKS: f64 = 10.0;
/// A maximum age is so many times the period within which 99.9 % of the messages come, and so many ticks at least:
/// live, a message takes its time.
const AGE_FACTOR: f64 = 2.0;
/// A topic that was there for less of the time is not required.
const PRESENT: f64 = 0.95;
/// A shorter silence splits no episode.
const GAP_MIN_S: f64 = 0.5;

pub(super) fn choose(raws: &[RawReport]) -> Result<Choice, ScaffoldError> {
    let topics = merged(raws);
    let mut candidates: Vec<&TopicReport> = topics.iter().filter(|topic| !action_fields(topic).is_empty()).collect();
    candidates.sort_by_key(|topic| {
        let rank = action_rank(&topic.message_type).unwrap_or(ACTIONS.len());
        (name_rank(&topic.name), rank, std::cmp::Reverse(topic.clock.messages), topic.name.clone())
    });
    let Some(command) = candidates.first() else {
        let got: Vec<String> = topics.iter().map(|topic| format!("{} ({})", topic.name, topic.message_type)).collect();
        return Err(ScaffoldError::NoAction { expected: ACTIONS.join("; "), got: list(&got) });
    };
    let (period_s, period_why) = period(command);
    let mut choice = Choice { period_s, period_why, ..Choice::default() };
    choice.action = action(command, period_s);
    let others: Vec<String> = candidates.iter().skip(1).map(|topic| topic.name.clone()).collect();
    if !others.is_empty() {
        choice.action.comments.push(format!("could be commands too, by their types: {}", others.join(", ")));
    }
    let duration_s = raws.iter().map(|raw| raw.duration_s).sum::<f64>();
    for topic in topics.iter().filter(|topic| topic.name != command.name) {
        match observed(topic, period_s) {
            Err(reason) => choice.skipped.push((topic.name.clone(), reason)),
            Ok(found) => {
                let lacking = raws
                    .iter()
                    .any(|raw| raw.topics.iter().all(|other| other.name != topic.name || other.clock.messages == 0));
                for mut group in found {
                    group.required = !lacking && present_share(topic, duration_s) >= PRESENT;
                    if !group.required {
                        group.comments.push("not required: it is not there all the time".into());
                    }
                    group.name = unused_name(&choice.groups, &group.name, &topic.name);
                    choice.groups.push(group);
                }
            }
        }
    }
    if choice.groups.is_empty() {
        let got: Vec<String> = choice.skipped.iter().map(|(name, reason)| format!("{name}: {reason}")).collect();
        return Err(ScaffoldError::NoObservation { action: command.name.clone(), got: list(&got) });
    }
    let clocks =
        || topics.iter().filter(|topic| choice.groups.iter().any(|group| group.topic == topic.name)).map(|t| &t.clock);
    let breaks = clocks().map(|clock| clock.silences).max().unwrap_or(0) + raws.len() as u64;
    let slowest_s = clocks().map(|clock| clock.period_p999_s).fold(0.0, f64::max);
    choice.max_gap_s = rounded(GAP_MIN_S.max(AGE_FACTOR * slowest_s));
    (choice.frame_stack, choice.window, choice.window_why) = sizes(period_s, duration_s / breaks as f64);
    Ok(choice)
}

/// The topics of all inputs, each once: times and most else are those of the input that has most of it, ranges those of
/// all.
fn merged(raws: &[RawReport]) -> Vec<TopicReport> {
    let mut all: Vec<TopicReport> = Vec::new();
    for topic in raws.iter().flat_map(|raw| &raw.topics) {
        let Some(known) =
            all.iter_mut().find(|known| known.name == topic.name && known.message_type == topic.message_type)
        else {
            all.push(topic.clone());
            continue;
        };
        let (mut more, less) = if topic.clock.messages > known.clock.messages {
            (topic.clone(), known.clone())
        } else {
            (known.clone(), topic.clone())
        };
        for channel in &mut more.channels {
            if let Some(other) = less.channels.iter().find(|other| other.label == channel.label && other.count > 0) {
                (channel.min, channel.max) = (channel.min.min(other.min), channel.max.max(other.max));
                channel.not_finite_share = channel.not_finite_share.max(other.not_finite_share);
            }
        }
        *known = more;
    }
    all
}

/// The ticks, from the rate of the commands.
fn period(command: &TopicReport) -> (f64, String) {
    let measured_s = command.clock.median_period_s;
    let whole = (1.0 / measured_s).round();
    let exact_s =
        if whole >= 1.0 && (measured_s * whole - 1.0).abs() < ROUND { 1.0 / whole } else { rounded(measured_s) };
    let every = (PERIOD_MIN_S / exact_s - 1e-9).ceil().max(1.0);
    let why = format!(
        "commands on {} come every {} ({} Hz){}",
        command.name,
        seconds(measured_s),
        number(1.0 / measured_s),
        if every > 1.0 {
            format!(": a tick is {every} of them, {} at least", seconds(PERIOD_MIN_S))
        } else {
            String::new()
        }
    );
    // Ten digits, so that ticks keep step with the recording.
    (format!("{:.10}", exact_s * every).parse().unwrap_or(exact_s * every), why)
}

fn age(topic: &TopicReport, period_s: f64) -> (f64, String) {
    let clock = &topic.clock;
    let age_s = AGE_FACTOR * clock.period_p999_s.max(period_s);
    let why = format!(
        "{} messages, every {}, 99.9 % within {}, longest silence {}",
        clock.messages,
        seconds(clock.median_period_s),
        seconds(clock.period_p999_s),
        seconds(clock.longest_silence_s)
    );
    (rounded(age_s), why)
}

fn action(topic: &TopicReport, period_s: f64) -> StreamChoice {
    let fields = action_fields(topic);
    let (max_age_s, age_why) = age(topic, period_s);
    let label = |expression: &str| match topic.message_type.ends_with("JointTrajectory") {
        true => expression.replacen("[0]", "[]", 1),
        false => expression.to_string(),
    };
    let channel = |expression: &str| topic.channels.iter().find(|channel| channel.label == label(expression));
    let channels: Vec<_> = fields.iter().filter_map(|field| channel(&field.expression)).collect();
    let mut comments: Vec<String> = channels
        .iter()
        .map(|channel| {
            let [p1, .., p99] = channel.percentiles;
            format!(
                "{}: {} to {} observed, 1 to 99 %: {} to {}",
                channel.label,
                number(channel.min),
                number(channel.max),
                number(p1),
                number(p99)
            )
        })
        .collect();
    if topic.message_type.ends_with("JointTrajectory") {
        comments.push(
            "joint_names stays empty in what is published: a controller that wants them needs another type".into(),
        );
    }
    StreamChoice {
        name: "action".into(),
        topic: topic.name.clone(),
        message_type: topic.message_type.clone(),
        limits: channels.iter().map(|channel| [channel.min, channel.max]).collect(),
        fields,
        max_age_s,
        age_why,
        required: true,
        columns: Vec::new(),
        comments,
    }
}

fn observed(topic: &TopicReport, period_s: f64) -> Result<Vec<StreamChoice>, String> {
    let clock = &topic.clock;
    if clock.messages == 0 {
        return Err("it has no messages".into());
    }
    if let Some(reason) = topic.reason.as_ref().filter(|_| topic.refused == clock.messages) {
        return Err(format!("not one message can be decoded: {reason}"));
    }
    let goal = if topic.name.contains("goal") {
        "; a goal, perhaps: see the section `goal` of docs/src/reference/configuration.md"
    } else {
        ""
    };
    if clock.messages < 3 {
        return Err(format!("it has {} messages only{goal}", clock.messages));
    }
    let found = groups(topic).map_err(|reason| match action_rank(&topic.message_type) {
        Some(_) => "a command by its type, and the action is another one".into(),
        None => reason,
    })?;
    if clock.median_period_s > SLOW_TICKS * period_s {
        return Err(format!(
            "it comes every {} only, {:.0} ticks{goal}",
            seconds(clock.median_period_s),
            clock.median_period_s / period_s
        ));
    }
    let (max_age_s, age_why) = age(topic, period_s);
    let mut comments = Vec::new();
    if topic.refused > 0 {
        comments.push(format!(
            "{} of its messages cannot be decoded",
            percent(topic.refused as f64 / clock.messages as f64)
        ));
    }
    if clock.median_period_s > 1.5 * period_s {
        comments.push(format!(
            "slower than the ticks: {:.1} of them see the same message",
            clock.median_period_s / period_s
        ));
    }
    let stream = |(name, fields): (&str, _)| StreamChoice {
        name: name.into(),
        topic: topic.name.clone(),
        message_type: topic.message_type.clone(),
        fields,
        max_age_s,
        age_why: age_why.clone(),
        comments: comments.clone(),
        ..StreamChoice::default()
    };
    Ok(found.into_iter().map(stream).collect())
}

/// For how much of the time a topic was there: from its first message to its last one, without its silences.
fn present_share(topic: &TopicReport, duration_s: f64) -> f64 {
    let clock = &topic.clock;
    let there_s = clock.median_period_s * clock.messages as f64;
    // Silences that all topics share are none of this one's: those count that are longer than the data say.
    if duration_s > 0.0 {
        (there_s / duration_s).max(clock.duration_s() / duration_s * f64::from(u8::from(clock.silences == 0)))
    } else {
        1.0
    }
}

/// A name that no group has: with the topic's before it where it is taken.
pub(super) fn unused_name(groups: &[StreamChoice], wanted: &str, topic: &str) -> String {
    let taken = |name: &str| groups.iter().any(|group| group.name == name);
    let clean = |text: &str| -> String {
        let text: String =
            text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
        text.trim_matches('_').into()
    };
    let wanted = if wanted == "action" { "actions".into() } else { clean(wanted) };
    let longer = format!("{}_{wanted}", clean(topic));
    let numbered = (2..).map(|number| format!("{longer}_{number}"));
    [wanted.clone(), longer.clone()].into_iter().chain(numbered).find(|name| !taken(name)).unwrap_or(wanted)
}

/// Two digits that count: a measured time says no more.
fn rounded(value: f64) -> f64 {
    format!("{value:.1e}").parse().unwrap_or(value)
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "none".into() } else { items.join("; ") }
}
