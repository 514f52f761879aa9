//! The YAML file as serde sees it. Types and defaults only: the rules on values stand in [`super::rules`].

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::columns::ColumnsConfig;
use super::costs::CostConfig;
use super::planner::PlannerConfig;
use super::safety::{OperatingMode, SafetyConfig};
use super::training::TrainingConfig;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    pub period_s: f64,
    pub frame_stack: usize,
    pub observations: Observations,
    pub action: Action,
    pub goal: Option<Goal>,
    #[serde(default)]
    pub model: ModelConfig,
    #[serde(default)]
    pub planner: PlannerConfig,
    #[serde(default)]
    pub mode: OperatingMode,
    #[serde(default)]
    pub safety: SafetyConfig,
    #[serde(default)]
    pub costs: Vec<CostConfig>,
    #[serde(default)]
    pub training: TrainingConfig,
    #[serde(default)]
    pub columns: ColumnsConfig,
}

/// The part of a file that a checkpoint is checked against; whatever else the file says is ignored.
#[derive(Deserialize)]
pub struct ContractFile {
    pub period_s: f64,
    pub frame_stack: usize,
    pub observations: Observations,
    pub action: Action,
}

/// Observation groups in the order of the file, which fixes the order of channels in a frame.
pub struct Observations(pub Vec<ObservationGroup>);

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
    pub deviation: f64,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectiveKind {
    X0,
    Noise,
    V,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoiseScheduleKind {
    Cosine,
    Linear,
    Sigmoid,
}

/// The network; stored in the checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    pub width: usize,
    pub layers: usize,
    pub heads: usize,
    pub objective: ObjectiveKind,
    pub noise_schedule: NoiseScheduleKind,
    /// Whether the network is told known values a second time, apart from noisy ones.
    pub known_values: bool,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            width: 128,
            layers: 4,
            heads: 4,
            objective: ObjectiveKind::V,
            noise_schedule: NoiseScheduleKind::Cosine,
            known_values: false,
        }
    }
}
