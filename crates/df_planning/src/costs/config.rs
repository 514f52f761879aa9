//! The section `costs`: the keys that every cost has (kind, weight, gate), and the cost's own keys unread.
//!
//! The file of a cost defines its own keys, their defaults and their rules. The registry reads them with
//! [`RawCostConfig::read`].

use std::path::PathBuf;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_yaml::{Mapping, Value};

use df_core::settings::{Validation, not_negative, positive, require};

/// One entry of `costs`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct CostConfig {
    /// The name of a registered cost.
    pub kind: String,
    /// Factor of the cost; 0 turns it off.
    pub weight: f64,
    /// When the cost counts.
    #[serde(default)]
    pub gate: GateConfig,
    /// The folder of the configuration file. Relative paths start there.
    #[serde(skip)]
    pub folder: PathBuf,
    /// The cost's own keys.
    #[serde(flatten)]
    pub raw: RawCostConfig,
}

/// When a cost counts. The default is always.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GateConfig {
    /// Time of the first frame that the cost sees, seconds after the newest frame of the history.
    pub from_s: Option<f64>,
    /// Time of the last frame that the cost sees, seconds after the newest frame of the history.
    pub until_s: Option<f64>,
    /// The cost counts while the newest frame of the history is nearer to the goal than this, in the unit of the goal's group.
    pub goal_nearer_than: Option<f64>,
    /// The cost counts while the newest frame of the history is farther from the goal than this, in the unit of the goal's
    /// group.
    pub goal_farther_than: Option<f64>,
}

/// The keys of a cost beside `kind`, `weight` and `gate`, unread.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct RawCostConfig(Mapping);

/// Why a cost's own keys cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableKey {
    /// The key at fault; `None` where a key is missing.
    pub key: Option<String>,
    /// The value of that key, or all keys where one is missing.
    pub value: String,
    /// What the YAML reader says.
    pub message: String,
}

impl RawCostConfig {
    /// Reads the keys as a struct that refuses unknown keys.
    ///
    /// # Errors
    /// [`UnreadableKey`]: an unknown key, a missing key, or a value of the wrong type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, UnreadableKey> {
        let read = |keys: &Mapping| serde_yaml::from_value::<T>(Value::Mapping(keys.clone()));
        read(&self.0).map_err(|error| {
            let message = error.to_string();
            // serde does not name the key of a wrong type. Without that key the message is another one.
            let guilty = self.0.iter().filter(|_| !message.starts_with("missing field")).find(|(key, _)| {
                let mut others = self.0.clone();
                others.remove(*key);
                read(&others).map_or_else(|without| without.to_string() != message, |_| true)
            });
            match guilty {
                Some((key, value)) => UnreadableKey { key: Some(text(key)), value: text(value), message },
                None => UnreadableKey { key: None, value: text(&Value::Mapping(self.0.clone())), message },
            }
        })
    }
}

/// Checks the keys that every cost has: weight and gate. `has_goal`: whether the contract has a goal.
///
/// # Errors
/// The first key, its value and the rule that it breaks.
pub(crate) fn check(costs: &[CostConfig], has_goal: bool) -> Validation {
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

/// A value as YAML on one line.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct ExampleConfig {
        of: String,
        order: Option<usize>,
    }

    fn entry(text: &str) -> CostConfig {
        serde_yaml::from_str(text).unwrap()
    }

    #[test]
    fn common_keys_are_read_and_the_other_keys_are_kept_for_the_cost() {
        let cost = entry("{kind: a, weight: 2, gate: {until_s: 1}, of: pose, order: 3}");
        assert_eq!((cost.kind.as_str(), cost.weight, cost.gate.until_s), ("a", 2.0, Some(1.0)));
        let config: ExampleConfig = cost.raw.read().unwrap();
        assert_eq!((config.of.as_str(), config.order), ("pose", Some(3)));
    }

    #[test]
    fn an_unreadable_key_is_named_with_its_value() {
        let unreadable = |text: &str| entry(text).raw.read::<ExampleConfig>().unwrap_err();
        let wrong = unreadable("{kind: a, weight: 2, of: pose, order: [x, 1]}");
        assert_eq!((wrong.key.as_deref(), wrong.value.as_str()), (Some("order"), "[x, 1]"));
        let unknown = unreadable("{kind: a, weight: 2, of: pose, ordr: 1}");
        assert_eq!((unknown.key.as_deref(), unknown.value.as_str()), (Some("ordr"), "1"));
        assert!(unknown.message.contains("unknown field `ordr`"), "{}", unknown.message);
        let missing = unreadable("{kind: a, weight: 2, order: 1}");
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
