//! The rules that values must keep. Each refusal names the key, the value and the rule; [`Broken::located`] adds the line.

use std::path::Path;

use super::locate::line_of;
use super::raw::{Action, File, ObservationGroup};
use super::{ACTION, ConfigError, costs};

/// A rule that a value breaks.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{key}: {value}: {rule}")]
pub struct Broken {
    pub key: String,
    pub value: String,
    pub rule: String,
}

impl Broken {
    pub fn located(self, file: &Path, text: &str) -> ConfigError {
        let line = line_of(text, &self.key);
        ConfigError::Rule { file: file.into(), line, key: self.key, value: self.value, rule: self.rule }
    }
}

pub(super) type Check = Result<(), Broken>;

pub(super) fn require(holds: bool, key: impl Into<String>, value: impl ToString, rule: impl ToString) -> Check {
    if holds { Ok(()) } else { Err(Broken { key: key.into(), value: value.to_string(), rule: rule.to_string() }) }
}

pub(super) fn positive(key: impl Into<String>, value: f64) -> Check {
    require(value.is_finite() && value > 0.0, key, value, "must be a finite number above 0")
}

pub(super) fn not_negative(key: impl Into<String>, value: f64) -> Check {
    require(value.is_finite() && value >= 0.0, key, value, "must be a finite number of at least 0")
}

pub(super) fn at_least_one(key: impl Into<String>, value: usize) -> Check {
    require(value >= 1, key, value, "must be at least 1")
}

pub(super) fn share(key: impl Into<String>, value: f64) -> Check {
    require((0.0..1.0).contains(&value), key, value, "must be at least 0 and below 1")
}

/// Every rule that can be checked without knowing message types or a checkpoint.
pub fn check(file: &File) -> Check {
    positive("period_s", file.period_s)?;
    require((1e-4..=60.0).contains(&file.period_s), "period_s", file.period_s, "must lie between 0.0001 s and 60 s")?;
    at_least_one("frame_stack", file.frame_stack)?;
    require(!file.observations.0.is_empty(), "observations", "{}", "at least one observation group is needed")?;
    for group in &file.observations.0 {
        check_group(group)?;
    }
    check_action(&file.action)?;
    check_goal(file)?;
    check_noise_scale(file)?;
    costs::check(&file.costs, file.goal.is_some())?;
    check_model(file)?;
    file.planner.check()?;
    file.safety.check()?;
    file.training.check()?;
    file.columns.check(&file.observations.0.iter().map(|group| group.name.as_str()).collect::<Vec<_>>())
}

fn check_topic(key: &str, topic: &str, message_type: &str, fields: &[String], units: &[String]) -> Check {
    require(!topic.is_empty() && !topic.contains(' '), format!("{key}.topic"), topic, "must be a ROS topic name")?;
    let parts: Vec<&str> = message_type.split('/').collect();
    require(
        parts.len() == 3 && parts[1] == "msg" && parts.iter().all(|p| !p.is_empty()),
        format!("{key}.type"),
        message_type,
        "must have the form package/msg/Name",
    )?;
    require(!fields.is_empty(), format!("{key}.fields"), "[]", "at least one field is needed")?;
    require(
        units.is_empty() || units.len() == fields.len(),
        format!("{key}.units"),
        format!("{units:?}"),
        format!("must have one unit for each of the {} fields, or be left out", fields.len()),
    )
}

fn check_frame_id(key: &str, frame_id: Option<&str>) -> Check {
    let Some(frame_id) = frame_id else { return Ok(()) };
    let holds = is_frame_id(frame_id);
    require(
        holds,
        format!("{key}.frame_id"),
        frame_id,
        "must be a frame's name, without a leading slash, or be left out",
    )
}

/// May a contract ask for this frame? Names of tf2 have no leading slash.
pub fn is_frame_id(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('/') && !name.contains(char::is_whitespace)
}

fn check_group(group: &ObservationGroup) -> Check {
    let key = format!("observations.{}", group.name);
    require(group.name != ACTION, &key, &group.name, "this name is reserved for the action")?;
    check_topic(&key, &group.topic, &group.message_type, &group.fields, &group.units)?;
    at_least_one(format!("{key}.qos.depth"), group.qos.depth)?;
    check_frame_id(&key, group.frame_id.as_deref())?;
    not_negative(format!("{key}.uncertainty.deviation"), group.uncertainty.deviation)?;
    not_negative(format!("{key}.uncertainty.per_s"), group.uncertainty.per_s)?;
    positive(format!("{key}.max_age_s"), group.max_age_s)
}

fn check_action(action: &Action) -> Check {
    check_topic(ACTION, &action.topic, &action.message_type, &action.fields, &action.units)?;
    at_least_one("action.qos.depth", action.qos.depth)?;
    positive("action.max_age_s", action.max_age_s)?;
    // Whether there is one value per channel is checked where the fields are bound to the message type.
    let channels = action.min.len();
    for (name, values) in [("min", &action.min), ("max", &action.max), ("safe", &action.safe)] {
        let key = format!("action.{name}");
        require(
            values.len() == channels,
            &key,
            format!("{values:?}"),
            format!("must have as many values as action.min, which has {channels}"),
        )?;
        require(values.iter().all(|v| v.is_finite()), &key, format!("{values:?}"), "must be finite")?;
    }
    for i in 0..channels {
        let (min, max, safe) = (action.min[i], action.max[i], action.safe[i]);
        require(min < max, "action.min", min, format!("must be below action.max, which is {max} for channel {i}"))?;
        require(
            (min..=max).contains(&safe),
            "action.safe",
            safe,
            format!("must lie within the limits [{min}, {max}] of channel {i}"),
        )?;
    }
    for (name, values) in [("max_rate", &action.max_rate), ("max_acceleration", &action.max_acceleration)] {
        let key = format!("action.{name}");
        let rule = format!("must have as many values as action.min, which has {channels}, or be left out");
        require(values.is_empty() || values.len() == channels, &key, format!("{values:?}"), rule)?;
        values.iter().try_for_each(|value| positive(&key, *value))?;
    }
    require(
        action.max_acceleration.is_empty() || !action.max_rate.is_empty(),
        "action.max_acceleration",
        format!("{:?}", action.max_acceleration),
        "needs action.max_rate beside it",
    )
}

fn check_goal(file: &File) -> Check {
    let (rate, stays) = (file.goal.as_ref().and_then(|goal| goal.rate.as_ref()), file.training.stays);
    require(stays == 0.0 || rate.is_some(), "training.stays", stays, "needs goal.rate beside it")?;
    let Some(goal) = &file.goal else { return Ok(()) };
    check_topic("goal", &goal.topic, &goal.message_type, &goal.fields, &[])?;
    at_least_one("goal.qos.depth", goal.qos.depth)?;
    check_frame_id("goal", goal.frame_id.as_deref())?;
    positive("goal.tolerance", goal.tolerance)?;
    let names: Vec<&str> = file.observations.0.iter().map(|g| g.name.as_str()).collect();
    require(names.contains(&goal.group.as_str()), "goal.group", &goal.group, format!("must be one of {names:?}"))?;
    let Some(rate) = &goal.rate else { return Ok(()) };
    let others: Vec<&str> = names.into_iter().filter(|name| *name != goal.group).collect();
    require(others.contains(&rate.as_str()), "goal.rate", rate, format!("must be one of {others:?}"))
}

fn check_noise_scale(file: &File) -> Check {
    let names: Vec<&str> = std::iter::once(ACTION).chain(file.observations.0.iter().map(|g| g.name.as_str())).collect();
    file.training.noise_scale.iter().try_for_each(|(name, scale)| {
        require(names.contains(&name.as_str()), "training.noise_scale", name, format!("must be one of {names:?}"))?;
        positive(format!("training.noise_scale.{name}"), *scale)
    })
}

fn check_model(file: &File) -> Check {
    let model = &file.model;
    for (key, value) in [("width", model.width), ("layers", model.layers), ("heads", model.heads)] {
        at_least_one(format!("model.{key}"), value)?;
    }
    require(
        model.width.is_multiple_of(2 * model.heads),
        "model.heads",
        model.heads,
        format!("twice this must divide model.width, which is {}", model.width),
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Config;

    const GOOD: &str = include_str!("../../config/point_maze.yaml");

    fn refusal(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from), "the shipped configuration no longer has `{from}`");
        Config::parse(&GOOD.replacen(from, to, 1), Path::new("c.yaml")).expect_err(to).to_string()
    }

    #[test]
    fn the_shipped_configuration_is_valid() {
        Config::parse(GOOD, Path::new("c.yaml")).unwrap();
    }

    #[test]
    fn a_refusal_names_file_line_key_value_and_rule() {
        let line = 1 + GOOD.lines().position(|l| l.starts_with("period_s")).unwrap();
        assert_eq!(
            refusal("period_s: 0.05", "period_s: 0"),
            format!("c.yaml:{line}: period_s: 0: must be a finite number above 0")
        );
        let line = 1 + GOOD.lines().position(|l| l.starts_with("  min:")).unwrap();
        assert_eq!(
            refusal("min: [-4.0, -4.0]", "min: [5.0, -4.0]"),
            format!("c.yaml:{line}: action.min: 5: must be below action.max, which is 4 for channel 0")
        );
    }

    #[test]
    fn unknown_keys_and_wrong_types_are_refused_with_their_place() {
        let unknown = refusal("frame_stack: 8", "frame_stak: 8");
        assert!(unknown.contains("frame_stak") && unknown.contains("line"), "{unknown}");
        let wrong = refusal("frame_stack: 8", "frame_stack: eight");
        assert!(wrong.contains("frame_stack") && wrong.contains("eight") && wrong.contains("line"), "{wrong}");
    }

    #[test]
    fn impossible_values_are_refused() {
        for (from, to, rule) in [
            ("heads: 4", "heads: 5", "must divide model.width"),
            ("horizon: 13", "horizon: 0", "must be at least 1"),
            ("group: position", "group: pose", "must be one of"),
            ("safe: [0.0, 0.0]", "safe: [0.0]", "as many values as action.min"),
            ("safe: [0.0, 0.0]", "safe: [0.0, 0.0]\n  max_rate: [1.0]", "as many values as action.min"),
            (
                "safe: [0.0, 0.0]",
                "safe: [0.0, 0.0]\n  max_rate: [1.0, 0.0]",
                "action.max_rate: 0: must be a finite number above 0",
            ),
            ("safe: [0.0, 0.0]", "safe: [0.0, 0.0]\n  max_acceleration: [1.0, 1.0]", "needs action.max_rate beside it"),
            ("policy: safe", "rest_s: -1.0", "safety.rest_s: -1: must be a finite number of at least 0"),
            (
                "policy: safe",
                "out_of_distribution: {enter: 4}",
                "safety.out_of_distribution.leave: 5: must be at most safety.out_of_distribution.enter, which is 4",
            ),
            ("costs:", "mode: watch\ncosts:", "shadow"),
            ("eta: 0.0", "eta: 1.5", "must lie in [0, 1]"),
            ("planning: 0.55", "planning: 0.9", "sum to 1"),
            ("type: geometry_msgs/msg/WrenchStamped", "type: WrenchStamped", "package/msg/Name"),
            ("max_age_s: 0.1", "max_age_s: .nan", "finite"),
            ("group: position", "group: position\n  frame_id: /map", "goal.frame_id: /map: must be a frame's name"),
            (
                "max_age_s: 0.1",
                "frame_id: ''\n    max_age_s: 0.1",
                "observations.position.frame_id: : must be a frame's",
            ),
            (
                "group: position",
                "group: position\n  rate: position",
                "goal.rate: position: must be one of [\"velocity\"]",
            ),
            ("window: 16", "window: 16\n  stays: 0.1", "training.stays: 0.1: needs goal.rate beside it"),
            (
                "window: 16",
                "window: 16\n  noise_scale: {place: 1}",
                "training.noise_scale: place: must be one of [\"action\", \"position\"",
            ),
            (
                "window: 16",
                "window: 16\n  noise_scale: {position: 0}",
                "training.noise_scale.position: 0: must be a finite",
            ),
            ("group: position", "group: position\n  qos: {depth: 0}", "goal.qos.depth: 0: must be at least 1"),
        ] {
            let message = refusal(from, to);
            assert!(message.contains(rule), "{to}: {message}");
        }
    }
}
