//! The contract: ticks, topics and fields of a robot. Every program needs this part of the YAML.
//!
//! A checkpoint, a recording and a robot must agree on it. [`crate::bind()`] checks it against the message types.

use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::settings::{ConfigError, Document, Validation, at_least_one, not_negative, positive, require};

/// The modality name that is reserved for the action.
pub const ACTION: &str = "action";

/// The contract between a checkpoint, a recording and a robot: tick period, topics and fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Contract {
    /// Length of one tick, seconds.
    pub period_s: f64,
    /// Consecutive frames in one token.
    pub frame_stack: usize,
    /// Observation groups in the order of the file; names are unique and never [`ACTION`].
    pub observations: Vec<ObservationGroup>,
    /// The command that the planner sends.
    pub action: Action,
    /// Where the goal comes from, if there is one.
    pub goal: Option<Goal>,
    /// The configuration that contains it. A checkpoint stores the text, and errors name its file.
    pub document: Document,
}

/// The sections of the contract. Other sections are ignored.
#[derive(Deserialize)]
struct Sections {
    period_s: f64,
    frame_stack: usize,
    observations: Observations,
    action: Action,
    goal: Option<Goal>,
}

impl Contract {
    /// Reads the contract of a document and ignores other sections. It does not check rules on values, so that old
    /// checkpoints load under new rules.
    ///
    /// # Errors
    /// [`ConfigError::Malformed`].
    pub fn read(document: Document) -> Result<Self, ConfigError> {
        let Sections { period_s, frame_stack, observations, action, goal } = document.read()?;
        Ok(Self { period_s, frame_stack, observations: observations.0, action, goal, document })
    }

    /// [`Contract::read`] of a text. `file` is named in errors and not read.
    ///
    /// # Errors
    /// [`ConfigError::Malformed`].
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        Self::read(Document::new(text, file))
    }

    /// Period of a tick, rounded to nanoseconds.
    pub fn period_ns(&self) -> i64 {
        (self.period_s * 1e9).round() as i64
    }

    /// The names of the observation groups, in order.
    pub fn group_names(&self) -> Vec<&str> {
        self.observations.iter().map(|group| group.name.as_str()).collect()
    }

    /// The error for the value of one key; see [`Document::refuse`].
    pub fn refuse(&self, key: &str, value: impl ToString, rule: impl ToString) -> ConfigError {
        self.document.refuse(key, value, rule)
    }

    /// Checks every rule that needs no message type.
    ///
    /// # Errors
    /// The first broken rule, with key and value.
    pub fn check(&self) -> Validation {
        positive("period_s", self.period_s)?;
        require(
            (1e-4..=60.0).contains(&self.period_s),
            "period_s",
            self.period_s,
            "must lie between 0.0001 s and 60 s",
        )?;
        at_least_one("frame_stack", self.frame_stack)?;
        require(!self.observations.is_empty(), "observations", "{}", "at least one observation group is needed")?;
        for group in &self.observations {
            check_group(group)?;
        }
        check_action(&self.action)?;
        self.check_goal()
    }

    fn check_goal(&self) -> Validation {
        let Some(goal) = &self.goal else { return Ok(()) };
        check_topic("goal", &goal.topic, &goal.message_type, &goal.fields, &[])?;
        at_least_one("goal.qos.depth", goal.qos.depth)?;
        check_frame_id("goal", goal.frame_id.as_deref())?;
        positive("goal.tolerance", goal.tolerance)?;
        let names = self.group_names();
        require(names.contains(&goal.group.as_str()), "goal.group", &goal.group, format!("must be one of {names:?}"))?;
        let Some(rate) = &goal.rate else { return Ok(()) };
        let others: Vec<&str> = names.into_iter().filter(|name| *name != goal.group).collect();
        require(others.contains(&rate.as_str()), "goal.rate", rate, format!("must be one of {others:?}"))
    }
}

/// Observation groups in the order of the file, which fixes the order of channels in a frame.
struct Observations(Vec<ObservationGroup>);

impl<'de> Deserialize<'de> for Observations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ordered;
        impl<'de> Visitor<'de> for Ordered {
            type Value = Observations;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("a map from group name to topic, type and fields")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Observations, A::Error> {
                let mut groups: Vec<ObservationGroup> = Vec::new();
                while let Some((name, mut group)) = map.next_entry::<String, ObservationGroup>()? {
                    if groups.iter().any(|g| g.name == name) {
                        return Err(serde::de::Error::custom(format!(
                            "the observation group `{name}` is defined twice"
                        )));
                    }
                    group.name = name;
                    groups.push(group);
                }
                Ok(Observations(groups))
            }
        }
        deserializer.deserialize_map(Ordered)
    }
}

/// A named group of channels that is observed or missing as one.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObservationGroup {
    /// The name, unique in the contract.
    #[serde(skip)]
    pub name: String,
    /// The ROS topic.
    pub topic: String,
    /// `package/msg/Name`.
    #[serde(rename = "type")]
    pub message_type: String,
    /// Field expressions, see [`df_message`].
    pub fields: Vec<String>,
    /// One unit per field, for people. Empty: not stated.
    #[serde(default)]
    pub units: Vec<String>,
    /// QoS of the subscription.
    #[serde(default)]
    pub qos: Qos,
    /// The frame id that messages must have. `None`: any.
    pub frame_id: Option<String>,
    /// Maximum age of a sample at a tick, seconds. An older sample counts as missing.
    pub max_age_s: f64,
    /// Measurement uncertainty of a sample. Default: exact.
    #[serde(default)]
    pub uncertainty: Uncertainty,
    /// True: without this group the safe action is sent. False: planning continues without it.
    #[serde(default = "yes")]
    pub required: bool,
}

/// The standard deviation of a sample: the root of the sum of squares of the parts below. The planner turns it into a
/// noise level.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Uncertainty {
    /// Standard deviation of every sample, in the unit of the group.
    #[serde(alias = "deviation")]
    pub std: f64,
    /// Growth with the sample's age at the tick, in the group's unit per second.
    pub per_s: f64,
    /// Field expressions for the variance of each channel, such as `pose.covariance[0]`. A negative variance means unknown.
    pub variances: Vec<String>,
}

fn yes() -> bool {
    true
}

/// The command that the planner sends.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// The ROS topic.
    pub topic: String,
    /// `package/msg/Name`.
    #[serde(rename = "type")]
    pub message_type: String,
    /// Field expressions, one channel each.
    pub fields: Vec<String>,
    /// One unit per field, for people. Empty: not stated.
    #[serde(default)]
    pub units: Vec<String>,
    /// QoS of the publisher.
    #[serde(default)]
    pub qos: Qos,
    /// Lowest value per channel.
    pub min: Vec<f64>,
    /// Highest value per channel.
    pub max: Vec<f64>,
    /// The safe action, per channel. It is sent when there is no plan.
    pub safe: Vec<f64>,
    /// Maximum rate of change per channel, unit/s. Empty: no limit.
    #[serde(default)]
    pub max_rate: Vec<f64>,
    /// Maximum change of that rate per channel, unit/s^2. Empty: no limit.
    #[serde(default)]
    pub max_acceleration: Vec<f64>,
    /// How long a recorded command stays in effect after its stamp, seconds.
    pub max_age_s: f64,
}

impl Action {
    /// `values`, one per channel, clamped to the limits.
    pub fn limited(&self, values: &[f64]) -> Vec<f64> {
        values.iter().zip(self.min.iter().zip(&self.max)).map(|(value, (min, max))| value.clamp(*min, *max)).collect()
    }
}

/// The topic of the goal, and the observation group whose channels it gives.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Goal {
    /// The ROS topic.
    pub topic: String,
    /// `package/msg/Name`.
    #[serde(rename = "type")]
    pub message_type: String,
    /// Field expressions. They give as many channels as the group has.
    pub fields: Vec<String>,
    /// QoS of the subscription.
    #[serde(default = "Qos::newest")]
    pub qos: Qos,
    /// The coordinate frame of the group. A goal in another frame is transformed. `None`: goals are not transformed.
    pub frame_id: Option<String>,
    /// The observation group whose channels the goal gives.
    pub group: String,
    /// The observation group of the rates of `group`, if any. They are known to be 0 while the robot holds the goal.
    pub rate: Option<String>,
    /// The goal is reached when the Euclidean distance over all channels is at most this, in the unit of the group.
    pub tolerance: f64,
}

/// Reliability of a ROS topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reliability {
    /// Lost messages are sent again.
    Reliable,
    /// Lost messages are not sent again.
    BestEffort,
}

/// Quality of service of a ROS topic.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Qos {
    /// Whether lost messages are sent again.
    pub reliability: Reliability,
    /// Length of the queue, messages.
    pub depth: usize,
    /// True if a late subscriber gets the last messages.
    pub transient_local: bool,
}

impl Default for Qos {
    fn default() -> Self {
        Self { reliability: Reliability::Reliable, depth: 10, transient_local: false }
    }
}

impl Qos {
    /// The default of a goal: a queue of one message.
    pub fn newest() -> Self {
        Self { depth: 1, ..Self::default() }
    }

    /// The default of a map: a queue of one message, which late subscribers get.
    pub fn latched() -> Self {
        Self { transient_local: true, ..Self::newest() }
    }
}

/// A topic of `nav_msgs/msg/OccupancyGrid` that gives a cost its map.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MapTopic {
    /// The ROS topic.
    pub topic: String,
    /// The coordinate frame of the cost's channels. A map in another frame is transformed. `None`: maps are not transformed.
    pub frame_id: Option<String>,
    /// QoS of the subscription.
    #[serde(default = "Qos::latched")]
    pub qos: Qos,
}

fn check_topic(key: &str, topic: &str, message_type: &str, fields: &[String], units: &[String]) -> Validation {
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

fn check_frame_id(key: &str, frame_id: Option<&str>) -> Validation {
    let Some(frame_id) = frame_id else { return Ok(()) };
    let holds = is_frame_id(frame_id);
    require(
        holds,
        format!("{key}.frame_id"),
        frame_id,
        "must be a frame's name, without a leading slash, or be left out",
    )
}

/// True if `name` is a valid frame id: not empty, without spaces and without a leading slash, as in tf2.
pub fn is_frame_id(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('/') && !name.contains(char::is_whitespace)
}

fn check_group(group: &ObservationGroup) -> Validation {
    let key = format!("observations.{}", group.name);
    require(group.name != ACTION, &key, &group.name, "this name is reserved for the action")?;
    check_topic(&key, &group.topic, &group.message_type, &group.fields, &group.units)?;
    at_least_one(format!("{key}.qos.depth"), group.qos.depth)?;
    check_frame_id(&key, group.frame_id.as_deref())?;
    not_negative(format!("{key}.uncertainty.std"), group.uncertainty.std)?;
    not_negative(format!("{key}.uncertainty.per_s"), group.uncertainty.per_s)?;
    positive(format!("{key}.max_age_s"), group.max_age_s)
}

fn check_action(action: &Action) -> Validation {
    check_topic(ACTION, &action.topic, &action.message_type, &action.fields, &action.units)?;
    at_least_one("action.qos.depth", action.qos.depth)?;
    positive("action.max_age_s", action.max_age_s)?;
    // `bind` checks that there is one value per channel, since that needs the message type.
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
