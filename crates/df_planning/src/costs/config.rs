//! The section `costs`: what every cost has (kind, weight, gate), its rules, and the rest of its keys unread.
//!
//! What the other keys mean, their defaults and their rules stand in the cost's own file in `guidance/`, so that a new
//! cost is one file there. It reads them with [`CostSettings::read`].

use std::path::PathBuf;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_yaml::{Mapping, Value};

use df_core::settings::{Validation, not_negative, positive, require};

/// One entry of `costs`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct CostConfig {
    /// A name of `guidance::KINDS`.
    pub kind: String,
    pub weight: f64,
    #[serde(default)]
    pub gate: Gate,
    /// The folder of the configuration file: relative paths start there.
    #[serde(skip)]
    pub folder: PathBuf,
    #[serde(flatten)]
    pub settings: CostSettings,
}

/// When a cost counts; nothing given: always.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gate {
    /// First and last time of the frames that it sees, seconds after the newest frame of the history.
    pub from_s: Option<f64>,
    pub until_s: Option<f64>,
    /// Bounds on the distance to the goal of the newest frame of the history, in the unit of the goal's group.
    pub goal_nearer_than: Option<f64>,
    pub goal_farther_than: Option<f64>,
}

/// The keys of a cost beside those that all have.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct CostSettings(Mapping);

/// Keys that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownKey {
    /// The key at fault; none where one is missing.
    pub key: Option<String>,
    /// Its value, or the keys that are there.
    pub value: String,
    pub message: String,
}

impl CostSettings {
    /// The keys as a struct that refuses unknown ones.
    ///
    /// # Errors
    /// [`UnknownKey`]: an unknown key, a missing one, or one of the wrong type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, UnknownKey> {
        let read = |keys: &Mapping| serde_yaml::from_value::<T>(Value::Mapping(keys.clone()));
        read(&self.0).map_err(|error| {
            let message = error.to_string();
            // serde does not say which key a wrong type stands at: it is the one without which the complaint is another.
            let guilty = self.0.iter().filter(|_| !message.starts_with("missing field")).find(|(key, _)| {
                let mut others = self.0.clone();
                others.remove(*key);
                read(&others).map_or_else(|without| without.to_string() != message, |_| true)
            });
            match guilty {
                Some((key, value)) => UnknownKey { key: Some(text(key)), value: text(value), message },
                None => UnknownKey { key: None, value: text(&Value::Mapping(self.0.clone())), message },
            }
        })
    }
}

/// A value as it stands in YAML, on one line.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "~".into(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(value) => value.clone(),
        Value::Sequence(values) => format!("[{}]", values.iter().map(text).collect::<Vec<_>>().join(", ")),
        Value::Mapping(keys) => {
            let entries: Vec<String> =
                keys.iter().map(|(key, value)| format!("{}: {}", text(key), text(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Tagged(tagged) => text(&tagged.value),
    }
}

/// The rules on what every cost has.
pub fn check(costs: &[CostConfig], has_goal: bool) -> Validation {
    for (i, cost) in costs.iter().enumerate() {
        not_negative(format!("costs[{i}].weight"), cost.weight)?;
        let gate = &cost.gate;
        let key = |name: &str| format!("costs[{i}].gate.{name}");
        for (name, value) in [("from_s", gate.from_s), ("until_s", gate.until_s)] {
            let value = value.unwrap_or(0.0);
            require(value.is_finite(), key(name), value, "must be finite")?;
        }
        if let (Some(from), Some(until)) = (gate.from_s, gate.until_s) {
            require(from <= until, key("from_s"), from, format!("must be at most until_s, which is {until}"))?;
        }
        if let Some(nearer) = gate.goal_nearer_than {
            require(has_goal, key("goal_nearer_than"), nearer, "needs the section `goal`")?;
            positive(key("goal_nearer_than"), nearer)?;
        }
        if let Some(farther) = gate.goal_farther_than {
            require(has_goal, key("goal_farther_than"), farther, "needs the section `goal`")?;
            not_negative(key("goal_farther_than"), farther)?;
            let nearer = gate.goal_nearer_than.unwrap_or(f64::INFINITY);
            let rule = format!("must be below goal_nearer_than, which is {nearer}");
            require(farther < nearer, key("goal_farther_than"), farther, rule)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        of: String,
        order: Option<usize>,
    }

    fn entry(text: &str) -> CostConfig {
        serde_yaml::from_str(text).unwrap()
    }

    #[test]
    fn common_keys_are_read_and_the_rest_is_kept_for_the_cost() {
        let cost = entry("{kind: a, weight: 2, gate: {until_s: 1}, of: pose, order: 3}");
        assert_eq!((cost.kind.as_str(), cost.weight, cost.gate.until_s), ("a", 2.0, Some(1.0)));
        let settings: Settings = cost.settings.read().unwrap();
        assert_eq!((settings.of.as_str(), settings.order), ("pose", Some(3)));
    }

    #[test]
    fn what_cannot_be_read_is_named_with_key_and_value() {
        let unread = |text: &str| entry(text).settings.read::<Settings>().unwrap_err();
        let wrong = unread("{kind: a, weight: 2, of: pose, order: [x, 1]}");
        assert_eq!((wrong.key.as_deref(), wrong.value.as_str()), (Some("order"), "[x, 1]"));
        let unknown = unread("{kind: a, weight: 2, of: pose, ordr: 1}");
        assert_eq!((unknown.key.as_deref(), unknown.value.as_str()), (Some("ordr"), "1"));
        assert!(unknown.message.contains("unknown field `ordr`"), "{}", unknown.message);
        let missing = unread("{kind: a, weight: 2, order: 1}");
        assert_eq!((missing.key, missing.message.as_str()), (None, "missing field `of`"));
        assert!(serde_yaml::from_str::<CostConfig>("{kind: a, weight: 1, gate: {until: 1}}").is_err());
    }

    #[test]
    fn weights_and_gates_keep_their_rules() {
        let refusal = |text: &str, has_goal| {
            let broken = check(&[entry("{kind: a, weight: 0}"), entry(text)], has_goal).expect_err(text);
            format!("{}: {}: {}", broken.key, broken.value, broken.rule)
        };
        assert_eq!(
            refusal("{kind: a, weight: -1}", true),
            "costs[1].weight: -1: must be a finite number of at least 0"
        );
        assert_eq!(
            refusal("{kind: a, weight: 1, gate: {from_s: 2, until_s: 1}}", true),
            "costs[1].gate.from_s: 2: must be at most until_s, which is 1"
        );
        assert!(refusal("{kind: a, weight: 1, gate: {from_s: .nan}}", true).ends_with("must be finite"));
        assert_eq!(
            refusal("{kind: a, weight: 1, gate: {goal_nearer_than: 1}}", false),
            "costs[1].gate.goal_nearer_than: 1: needs the section `goal`"
        );
        assert!(refusal("{kind: a, weight: 1, gate: {goal_nearer_than: 0}}", true).contains("above 0"));
        assert!(
            refusal("{kind: a, weight: 1, gate: {goal_nearer_than: 1, goal_farther_than: 1}}", true)
                .contains("must be below goal_nearer_than, which is 1")
        );
        let good = entry("{kind: a, weight: 1, gate: {from_s: 0, goal_nearer_than: 2, goal_farther_than: 1}}");
        assert!(check(&[good], true).is_ok());
    }
}
