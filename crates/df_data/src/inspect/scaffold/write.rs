//! The choice as YAML, every number with its reason.

use super::choice::{Choice, FieldChoice, StreamChoice};
use crate::inspect::RawReport;
use crate::inspect::format::seconds;

/// Widest line that a list of fields makes.
const LINE: usize = 110;

pub(super) fn yaml(choice: &Choice, raws: &[RawReport]) -> String {
    let of: Vec<String> = raws.iter().map(|raw| raw.path.display().to_string()).collect();
    let mut text = format!(
        "# A configuration to begin with, made by `df_train init` from {}.\n\
         # Comments say what was measured. docs/src/reference/configuration.md explains each key. What is marked SET wants your knowledge.\n\n",
        of.join(", ")
    );
    text += &format!("# {}.\nperiod_s: {:?}\n", choice.period_why, choice.period_s);
    text += &format!(
        "frame_stack: {}              # frames per token: a token spans {}\n\n",
        choice.frame_stack,
        seconds(choice.frame_stack as f64 * choice.period_s)
    );
    text += "observations:\n";
    for group in &choice.groups {
        text += &format!("  {}:\n", group.name);
        text += &stream(group, choice.columns.is_some(), "    ");
        text += "    qos: {reliability: best_effort, depth: 5}   # hears reliable publishers too\n";
        text += &format!("    max_age_s: {:?}          # {}\n", group.max_age_s, group.age_why);
        text += &format!("    required: {}\n", group.required);
    }
    text += "\naction:\n";
    text += &stream(&choice.action, choice.columns.is_some(), "  ");
    let limits = &choice.action.limits;
    text += "  # SET the true limits: these are what was observed, rounded outwards.\n";
    text += &format!("  min: [{}]\n", numbers(limits.iter().map(|[low, high]| low_limit(*low, *high))));
    text += &format!("  max: [{}]\n", numbers(limits.iter().map(|[low, high]| high_limit(*low, *high))));
    text += "  # SET what is safe at any time: 0, or where that lies outside of the limits the nearest to it.\n";
    let safe = limits.iter().map(|[low, high]| 0f64.clamp(low_limit(*low, *high), high_limit(*low, *high)));
    text += &format!("  safe: [{}]\n", numbers(safe));
    text += &format!("  max_age_s: {:?}            # {}\n", choice.action.max_age_s, choice.action.age_why);
    if let Some(kind) = choice.columns {
        let streams = choice.groups.iter().chain([&choice.action]);
        let one = |stream: &StreamChoice| {
            format!("{}: [{}]", stream.name, stream.columns.iter().map(|c| quoted(c)).collect::<Vec<_>>().join(", "))
        };
        text += &format!("\ncolumns:\n  {kind}: {{{}}}\n", streams.map(one).collect::<Vec<_>>().join(", "));
    }
    text += "\nmodel: {width: 128, layers: 4, heads: 4}\n";
    text += &format!(
        "\nplanner: {{history: {}, horizon: {}}}      # tokens; together at most training.window\n",
        2.min(choice.window - 1),
        choice.window - 2.min(choice.window - 1)
    );
    text += &format!("\ntraining:\n  window: {}              # tokens: {}\n", choice.window, choice.window_why);
    text += "  batch: 64\n";
    text += &format!("  max_gap_s: {:?}          # a longer silence splits the episode\n", choice.max_gap_s);
    if !choice.skipped.is_empty() {
        text += "\n# Left out:\n";
        for (name, reason) in &choice.skipped {
            text += &format!("#   {name}: {reason}\n");
        }
    }
    text
}

fn stream(stream: &StreamChoice, of_columns: bool, indent: &str) -> String {
    let mut text = String::new();
    for comment in &stream.comments {
        text += &format!("{indent}# {comment}\n");
    }
    let set = if of_columns { "          # SET the robot's topic, type and fields" } else { "" };
    text += &format!("{indent}topic: {}{set}\n{indent}type: {}\n", quoted(&stream.topic), stream.message_type);
    let expressions: Vec<String> =
        stream.fields.iter().map(|FieldChoice { expression, .. }| quoted(expression)).collect();
    text += &list(indent, "fields", &expressions);
    if stream.fields.iter().all(|field| !field.unit.is_empty()) {
        text += &list(indent, "units", &stream.fields.iter().map(|field| quoted(field.unit)).collect::<Vec<_>>());
    }
    text
}

/// A list in one line or in as many as it needs.
fn list(indent: &str, key: &str, items: &[String]) -> String {
    let mut lines = vec![format!("{indent}{key}: [")];
    for (i, item) in items.iter().enumerate() {
        let last = lines.len() - 1;
        if i > 0 && lines[last].len() + item.len() + 2 > LINE {
            lines[last].push(',');
            lines.push(format!("{indent}  {item}"));
        } else {
            lines[last] += &if i > 0 { format!(", {item}") } else { item.clone() };
        }
    }
    lines.join("\n") + "]\n"
}

fn quoted(text: &str) -> String {
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "_./^".contains(c))
        && text.contains(|c: char| c.is_ascii_alphabetic());
    if is_plain { text.into() } else { format!("'{}'", text.replace('\'', "''")) }
}

fn numbers(values: impl Iterator<Item = f64>) -> String {
    values.map(|value| format!("{value:?}")).collect::<Vec<_>>().join(", ")
}

/// Three digits that count, outwards; limits of one that never changes are moved apart by 1.
fn low_limit(low: f64, high: f64) -> f64 {
    if low < high { outwards(low, f64::floor) } else { low - 1.0 }
}

fn high_limit(low: f64, high: f64) -> f64 {
    if low < high { outwards(high, f64::ceil) } else { high + 1.0 }
}

fn outwards(value: f64, round: fn(f64) -> f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let power = value.abs().log10().floor() as i32 - 2;
    // By whole powers of ten, so that 4 stays 4.
    let scale = 10f64.powi(power.abs());
    let scaled = if power < 0 { value * scale } else { value / scale };
    let nearest = scaled.round();
    let outer = if (scaled - nearest).abs() < 1e-6 { nearest } else { round(scaled) };
    if power < 0 { outer / scale } else { outer * scale }
}
