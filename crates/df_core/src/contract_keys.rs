//! The reference text of each key of the contract.

/// The description of one key of the contract.
#[derive(Clone, Copy, Debug)]
pub struct ContractKey {
    /// Dotted key; `NAME` stands for the name of an observation group.
    pub key: &'static str,
    /// The type of its value.
    pub kind: &'static str,
    /// What holds if it is left out: a value in backticks, or words. Empty: it must be given.
    pub default: &'static str,
    /// Its meaning, unit and rule.
    pub text: &'static str,
}

const fn key(key: &'static str, kind: &'static str, default: &'static str, text: &'static str) -> ContractKey {
    ContractKey { key, kind, default, text }
}

/// Every key of the contract.
pub const CONTRACT_KEYS: &[ContractKey] = &[
    key("period_s", "number", "", "length of a tick, seconds; 0.0001 to 60"),
    key("frame_stack", "integer", "", "frames in a token; at least 1"),
    key("observations.NAME.topic", "string", "", "topic of the group"),
    key("observations.NAME.type", "string", "", "message type, `package/msg/Name`"),
    key("observations.NAME.fields", "list", "", "field expressions, one or more channels each"),
    key("observations.NAME.units", "list", "`[]`", "units, one per field, for people"),
    key(
        "observations.NAME.qos",
        "map",
        "`{reliability: reliable, depth: 10}`",
        "`{reliability: reliable or best_effort, depth: NUMBER, transient_local: true or false}`",
    ),
    key("observations.NAME.frame_id", "string", "any", "coordinate frame that messages must carry"),
    key("observations.NAME.max_age_s", "number", "", "an older sample counts as missing, seconds; above 0"),
    key(
        "observations.NAME.uncertainty.std",
        "number",
        "`0`",
        "standard deviation of every sample, in the group's unit",
    ),
    key(
        "observations.NAME.uncertainty.per_s",
        "number",
        "`0`",
        "growth of the standard deviation with the sample's age, unit per second",
    ),
    key(
        "observations.NAME.uncertainty.variances",
        "list",
        "`[]`",
        "field expressions for the variance of each channel; below 0: unknown",
    ),
    key(
        "observations.NAME.required",
        "bool",
        "`true`",
        "true: without it the fallback command is sent. false: planning goes on without it",
    ),
    key("action.topic", "string", "", "topic of the command"),
    key("action.type", "string", "", "message type, `package/msg/Name`"),
    key("action.fields", "list", "", "field expressions, one channel each"),
    key("action.units", "list", "`[]`", "units, one per field, for people"),
    key("action.qos", "map", "`{reliability: reliable, depth: 10}`", "as of an observation"),
    key("action.min", "list", "", "lowest value of each channel"),
    key("action.max", "list", "", "highest value of each channel"),
    key("action.safe", "list", "", "the safe action of each channel, within the limits"),
    key("action.max_rate", "list", "no limit", "fastest change of each channel, unit per second; above 0"),
    key(
        "action.max_acceleration",
        "list",
        "no limit",
        "fastest change of that rate, unit per second squared; needs `action.max_rate`",
    ),
    key("action.max_age_s", "number", "", "in a recording: how long a command holds after its stamp, seconds"),
    key("goal.topic", "string", "", "topic of the goal"),
    key("goal.type", "string", "", "message type, `package/msg/Name`"),
    key("goal.fields", "list", "", "field expressions; as many channels as the group has"),
    key("goal.qos", "map", "`{reliability: reliable, depth: 1}`", "as of an observation"),
    key("goal.frame_id", "string", "any", "coordinate frame of the group; a goal in another frame is transformed"),
    key("goal.group", "string", "", "observation group that the goal is a value of"),
    key(
        "goal.rate",
        "string",
        "none",
        "observation group of the goal's rates; known to be 0 while the robot holds the goal",
    ),
    key("goal.tolerance", "number", "", "the goal is reached within this distance, in the group's unit; above 0"),
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::Contract;

    /// The contract below has every key of the table. Removing a key is an error exactly if the key has no default.
    #[test]
    fn the_table_has_every_key_of_the_contract_and_its_default() {
        let all = "
period_s: 0.1
frame_stack: 1
observations:
  NAME:
    topic: a
    type: p/msg/A
    fields: [x]
    units: [m]
    qos: {depth: 1}
    frame_id: map
    max_age_s: 1
    uncertainty:
      std: 0
      per_s: 0
      variances: []
    required: true
action:
  topic: u
  type: p/msg/A
  fields: [x]
  units: [m]
  qos: {depth: 1}
  min: [-1]
  max: [1]
  safe: [0]
  max_rate: [1]
  max_acceleration: [1]
  max_age_s: 1
goal:
  topic: g
  type: p/msg/A
  fields: [x]
  qos: {depth: 1}
  frame_id: map
  group: NAME
  rate: NAME
  tolerance: 1
";
        let parse = |text: &str| Contract::parse(text, Path::new("c.yaml"));
        parse(all).unwrap();
        let value: serde_yaml::Value = serde_yaml::from_str(all).unwrap();
        let mut leaves = 0;
        for entry in CONTRACT_KEYS {
            let parts: Vec<&str> = entry.key.split('.').collect();
            let (last, above) = parts.split_last().unwrap();
            let mut without = value.clone();
            let parent = above.iter().try_fold(&mut without, |node, part| node.get_mut(*part)).unwrap();
            parent
                .as_mapping_mut()
                .unwrap()
                .remove(*last)
                .unwrap_or_else(|| panic!("{} is not in the contract", entry.key));
            let refused = parse(&serde_yaml::to_string(&without).unwrap()).is_err();
            assert_eq!(refused, entry.default.is_empty(), "{}", entry.key);
            leaves += 1;
        }
        // One line per key in the text above, except for the lines that only hold other keys.
        assert_eq!(leaves, all.trim().lines().count() - 5);
    }
}
