//! What may change while the planner runs: a description and the range of every such setting. The ranges are the rules of
//! the configuration file, too; rules between several settings stand beside their structs.

use serde::Serialize;

use super::flat::{Setting, flatten};
use super::rules::{Check, require};

/// What there is to say about one setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Description {
    /// Dotted; `*` stands for one part of it.
    pub key: &'static str,
    pub text: &'static str,
    pub range: Range,
    /// A limit for others: it holds from start to end.
    pub fixed: bool,
}

/// The values that a setting may have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range {
    Any,
    /// From and to, both included.
    Integers(i64, i64),
    /// From and to, both included; never infinite. Of a list: every one.
    Numbers(f64, f64),
    OneOf(&'static [&'static str]),
    /// Rows of two numbers.
    Pairs,
}

const POSITIVE: Range = Range::Numbers(f64::MIN_POSITIVE, f64::INFINITY);
const NOT_NEGATIVE: Range = Range::Numbers(0.0, f64::INFINITY);
const UNIT: Range = Range::Numbers(0.0, 1.0);
const ANY_INTEGER: Range = Range::Integers(0, i64::MAX);
/// Sequences that are denoised at once: more would not fit into memory.
pub(super) const MOST_SEQUENCES: usize = 4096;
const SEQUENCES: Range = Range::Integers(1, MOST_SEQUENCES as i64);
/// Tokens; far beyond what any network is trained on.
const TOKENS: Range = Range::Integers(0, 65_536);
const SOME_TOKENS: Range = Range::Integers(1, 65_536);
const STEPS: Range = Range::Integers(1, 1000);

const CATALOGUE: &[Description] = &[
    says("planner.mode", Range::OneOf(&["full", "streaming"]), "from noise at every tick, or the last plan continued"),
    says("planner.history", TOKENS, "past tokens that a plan is conditioned on"),
    says("planner.horizon", SOME_TOKENS, "future tokens that are planned; at most planner.horizon_max"),
    Description {
        fixed: true,
        ..says("planner.horizon_max", SOME_TOKENS, "the longest horizon that may be set, tokens")
    },
    says(
        "planner.matrix",
        Range::OneOf(&["full_sequence", "pyramid", "autoregressive", "trapezoid"]),
        "the order in which tokens are denoised; streaming needs pyramid",
    ),
    says("planner.denoising_steps", STEPS, "rows of the scheduling matrix in which one token falls from level 1 to 0"),
    says(
        "planner.uncertainty_scale",
        Range::Numbers(f64::MIN_POSITIVE, 1000.0),
        "rows of the scheduling matrix between one token and the next",
    ),
    says(
        "planner.latency",
        Range::OneOf(&["compensated", "immediate"]),
        "actions leave exactly on the tick, planned in the period before; or as soon as they are planned",
    ),
    says("planner.candidates", SEQUENCES, "alternative plans"),
    says("planner.futures", SEQUENCES, "sampled continuations of each candidate"),
    says("planner.shared_tokens", TOKENS, "near tokens that the futures of a candidate share"),
    says(
        "planner.blend",
        NOT_NEGATIVE,
        "the actions are a mean of the candidates', which weigh exp(-cost / blend); 0: those of the cheapest",
    ),
    says("planner.solver", Range::OneOf(&["ddim", "dpm_solver"]), "what takes a token from one level to the next"),
    says("planner.eta", UNIT, "fresh noise of ddim: 0 none, 1 as much as ancestral sampling; 0 with dpm_solver"),
    says("planner.temperature", NOT_NEGATIVE, "size of the noise that plans start from"),
    says("planner.seed", ANY_INTEGER, "seed of the noise"),
    says(
        "planner.streaming.refresh",
        UNIT,
        "how far every token is raised each tick, in noise level; 1: planning anew",
    ),
    says("planner.streaming.steps_per_tick", STEPS, "network evaluations a tick in streaming mode"),
    says(
        "planner.streaming.fresh",
        Range::Integers(0, MOST_SEQUENCES as i64),
        "in streaming mode, so many candidates begin every tick with noise; the others live on",
    ),
    says(
        "planner.continued.candidates",
        Range::Integers(0, MOST_SEQUENCES as i64),
        "in full mode, so many candidates begin with the plan chosen last; the others with noise",
    ),
    says("planner.continued.refresh", UNIT, "the noise level that it is raised to; 1: planning anew"),
    says(
        "planner.deadline",
        Range::Numbers(f64::MIN_POSITIVE, 1.0),
        "share of the period, from the tick on, after which the best plan so far is taken",
    ),
    says(
        "planner.guidance.gradient",
        Range::OneOf(&["off", "cheap", "exact"]),
        "gradient of the costs: none, on the predicted clean tokens, through the network",
    ),
    says(
        "planner.guidance.step",
        Range::OneOf(&["plain", "line_search"]),
        "as far as the gradient says, or as the tilted density says",
    ),
    says("planner.guidance.scale", NOT_NEGATIVE, "samples follow p(x) exp(-scale cost(x))"),
    says(
        "planner.guidance.schedule",
        Range::Pairs,
        "level, factor, level, factor ...: factor of scale by the noise level of the acting token; empty: 1 throughout",
    ),
    says(
        "planner.guidance.max_norm",
        POSITIVE,
        "the gradient of a sequence is shortened to this norm (normalised units)",
    ),
    says("planner.goal_as_observation", Range::Any, "the goal also as a known future observation"),
    says("planner.goal_hold_s", POSITIVE, "how long a candidate stays at the goal that it takes as known, seconds"),
    says(
        "planner.goal_every_s",
        NOT_NEGATIVE,
        "how far apart the moments are in which it does, seconds; 0: throughout",
    ),
    says(
        "planner.goal_free",
        Range::Any,
        "whether the last of several candidates is led by the costs alone, for goals beyond the horizon",
    ),
    says("planner.history_actions", Range::Any, "whether the history's actions are known; as the model was trained"),
    says("safety.rest_s", NOT_NEGATIVE, "how old a plan may be that is followed while there is no newer one, seconds"),
    says("safety.policy", Range::OneOf(&["hold", "ramp", "safe"]), "what is sent where no plan may be followed"),
    says("safety.policy_s", NOT_NEGATIVE, "how long hold and ramp last before the safe action, seconds"),
    says("safety.out_of_distribution.enabled", Range::Any, "whether strange observations stop planning"),
    says(
        "safety.out_of_distribution.enter",
        NOT_NEGATIVE,
        "distance from the training data, in its deviations, beyond which no plan is followed",
    ),
    says("safety.out_of_distribution.leave", NOT_NEGATIVE, "distance below which plans are followed again"),
    says("costs.*.weight", NOT_NEGATIVE, "weight of this cost; 0 turns it off"),
];

const fn says(key: &'static str, range: Range, text: &'static str) -> Description {
    Description { key, text, range, fixed: false }
}

/// What there is to say about `key`.
pub fn description(key: &str) -> Option<&'static Description> {
    CATALOGUE.iter().find(|entry| match entry.key.split_once('*') {
        Some((before, after)) => {
            key.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)).is_some_and(|part| !part.contains('.'))
        }
        None => entry.key == key,
    })
}

/// Whether every value of a section keeps its range.
///
/// # Errors
/// The first key that does not.
pub fn check_ranges<T: Serialize>(section: &str, settings: &T) -> Check {
    flatten(settings).into_iter().try_for_each(|(key, value)| {
        let key = format!("{section}.{key}");
        description(&key).map_or(Ok(()), |described| described.range.check(&key, &value))
    })
}

impl Range {
    /// Columns of a list's rows: 1, or 2 of pairs.
    pub(super) fn columns(self) -> usize {
        if self == Self::Pairs { 2 } else { 1 }
    }

    /// # Errors
    /// The rule that `value` breaks.
    pub fn check(self, key: &str, value: &Setting) -> Check {
        let within = |holds| require(holds, key, value, self);
        match (self, value) {
            (Self::Any, _) => Ok(()),
            (Self::Integers(from, to), Setting::Integer(value)) => within((from..=to).contains(value)),
            (Self::Numbers(from, to), Setting::Number(value)) => {
                within(value.is_finite() && (from..=to).contains(value))
            }
            (Self::Numbers(from, to), Setting::Numbers(values)) => {
                within(values.iter().all(|value| value.is_finite() && (from..=to).contains(value)))
            }
            (Self::OneOf(names), Setting::Text(name)) => within(names.contains(&name.as_str())),
            (Self::Pairs, Setting::Numbers(values)) => within(values.len().is_multiple_of(2)),
            _ => within(false),
        }
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Any => f.write_str("may be anything"),
            Self::Integers(from, i64::MAX) => write!(f, "must be at least {from}"),
            Self::Integers(from, to) => write!(f, "must be at least {from} and at most {to}"),
            Self::Numbers(f64::MIN_POSITIVE, f64::INFINITY) => f.write_str("must be a finite number above 0"),
            Self::Numbers(f64::MIN_POSITIVE, to) => write!(f, "must lie above 0, at most {to}"),
            Self::Numbers(from, f64::INFINITY) => write!(f, "must be a finite number of at least {from}"),
            Self::Numbers(from, to) => write!(f, "must lie in [{from}, {to}]"),
            Self::OneOf(names) => write!(f, "must be one of {}", names.join(", ")),
            Self::Pairs => f.write_str("must be pairs of numbers, one after the other"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::config::{Config, flat};

    fn config() -> Config {
        Config::parse(include_str!("../../config/point_maze.yaml"), Path::new("c.yaml")).unwrap()
    }

    #[test]
    fn every_setting_has_its_entry_and_every_entry_its_setting() {
        let settings = config().settings();
        let described: BTreeSet<&str> = settings
            .iter()
            .map(|(key, _)| description(key).unwrap_or_else(|| panic!("{key} is not described")).key)
            .collect();
        let entries: BTreeSet<&str> = CATALOGUE.iter().map(|entry| entry.key).collect();
        assert_eq!(described, entries);
        assert_eq!(entries.len(), CATALOGUE.len(), "a key stands twice");
        assert!(description("costs.goal.extra.weight").is_none());
    }

    /// The names in the catalogue are the variants of the enum: serde takes each of them, and names as many.
    #[test]
    fn names_to_choose_from_are_those_of_the_struct() {
        let planner = config().planner;
        let mut lists = 0;
        for entry in CATALOGUE {
            let Range::OneOf(names) = entry.range else { continue };
            let text = |name: &str| Setting::Text(name.into());
            let replaced = |name: &str| match entry.key.split_once('.').unwrap() {
                ("safety", key) => flat::replaced(&config().safety, key, &text(name), Range::Any).map(drop),
                (_, key) => flat::replaced(&planner, key, &text(name), Range::Any).map(drop),
            };
            assert!(names.iter().all(|name| replaced(name).is_ok()), "{}", entry.key);
            let refused = replaced("nonsense").unwrap_err().rule;
            assert_eq!(refused.matches('`').count(), 2 * (names.len() + 1), "{}: {refused}", entry.key);
            lists += 1;
        }
        assert_eq!(lists, 7);
    }

    #[test]
    fn ranges_are_closed_and_finite() {
        let refusal = |range: Range, value: Setting| range.check("k", &value).unwrap_err().to_string();
        let number = Setting::Number;
        assert!(UNIT.check("k", &number(1.0)).is_ok() && UNIT.check("k", &number(0.0)).is_ok());
        assert_eq!(refusal(UNIT, number(1.5)), "k: 1.5: must lie in [0, 1]");
        assert_eq!(refusal(UNIT, number(f64::NAN)), "k: NaN: must lie in [0, 1]");
        assert_eq!(refusal(NOT_NEGATIVE, number(f64::INFINITY)), "k: inf: must be a finite number of at least 0");
        assert_eq!(refusal(POSITIVE, number(0.0)), "k: 0: must be a finite number above 0");
        assert_eq!(refusal(STEPS, Setting::Integer(0)), "k: 0: must be at least 1 and at most 1000");
        // What a seed beyond the integers of ROS becomes.
        assert_eq!(refusal(ANY_INTEGER, number(1e19)), "k: 10000000000000000000: must be at least 0");
        assert_eq!(
            refusal(Range::Pairs, Setting::Numbers(vec![1.0])),
            "k: [1.0]: must be pairs of numbers, one after the other"
        );
        assert_eq!(refusal(UNIT, Setting::Numbers(vec![0.5, 2.0])), "k: [0.5, 2.0]: must lie in [0, 1]");
        assert_eq!(refusal(Range::OneOf(&["a", "b"]), Setting::Text("c".into())), "k: c: must be one of a, b");
    }
}
