//! What a person should know before training: plain sentences with numbers.

use super::channel::{ChannelSummary, OUTLIER_DEVIATIONS};
use super::format::{number, percent, seconds, times};
use super::rate_stats::RateSummary;
use super::report::{ContractReport, StreamReport, TopicReport};
use super::warning::{Warning, WarningKind};
use super::window_coverage::WindowCoverage;
use crate::DataConfig;
use df_core::ACTION;

/// A smaller share of the windows may be lost, of the frames be missing, of the commands be at a limit, without a word.
const WINDOWS_LOST: f64 = 0.05;
const FRAMES_MISSING: f64 = 0.01;
const SATURATED: f64 = 0.05;
/// A topic whose period is so many ticks is slow.
const SLOW_PERIODS: f64 = 1.5;
/// Values of which so many are equal to the one before are said to be held.
const HELD: f64 = 0.5;
/// So many values for each different one, at least, are a grid and no chance.
const PER_STEP: u64 = 20;
/// Middle ranges (1 to 99 %) of two inputs that differ by this factor disagree.
const RANGE_FACTOR: f64 = 10.0;

/// Steps of f32 of more than this share of the middle range are too coarse.
const ROUNDED: f64 = 1e-3;

/// Of a topic that no contract has asked for: constant channels are common there and no fault.
pub(super) fn of_topic(topic: &TopicReport) -> Vec<Warning> {
    let mut found = Vec::new();
    let messages = topic.clock.messages;
    if topic.refused > 0 {
        let reason = topic.reason.as_deref().unwrap_or_default();
        let share = percent(topic.refused as f64 / messages.max(1) as f64);
        let text = format!("{} ({share}) cannot be decoded: {reason}", topic.refused);
        found.push(Warning::new(WarningKind::Refused, &topic.name, text));
    }
    found.extend(of_clock(&topic.name, &topic.clock));
    for channel in topic.channels.iter().filter(|channel| !channel.label.contains("[]")) {
        let about = if topic.message_type.is_empty() {
            channel.label.clone()
        } else {
            format!("{} {}", topic.name, channel.label)
        };
        found.extend(of_channel(&about, channel).into_iter().filter(|warning| warning.kind != WarningKind::Held));
    }
    found
}

/// Of what a contract would keep.
pub(super) fn of_contract(report: &ContractReport, config: &DataConfig) -> Vec<Warning> {
    let mut found = Vec::new();
    for input in &report.inputs {
        let name = input.path.display().to_string();
        if let Some(damage) = &input.damage {
            found.push(Warning::new(
                WarningKind::CutOff,
                &name,
                format!("{damage}; what came before it is counted, training refuses it"),
            ));
        }
        let cut = input.read.notices.iter().filter(|notice| notice.contains("cut off"));
        found.extend(cut.map(|notice| Warning::new(WarningKind::CutOff, &name, notice.clone())));
        if input.read.refused > 0 {
            let share = percent(input.read.refused as f64 / input.read.messages.max(1) as f64);
            let text = format!(
                "{} messages or rows ({share}) cannot be used, such as: {}",
                input.read.refused,
                input.read.reasons.join("; ")
            );
            found.push(Warning::new(WarningKind::Refused, &name, text));
        }
        if input.read.splits_at_jumps > 0 && !input.has_episodes {
            let text = format!("time jumps back {}: each time an episode ends", times(input.read.splits_at_jumps));
            found.push(Warning::new(WarningKind::ClockJump, &name, text));
        }
    }
    found.extend(of_coverage(&report.coverage, report.period_s));
    for stream in &report.streams {
        found.extend(of_stream(stream, report));
        for (i, channel) in stream.channels.iter().enumerate() {
            let about = format!("{} {}", stream.name, channel.label);
            if channel.is_constant() {
                let text = format!("is {} throughout: nothing can be learnt from it", number(channel.min));
                found.push(Warning::new(WarningKind::Constant, &about, text));
            }
            if stream.name == ACTION {
                let limits = &config.contract.action;
                found.extend(of_limits(&about, channel, [limits.min[i], limits.max[i]]));
            }
            found.extend(of_channel(&about, channel));
        }
    }
    found.extend(of_inputs(report));
    found
}

fn of_clock(about: &str, clock: &RateSummary) -> Vec<Warning> {
    let mut found = Vec::new();
    if clock.backward > 0 {
        let kind = if clock.farthest_back_s > 1.0 { WarningKind::ClockJump } else { WarningKind::NotMonotone };
        let text = format!(
            "stamps go back {}, by up to {} ({} of {} messages)",
            times(clock.backward),
            seconds(clock.farthest_back_s),
            percent(clock.backward as f64 / clock.messages.max(1) as f64),
            clock.messages
        );
        found.push(Warning::new(kind, about, text));
    }
    if clock.log_backward > 0 && clock.has_stamps {
        let text = format!("the recorder's clock goes back {}", times(clock.log_backward));
        found.push(Warning::new(WarningKind::ClockJump, about, text));
    }
    if let Some([_, first, last]) = clock.age_s
        && last - first > 1.0
    {
        let text = format!(
            "log time and stamps drift apart: the age is {} for the youngest 1 % and {} for the oldest",
            seconds(first),
            seconds(last)
        );
        found.push(Warning::new(WarningKind::ClockJump, about, text));
    }
    if clock.duplicates * 100 > clock.messages {
        let text = format!(
            "{} of the messages have the stamp of the one before",
            percent(clock.duplicates as f64 / clock.messages as f64)
        );
        found.push(Warning::new(WarningKind::Held, about, text));
    }
    found
}

fn of_stream(stream: &StreamReport, report: &ContractReport) -> Vec<Warning> {
    let (clock, period_s) = (&stream.clock, report.period_s);
    let mut found = of_clock(&stream.name, clock);
    let median_s = clock.median_period_s;
    if median_s > SLOW_PERIODS * period_s {
        let text = format!(
            "comes every {}, {:.1} ticks: most ticks see the sample before again",
            seconds(median_s),
            median_s / period_s
        );
        found.push(Warning::new(WarningKind::SlowTopic, &stream.name, text));
    }
    if stream.missing_share > FRAMES_MISSING && clock.messages > 0 {
        let text = format!(
            "{} of the frames miss it: max_age_s is {}, its messages come every {}, 99.9 % within {}",
            percent(stream.missing_share),
            seconds(stream.max_age_s),
            seconds(median_s),
            seconds(clock.period_p999_s)
        );
        found.push(Warning::new(WarningKind::MaximumAge, &stream.name, text));
    } else if stream.max_age_s < median_s {
        let text = format!("max_age_s is {}, its messages come every {}", seconds(stream.max_age_s), seconds(median_s));
        found.push(Warning::new(WarningKind::MaximumAge, &stream.name, text));
    }
    found
}

fn of_coverage(coverage: &WindowCoverage, period_s: f64) -> Vec<Warning> {
    let mut found = Vec::new();
    let window_s = coverage.window as f64 * period_s;
    if coverage.windows == 0 {
        let text = format!(
            "no window of {} frames ({}) fits: {} episodes, the longest of {} frames",
            coverage.window,
            seconds(window_s),
            coverage.episodes,
            coverage.lengths[4]
        );
        found.push(Warning::new(WarningKind::NothingLeft, "windows", text));
    }
    let lost = coverage.possible_windows - coverage.windows;
    let share = lost as f64 / coverage.possible_windows.max(1) as f64;
    if share > WINDOWS_LOST {
        let of = |count: u64| percent(count as f64 / coverage.possible_windows as f64);
        let silences = coverage
            .lost_to_silence
            .iter()
            .map(|(group, count)| format!("{} because of silence of {group}", of(*count)));
        let others = [
            (coverage.lost_to_cuts, "at the borders of episodes"),
            (coverage.lost_to_shortness, "in episodes too short for one"),
        ];
        let others = others.iter().filter(|(count, _)| *count > 0).map(|(count, why)| format!("{} {why}", of(*count)));
        let reasons: Vec<String> = silences.chain(others).collect();
        let text = format!("{} of the windows are lost: {}", percent(share), reasons.join(", "));
        found.push(Warning::new(WarningKind::WindowsLost, "windows", text));
    }
    if coverage.short_episodes > 0 {
        let text = format!(
            "{} of {} episodes are shorter than a window of {} frames ({})",
            coverage.short_episodes,
            coverage.episodes,
            coverage.window,
            seconds(window_s)
        );
        found.push(Warning::new(WarningKind::ShortEpisodes, "episodes", text));
    }
    found
}

fn of_limits(about: &str, channel: &ChannelSummary, [low, high]: [f64; 2]) -> Vec<Warning> {
    let mut found = Vec::new();
    let Some([at_low, at_high]) = channel.at_limits else { return found };
    for (share, limit, name) in [(at_low, low, "action.min"), (at_high, high, "action.max")] {
        if share > SATURATED && !channel.is_constant() {
            let text = format!("is at its limit {name} = {} for {} of the time", number(limit), percent(share));
            found.push(Warning::new(WarningKind::Saturated, about, text));
        }
    }
    let beyond = if channel.max > high { Some(channel.max) } else { (channel.min < low).then_some(channel.min) };
    if let Some(beyond) = beyond {
        let text = format!("reaches {}, beyond its limits {} to {}", number(beyond), number(low), number(high));
        found.push(Warning::new(WarningKind::BeyondLimits, about, text));
    }
    let [min, greatest] = channel.at_extremes;
    let few = channel.distinct.is_some_and(|distinct| distinct <= 3);
    for (share, at_limit, extreme, which) in
        [(min, at_low, channel.min, "least"), (greatest, at_high, channel.max, "greatest")]
    {
        if share > SATURATED && at_limit <= SATURATED && !few {
            let text = format!(
                "is at its {which} value {} for {} of the time, within its limits {} to {}: what limits it?",
                number(extreme),
                percent(share),
                number(low),
                number(high)
            );
            found.push(Warning::new(WarningKind::Saturated, about, text));
        }
    }
    found
}

fn of_channel(about: &str, channel: &ChannelSummary) -> Vec<Warning> {
    let mut found = Vec::new();
    if channel.not_finite_share > 0.0 {
        let text = format!("{} of its values are not finite", percent(channel.not_finite_share));
        found.push(Warning::new(WarningKind::NotFinite, about, text));
    }
    if channel.farthest_deviations() > OUTLIER_DEVIATIONS {
        let farthest = if channel.max - channel.mean > channel.mean - channel.min { channel.max } else { channel.min };
        let text = format!(
            "reaches {}, {:.0} deviations from its mean {} (1 to 99 %: {} to {})",
            number(farthest),
            channel.farthest_deviations(),
            number(channel.mean),
            number(channel.percentiles[0]),
            number(channel.percentiles[4])
        );
        found.push(Warning::new(WarningKind::Outliers, about, text));
    }
    let [low, .., high] = channel.percentiles;
    let step = f32_step(channel.min.abs().max(channel.max.abs()));
    if step > ROUNDED * (high - low) && high > low {
        let text = format!(
            "lies so far from zero that f32, in which frames are kept, rounds it to steps of {} (1 to 99 %: {} wide)",
            number(step),
            number(high - low)
        );
        found.push(Warning::new(WarningKind::Rounded, about, text));
    }
    if channel.wraps > 0 {
        let text = format!("wraps round {}, as angles do: sin_cos(...) of it does not", times(channel.wraps));
        found.push(Warning::new(WarningKind::AngleWrap, about, text));
    }
    let grid =
        channel.distinct.zip(channel.quantum).filter(|(distinct, _)| channel.count >= PER_STEP * *distinct as u64);
    match grid {
        Some((distinct, quantum)) => {
            let text = format!("has only {distinct} different values, {} apart at least", number(quantum));
            found.push(Warning::new(WarningKind::Quantised, about, text));
        }
        // Values that rest at an extreme have their own warning.
        None if channel.repeated_share - channel.at_extremes.iter().sum::<f64>() > HELD && !channel.is_constant() => {
            let text = format!("{} of its values are those before again", percent(channel.repeated_share));
            found.push(Warning::new(WarningKind::Held, about, text));
        }
        None => {}
    }
    found
}

/// How far numbers of f32 lie apart at a size.
fn f32_step(size: f64) -> f64 {
    (size.log2().floor() - f64::from(f32::MANTISSA_DIGITS - 1)).exp2()
}

/// Channels whose middle ranges lie apart or differ much from one input to another: the two that differ most.
fn of_inputs(report: &ContractReport) -> Vec<Warning> {
    let mut found = Vec::new();
    let labels = report
        .streams
        .iter()
        .flat_map(|stream| stream.channels.iter().map(|channel| format!("{} {}", stream.name, channel.label)));
    for (i, about) in labels.enumerate() {
        let ranges = report.inputs.iter().filter_map(|input| {
            let channel = input.channels.get(i).filter(|channel| channel.count > 0)?;
            Some((channel.percentiles[0], channel.percentiles[4], input.path.display()))
        });
        let ranges: Vec<_> = ranges.collect();
        let disagree = ranges.iter().enumerate().find_map(|(k, a)| {
            let other = ranges[k + 1..].iter().find(|b| {
                let apart = a.1 < b.0 || b.1 < a.0;
                let (wide, narrow) = ((a.1 - a.0).max(b.1 - b.0), (a.1 - a.0).min(b.1 - b.0));
                apart || wide > RANGE_FACTOR * narrow
            })?;
            Some((a, other))
        });
        if let Some((a, b)) = disagree {
            let range = |r: &(f64, f64, std::path::Display)| format!("{} to {} in {}", number(r.0), number(r.1), r.2);
            let text = format!("inputs disagree (1 to 99 %): {}, {}", range(a), range(b));
            found.push(Warning::new(WarningKind::InputsDisagree, &about, text));
        }
    }
    found
}

#[cfg(test)]
#[path = "warnings_tests.rs"]
mod tests;
