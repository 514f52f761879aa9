//! The table of parameters: names, values, rules; what was given for them outlives a cleanup. Knows no ROS.

use std::collections::BTreeMap;

use crate::config::{Broken, Config, Description, Range, Setting, description, wrong_type};
use crate::signal::Layout;

/// What somebody gives for a parameter; the name of its type where no parameter of this node has that type.
pub type Given = Result<Setting, &'static str>;

/// The type of no value.
pub const NOT_SET: &str = "not set";

const GOAL: &str = "goal";

/// Who is told of changes.
pub trait Target {
    /// Whether a parameter that is read when the node is configured may be set now.
    ///
    /// # Errors
    /// Why not.
    fn may_configure(&self, name: &str) -> Result<(), String>;

    /// Takes a change over that has kept every rule of the configuration. What is refused here has changed nothing.
    ///
    /// # Errors
    /// Why it is refused.
    fn apply(&mut self, change: &Change) -> Result<(), String>;
}

/// What a request changes, all of it or nothing.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// The configuration with its new settings.
    pub config: Option<Config>,
    /// The goal in the units of its group; empty: none.
    pub goal: Option<Vec<f64>>,
    /// Parameters that are read when the node is configured.
    pub start: Vec<(String, Setting)>,
}

/// What a goal is a value of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoalShape {
    pub group: String,
    pub channels: usize,
}

impl GoalShape {
    /// What the goal of a configuration is a value of, if it has one.
    pub fn of(config: &Config, layout: &Layout) -> Option<Self> {
        let group = config.goal.as_ref()?.group.clone();
        let channels = layout.modalities[layout.modality(&group)?].channels.len();
        Some(Self { group, channels })
    }
}

/// A value that was given for a parameter and cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("parameter {0}")]
pub struct ParameterError(#[from] Broken);

/// A parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub value: Setting,
    pub about: Description,
    source: Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// Read when the node is configured.
    Start,
    /// A setting of the configuration.
    Config,
    Goal,
}

/// Every parameter of the node.
pub struct Parameters {
    /// By name, as rclcpp lists them.
    entries: BTreeMap<String, Entry>,
    /// What was given at start and set since.
    given: BTreeMap<String, Given>,
    config: Option<Config>,
    goal: Option<GoalShape>,
}

impl Parameters {
    /// `given`: by the command line and parameter files. `start`: the parameters that are read when the node is configured.
    pub fn new(given: Vec<(String, Given)>, start: Vec<(Description, Setting)>) -> Self {
        let entry = |(about, value): (Description, Setting)| {
            (about.key.to_string(), Entry { value, about, source: Source::Start })
        };
        Self {
            entries: start.into_iter().map(entry).collect(),
            given: given.into_iter().collect(),
            config: None,
            goal: None,
        }
    }

    /// Declares the settings of `config` and the goal, with the values that were given for them. Returns the configuration and
    /// the goal that are to be run with.
    ///
    /// # Errors
    /// A value that breaks a rule: nothing has changed then.
    pub fn configure(
        &mut self,
        config: &Config,
        goal: Option<GoalShape>,
    ) -> Result<(Config, Vec<f64>), ParameterError> {
        let settings = config.settings();
        let mut changes = Vec::new();
        for (name, now) in &settings {
            if let Some(given) = self.given.get(name) {
                changes.push((name.clone(), typed(name, now, given)?));
            }
        }
        let config = config.changed(&changes)?;
        let given = self.given.get(GOAL).filter(|_| goal.is_some());
        let target = given.map_or(Ok(none()), |given| typed(GOAL, &none(), given))?;
        check_goal(&target, goal.as_ref())?;

        self.entries.retain(|_, entry| entry.source == Source::Start);
        for (name, value) in config.settings() {
            if let Some(about) = description(&name) {
                let about = bounded(*about, &config);
                self.entries.insert(name, Entry { value, about, source: Source::Config });
            }
        }
        let numbers = numbers(&target);
        if goal.is_some() {
            let text = "the goal in the units of its group; empty: none. A goal that comes by topic replaces it";
            let about = Description { key: GOAL, text, range: Range::Any, fixed: false };
            self.entries.insert(GOAL.into(), Entry { value: target, about, source: Source::Goal });
        }
        (self.config, self.goal) = (Some(config.clone()), goal);
        Ok((config, numbers))
    }

    /// Names that were given and are none, each with the name that may have been meant.
    pub fn unknown(&self) -> Vec<(&str, Option<&str>)> {
        let nearest = |name: &str| {
            let apart = self.entries.keys().map(|known| (distance(name, known), known));
            apart.min().filter(|(apart, known)| *apart <= known.len() / 3).map(|(_, known)| known.as_str())
        };
        let unknown = self.given.keys().filter(|name| !self.entries.contains_key(*name));
        unknown.map(|name| (name.as_str(), nearest(name))).collect()
    }

    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    pub fn all(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// Names below one of `prefixes` (any, if there are none) and the prefixes of these names. `depth`: at most so many parts
    /// below the prefix; 0: any. The rules are those of rclcpp.
    pub fn list(&self, prefixes: &[String], depth: u64) -> (Vec<String>, Vec<String>) {
        let shallow = |rest: &str| depth == 0 || (rest.matches('.').count() as u64) < depth;
        let below = |name: &str, prefix: &str| {
            name == prefix || name.strip_prefix(prefix).and_then(|r| r.strip_prefix('.')).is_some_and(shallow)
        };
        let listed = |name: &&String| {
            if prefixes.is_empty() { shallow(name) } else { prefixes.iter().any(|prefix| below(name, prefix)) }
        };
        let names: Vec<String> = self.entries.keys().filter(listed).cloned().collect();
        let mut above: Vec<String> = Vec::new();
        for (prefix, _) in names.iter().filter_map(|name| name.rsplit_once('.')) {
            if !above.iter().any(|known| known == prefix) {
                above.push(prefix.into());
            }
        }
        (names, above)
    }

    /// Sets all of `changes` or none of them.
    ///
    /// # Errors
    /// Why none of them was set: names the parameter and the rule.
    pub fn set(&mut self, changes: &[(String, Given)], target: &mut dyn Target) -> Result<(), String> {
        if changes.is_empty() {
            return Err("the list of parameters is empty".into());
        }
        let mut values: BTreeMap<String, Setting> = BTreeMap::new();
        let mut change = Change::default();
        let mut settings = Vec::new();
        for (name, given) in changes {
            let entry = self.entries.get(name);
            let entry = entry.ok_or_else(|| format!("parameter '{name}' cannot be set because it was not declared"))?;
            if entry.about.fixed {
                return Err(format!("parameter '{name}' cannot be set because it is read-only"));
            }
            if entry.source == Source::Start {
                target.may_configure(name)?;
            }
            if *given == Err(NOT_SET) {
                return Err(format!("parameter '{name}' cannot be undeclared because it is statically typed"));
            }
            let value = typed(name, &entry.value, given).map_err(|broken| broken.to_string())?;
            match entry.source {
                Source::Start => {
                    entry.about.range.check(name, &value).map_err(|broken| broken.to_string())?;
                    change.start.push((name.clone(), value.clone()));
                }
                Source::Config => settings.push((name.clone(), value.clone())),
                Source::Goal => {
                    check_goal(&value, self.goal.as_ref()).map_err(|broken| broken.to_string())?;
                    change.goal = Some(numbers(&value));
                }
            }
            values.insert(name.clone(), value);
        }
        if let Some(config) = self.config.as_ref().filter(|_| !settings.is_empty()) {
            change.config = Some(config.changed(&settings).map_err(|broken| broken.to_string())?);
        }
        target.apply(&change)?;
        if change.config.is_some() {
            self.config = change.config;
        }
        for (name, value) in values {
            self.given.insert(name.clone(), Ok(value.clone()));
            if let Some(entry) = self.entries.get_mut(&name) {
                entry.value = value;
            }
        }
        Ok(())
    }
}

/// The upper bound of the horizon is a setting itself.
fn bounded(about: Description, config: &Config) -> Description {
    match (about.key, about.range) {
        ("planner.horizon", Range::Integers(from, _)) => {
            let to = i64::try_from(config.planner.horizon_max).unwrap_or(i64::MAX);
            Description { range: Range::Integers(from, to), ..about }
        }
        _ => about,
    }
}

fn typed(name: &str, now: &Setting, given: &Given) -> Result<Setting, Broken> {
    let (value, got) = match given {
        Ok(value) if value.type_name() == now.type_name() => return Ok(value.clone()),
        Ok(value) => (value.to_string(), value.type_name()),
        // What rcl makes of a list of nothing at start.
        Err(got) if *got == NOT_SET && now.type_name() == none().type_name() => return Ok(none()),
        Err(got) => ("a value".into(), *got),
    };
    Err(Broken { key: name.into(), value, rule: wrong_type(now, got) })
}

/// A list of nothing.
fn none() -> Setting {
    Setting::Numbers(Vec::new())
}

fn numbers(value: &Setting) -> Vec<f64> {
    if let Setting::Numbers(values) = value { values.clone() } else { Vec::new() }
}

fn check_goal(value: &Setting, shape: Option<&GoalShape>) -> Result<(), Broken> {
    let goal = numbers(value);
    let Some(GoalShape { group, channels }) = shape.filter(|_| !goal.is_empty()) else { return Ok(()) };
    let rule = if goal.len() != *channels {
        format!("must have {channels} values, one for each channel of {group}, or none")
    } else if goal.iter().any(|v| !v.is_finite()) {
        "must be finite".into()
    } else {
        return Ok(());
    };
    Err(Broken { key: GOAL.into(), value: value.to_string(), rule })
}

/// How many letters must be changed, put in or taken out to make one name of the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for j in 0..b.len() {
            let replaced = diagonal + usize::from(b[j] != letter);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;
