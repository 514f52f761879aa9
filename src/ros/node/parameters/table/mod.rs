//! The table of parameters: names, values and rules. Independent of ROS.
//!
//! Given values survive a cleanup: the next `configure` applies them again.

use std::collections::BTreeMap;

use super::entry::{Change, Entry, Given, GoalShape, NOT_SET, ParameterError, Source, Target};
use super::similar::nearest_name;
use crate::config::{Config, current_key, current_value};
use df_core::settings::{Description, Range, Setting, ValidationError, wrong_type};
use df_planning::description;

/// The name of the goal's parameter.
const GOAL: &str = "goal";

/// All parameters of the node.
pub(crate) struct Parameters {
    /// Sorted by name, as rclcpp lists them.
    entries: BTreeMap<String, Entry>,
    /// The values given at start and set since then.
    given: BTreeMap<String, Given>,
    config: Option<Config>,
    goal: Option<GoalShape>,
}

impl Parameters {
    /// `given`: the values of the command line and the parameter files. `start`: the parameters
    /// that `configure` reads.
    pub(crate) fn new(given: Vec<(String, Given)>, start: Vec<(Description, Setting)>) -> Self {
        let entry = |(about, value): (Description, Setting)| {
            (about.key.to_string(), Entry { value, about, source: Source::Start })
        };
        Self {
            entries: start.into_iter().map(entry).collect(),
            given: given.into_iter().map(|(name, value)| (current_name(&name), value)).collect(),
            config: None,
            goal: None,
        }
    }

    /// Declares the settings of `config` and the goal with their given values. Returns the
    /// configuration and the goal with these values.
    ///
    /// # Errors
    /// A given value breaks a rule. Then nothing has changed.
    pub(crate) fn configure(
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
        let target = given.map_or(Ok(empty_list()), |given| typed(GOAL, &empty_list(), given))?;
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

    /// Given names that do not exist, each with a similar name that does.
    pub(crate) fn unknown(&self) -> Vec<(&str, Option<&str>)> {
        let unknown = self.given.keys().filter(|name| !self.entries.contains_key(*name));
        unknown.map(|name| (name.as_str(), nearest_name(name, self.entries.keys().map(String::as_str)))).collect()
    }

    /// The parameter with this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// All parameters by name.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// The names below one of `prefixes`, and the prefixes of these names. No prefixes: all names.
    /// `depth`: the maximum number of parts below the prefix; 0: no maximum. The rules are those of
    /// rclcpp.
    pub(crate) fn list(&self, prefixes: &[String], depth: u64) -> (Vec<String>, Vec<String>) {
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

    /// Sets all of `changes`, or none of them.
    ///
    /// # Errors
    /// The parameter and the rule because of which none was set.
    pub(crate) fn set(&mut self, changes: &[(String, Given)], target: &mut dyn Target) -> Result<(), String> {
        if changes.is_empty() {
            return Err("the list of parameters is empty".into());
        }
        let mut values: BTreeMap<String, Setting> = BTreeMap::new();
        let mut change = Change::default();
        let mut settings = Vec::new();
        for (name, given) in changes {
            let entry = self.entries.get(name);
            let entry = entry.ok_or_else(|| undeclared(name))?;
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

/// Why a name that is no parameter's cannot be set, in the words of rclcpp.
fn undeclared(name: &str) -> String {
    let renamed = current_key(name).map(|now| format!("; it is now '{now}'")).unwrap_or_default();
    format!("parameter '{name}' cannot be set because it was not declared{renamed}")
}

/// The name that a parameter has now; names of version 0.1 are accepted at start for one release.
fn current_name(name: &str) -> String {
    current_key(name).unwrap_or(name).into()
}

/// Adds the upper bound of the horizon, which is a setting itself.
fn bounded(about: Description, config: &Config) -> Description {
    match (about.key, about.range) {
        ("planner.horizon", Range::Integers(from, _)) => {
            let to = i64::try_from(config.planner.max_horizon).unwrap_or(i64::MAX);
            Description { range: Range::Integers(from, to), ..about }
        }
        _ => about,
    }
}

/// The given value, if it has the type of the present value. An old value of version 0.1 becomes the present one.
fn typed(name: &str, now: &Setting, given: &Given) -> Result<Setting, ValidationError> {
    let (value, got) = match given {
        Ok(Setting::Text(text)) if now.type_name() == Setting::Text(String::new()).type_name() => {
            return Ok(Setting::Text(current_value(name, text).map_or_else(|| text.clone(), Into::into)));
        }
        Ok(value) if value.type_name() == now.type_name() => return Ok(value.clone()),
        Ok(value) => (value.to_string(), value.type_name()),
        // At start, rcl gives an empty list no value.
        Err(got) if *got == NOT_SET && now.type_name() == empty_list().type_name() => return Ok(empty_list()),
        Err(got) => ("a value".into(), *got),
    };
    Err(ValidationError { key: name.into(), value, rule: wrong_type(now, got) })
}

/// An empty list.
fn empty_list() -> Setting {
    Setting::Numbers(Vec::new())
}

fn numbers(value: &Setting) -> Vec<f64> {
    if let Setting::Numbers(values) = value { values.clone() } else { Vec::new() }
}

fn check_goal(value: &Setting, shape: Option<&GoalShape>) -> Result<(), ValidationError> {
    let goal = numbers(value);
    let Some(GoalShape { group, channels }) = shape.filter(|_| !goal.is_empty()) else { return Ok(()) };
    let rule = if goal.len() != *channels {
        format!("must have {channels} values, one for each channel of {group}, or none")
    } else if goal.iter().any(|v| !v.is_finite()) {
        "must be finite".into()
    } else {
        return Ok(());
    };
    Err(ValidationError { key: GOAL.into(), value: value.to_string(), rule })
}

#[cfg(test)]
mod tests;
