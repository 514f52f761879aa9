//! The contract: what a robot's topics carry, tick by tick. The part of the YAML that every program needs.
//!
//! A checkpoint, a recording and a robot must agree on it. What a topic's type holds is checked by [`crate::bind`].

use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::settings::{Validation, ConfigError, Document, at_least_one, not_negative, positive, require};

/// The modality name that is reserved for the action.
pub const ACTION: &str = "action";

/// What must agree between a checkpoint, a recording and a robot: ticks, topics, fields; and the goal's topic.
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
    /// The configuration that it stands in: a checkpoint stores its text, and refusals cite it.
    pub document: Document,
}

/// The contract's sections as serde sees them; whatever else the file says is ignored.
#[derive(Deserialize)]
struct Sections {
    period_s: f64,
    frame_stack: usize,
    observations: Observations,
    action: Action,
    goal: Option<Goal>,
}

impl Contract {
    /// Reads the contract of a document and leaves its other sections alone. Rules on values are not checked, so that a
    /// checkpoint outlives them.
    ///
    /// # Errors
    /// [`ConfigError::Malformed`].
    pub fn read(document: Document) -> Result<Self, ConfigError> {
        let Sections { period_s, frame_stack, observations, action, goal } = document.read()?;
        Ok(Self { period_s, frame_stack, observations: observations.0, action, goal, document })
    }

    /// [`Contract::read`] of a text; `file` is only cited.
    ///
    /// # Errors
    /// [`ConfigError::Malformed`].
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        Self::read(Document::new(text, file))
    }

    /// Period of a tick, whole nanoseconds.
    pub fn period_ns(&self) -> i64 {
        (self.period_s * 1e9).round() as i64
    }

    /// The names of the observation groups, in order.
    pub fn group_names(&self) -> Vec<&str> {
        self.observations.iter().map(|group| group.name.as_str()).collect()
    }

    /// The refusal of one key, located in the document; see [`Document::refuse`].
    pub fn refuse(&self, key: &str, value: impl ToString, rule: impl ToString) -> ConfigError {
        self.document.refuse(key, value, rule)
    }

    /// Every rule that can be checked without knowing message types.
    ///
    /// # Errors
    /// Key, value and rule.
    pub fn check(&self) -> Validation {
        positive("period_s", self.period_s)?;
        require((1e-4..=60.0).contains(&self.period_s), "period_s", self.period_s, "must lie between 0.0001 s and 60 s")?;
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
                        return Err(serde::de::Error::custom(format!("the observation group `{name}` stands twice")));
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
    #[serde(skip)]
    pub name: String,
    pub topic: String,
    /// `package/msg/Name`.
    #[serde(rename = "type")]
    pub message_type: String,
    /// Field expressions, see `message::field`.
    pub fields: Vec<String>,
    /// One unit per field, for people. Empty: not stated.
    #[serde(default)]
    pub units: Vec<String>,
    #[serde(default)]
    pub qos: Qos,
    /// The frame id that messages must carry. Left out: any.
    pub frame_id: Option<String>,
    /// An older sample counts as missing, seconds.
    pub max_age_s: f64,
    /// How exact a sample is. Left out: exact.
    #[serde(default)]
    pub uncertainty: Uncertainty,
    /// Missing: the safe action. A group that is not required is planned without.
    #[serde(default = "yes")]
    pub required: bool,
}

/// The standard deviation of a sample: the root of the sum of squares of what is given. It becomes a noise level.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Uncertainty {
    /// Of every sample, in the group's unit.
    #[serde(alias = "deviation")]
    pub std: f64,
    /// Growth with the sample's age at the tick, in the group's unit per second.
    pub per_s: f64,
    /// Field expressions for the variance of each channel, such as `pose.covariance[0]`. Below 0 means unknown.
    pub variances: Vec<String>,
}

fn yes() -> bool {
    true
}

/// The command that the planner sends.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    pub topic: String,
    #[serde(rename = "type")]
    pub message_type: String,
    pub fields: Vec<String>,
    #[serde(default)]
    pub units: Vec<String>,
    #[serde(default)]
    pub qos: Qos,
    /// Lowest and highest value per channel.
    pub min: Vec<f64>,
    pub max: Vec<f64>,
    /// The action that is safe at any time, per channel.
    pub safe: Vec<f64>,
    /// Fastest change per channel, unit/s. Empty: no limit.
    #[serde(default)]
    pub max_rate: Vec<f64>,
    /// Fastest change of that rate per channel, unit/s^2. Empty: no limit.
    #[serde(default)]
    pub max_acceleration: Vec<f64>,
    /// In a recording: how long a command holds after its stamp, seconds.
    pub max_age_s: f64,
}

impl Action {
    /// Values, one per channel, moved into the limits.
    pub fn limited(&self, values: &[f64]) -> Vec<f64> {
        values.iter().zip(self.min.iter().zip(&self.max)).map(|(value, (min, max))| value.clamp(*min, *max)).collect()
    }
}

/// Where the goal comes from and which observation group it is a value of.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Goal {
    pub topic: String,
    #[serde(rename = "type")]
    pub message_type: String,
    pub fields: Vec<String>,
    #[serde(default = "Qos::newest")]
    pub qos: Qos,
    /// The frame that the group's channels are in: a goal in another one is transformed. Left out: any is taken as it is.
    pub frame_id: Option<String>,
    /// The observation group whose channels the goal gives.
    pub group: String,
    /// The observation group of its rates, if there is one: while the stay at the goal lasts, they are known to be 0.
    pub rate: Option<String>,
    /// Reached when every channel's Euclidean distance is at most this, in the group's unit.
    pub tolerance: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reliability {
    Reliable,
    BestEffort,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Qos {
    pub reliability: Reliability,
    pub depth: usize,
    pub transient_local: bool,
}

impl Default for Qos {
    fn default() -> Self {
        Self { reliability: Reliability::Reliable, depth: 10, transient_local: false }
    }
}

impl Qos {
    /// Of a goal: the newest message counts.
    pub fn newest() -> Self {
        Self { depth: 1, ..Self::default() }
    }

    /// Of a map: the newest message counts, also one that was published before.
    pub fn latched() -> Self {
        Self { transient_local: true, ..Self::newest() }
    }
}

/// A topic of `nav_msgs/msg/OccupancyGrid` that a cost takes its map from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MapTopic {
    pub topic: String,
    /// The frame that the cost's channels are in: a map in another one is transformed. Left out: any is taken as it is.
    pub frame_id: Option<String>,
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

/// May a contract ask for this frame? Names of tf2 have no leading slash.
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
