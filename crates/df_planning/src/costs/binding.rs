//! Binds one entry of `costs` to the layout: turns names into channels and checks values.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::config::CostConfig;
use super::error::CostError;
use df_core::Layout;

/// What a cost is bound to.
pub(super) struct Binding<'a> {
    /// Index of the cost in the list `costs`.
    pub(super) index: usize,
    /// The entry of the list.
    pub(super) config: &'a CostConfig,
    /// The channels of the goal's group, where there is a goal.
    pub(super) goal: Option<Range<usize>>,
    /// The channels of a frame.
    pub(super) layout: &'a Layout,
}

/// Channels by name: a group (`position`), one of its channels by number (`position.0`), or a channel by its label
/// (`pose.pose.position.x`), with the group before it where two groups have that label (`position/pose.pose.position.x`).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged, expecting = "must be a group or channel, or a list of them")]
pub(super) enum Selection {
    /// One name.
    One(String),
    /// Several names, in this order.
    Several(Vec<String>),
}

impl Selection {
    /// The group of the action.
    pub(super) fn action() -> Self {
        Self::One(df_core::ACTION.into())
    }

    fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

/// One value for all channels or one for each.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged, expecting = "must be a number, or a list with one for each channel")]
pub(super) enum PerChannel<T> {
    /// The value of every channel.
    Same(T),
    /// One value per channel.
    Each(Vec<T>),
}

impl<T: Copy> PerChannel<T> {
    fn expanded(&self, channels: usize) -> Vec<T> {
        match self {
            Self::Same(value) => vec![*value; channels],
            Self::Each(values) => values.clone(),
        }
    }
}

impl PerChannel<f64> {
    /// The scale 1.
    pub(super) fn one() -> Self {
        Self::Same(1.0)
    }
}

impl Binding<'_> {
    /// The dotted key of one of the cost's settings.
    pub(super) fn key(&self, name: &str) -> String {
        format!("costs[{}].{name}", self.index)
    }

    /// The error for a value of one of the cost's keys that breaks `rule`.
    pub(super) fn refuse(&self, name: &str, got: impl ToString, rule: impl ToString) -> CostError {
        CostError::Rule { key: self.key(name), got: got.to_string(), rule: rule.to_string() }
    }

    /// Requires that a rule holds.
    ///
    /// # Errors
    /// [`CostError::Rule`].
    pub(super) fn require(
        &self,
        holds: bool,
        name: &str,
        got: impl ToString,
        rule: impl ToString,
    ) -> Result<(), CostError> {
        if holds { Ok(()) } else { Err(self.refuse(name, got, rule)) }
    }

    /// Requires a finite number above 0.
    ///
    /// # Errors
    /// [`CostError::Rule`].
    pub(super) fn positive(&self, name: &str, value: f64) -> Result<(), CostError> {
        self.require(value.is_finite() && value > 0.0, name, value, "must be a finite number above 0")
    }

    /// Requires a finite number of at least 0.
    ///
    /// # Errors
    /// [`CostError::Rule`].
    pub(super) fn not_negative(&self, name: &str, value: f64) -> Result<(), CostError> {
        self.require(value.is_finite() && value >= 0.0, name, value, "must be a finite number of at least 0")
    }

    /// The channels of a frame that a selection names, in its order. Requires at least one channel, and none twice.
    ///
    /// # Errors
    /// [`CostError`]: a name is unknown or ambiguous, a channel is named twice, or no channel is named.
    pub(super) fn channels(&self, name: &str, selection: &Selection) -> Result<Vec<usize>, CostError> {
        let mut channels = Vec::new();
        for selected in selection.names() {
            let found = self.named(name, selected)?;
            let twice = found.iter().any(|c| channels.contains(c));
            self.require(!twice, name, selected, "a channel is named twice")?;
            channels.extend(found);
        }
        self.require(!channels.is_empty(), name, "[]", "at least one channel is needed")?;
        Ok(channels)
    }

    /// The two channels, x and y in m, of a position.
    ///
    /// # Errors
    /// As [`Self::channels`].
    pub(super) fn position(&self, name: &str, selection: &Selection) -> Result<[usize; 2], CostError> {
        let channels = self.channels(name, selection)?;
        <[usize; 2]>::try_from(channels).map_err(|c| {
            self.refuse(name, format!("{selection}"), format!("must be 2 channels, x and y, and is {}", c.len()))
        })
    }

    fn named(&self, key: &str, selected: &str) -> Result<Vec<usize>, CostError> {
        let group = |name: &str| self.layout.modality(name).map(|m| &self.layout.modalities[m]);
        if let Some(group) = group(selected) {
            return Ok(group.channels.clone().collect());
        }
        if let Some((name, number)) = selected.rsplit_once('.')
            && let (Some(group), Ok(number)) = (group(name), number.parse::<usize>())
        {
            let rule = format!("the group has {} channels, counted from 0", group.channels.len());
            self.require(number < group.channels.len(), key, selected, rule)?;
            return Ok(vec![group.channels.start + number]);
        }
        let (within, label) = match selected.split_once('/').map(|(name, label)| (group(name), label)) {
            Some((Some(group), label)) => (group.channels.clone(), label),
            _ => (0..self.layout.labels.len(), selected),
        };
        let found: Vec<usize> = within.filter(|&c| self.layout.labels[c] == label).collect();
        let groups = || self.layout.modalities.iter().map(|m| m.name.clone());
        match found.len() {
            0 => Err(CostError::UnknownChannel {
                key: self.key(key),
                got: selected.into(),
                groups: groups().collect(),
                labels: self.layout.labels.clone(),
            }),
            1 => Ok(found),
            _ => {
                let modality_of = self.layout.modality_of_channel();
                let candidates =
                    found.iter().map(|&c| format!("{}/{label}", self.layout.modalities[modality_of[c]].name)).collect();
                Err(CostError::AmbiguousChannel { key: self.key(key), got: selected.into(), candidates })
            }
        }
    }

    /// One value for each of `channels` channels.
    ///
    /// # Errors
    /// [`CostError::Rule`] if there are more or fewer.
    pub(super) fn per_channel<T: Copy + std::fmt::Debug>(
        &self,
        name: &str,
        values: &PerChannel<T>,
        channels: usize,
    ) -> Result<Vec<T>, CostError> {
        let values = values.expanded(channels);
        let rule = format!("must be one value, or one for each of the {channels} channels");
        self.require(values.len() == channels, name, format!("{values:?}"), rule)?;
        Ok(values)
    }

    /// One finite number for each of `channels` channels.
    ///
    /// # Errors
    /// [`CostError::Rule`].
    pub(super) fn numbers(&self, name: &str, values: &PerChannel<f64>, channels: usize) -> Result<Vec<f64>, CostError> {
        let values = self.per_channel(name, values, channels)?;
        self.require(values.iter().all(|v| v.is_finite()), name, format!("{values:?}"), "must be finite")?;
        Ok(values)
    }

    /// `1 / scale` squared for each of `channels` channels.
    ///
    /// # Errors
    /// [`CostError::Rule`] if a scale is not a finite number above 0.
    pub(super) fn inverse_squares(&self, scale: &PerChannel<f64>, channels: usize) -> Result<Vec<f64>, CostError> {
        let scale = self.numbers("scale", scale, channels)?;
        let positive = scale.iter().all(|&s| s > 0.0);
        self.require(positive, "scale", format!("{scale:?}"), "must be above 0")?;
        Ok(scale.iter().map(|s| 1.0 / (s * s)).collect())
    }

    /// A file; a relative path starts at the folder of the configuration.
    pub(super) fn file(&self, path: &Path) -> PathBuf {
        self.config.folder.join(path)
    }
}

impl std::fmt::Display for Selection {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::One(name) => f.write_str(name),
            Self::Several(names) => write!(f, "[{}]", names.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::costs::test_support::{layout, refusal};

    fn channels(names: &[&str]) -> Result<Vec<usize>, CostError> {
        let layout = layout();
        let config = CostConfig {
            kind: "effort".into(),
            weight: 1.0,
            gate: Default::default(),
            folder: "conf".into(),
            raw: Default::default(),
        };
        let binding = Binding { index: 3, config: &config, goal: None, layout: &layout };
        assert_eq!(binding.file(Path::new("a.yaml")), Path::new("conf/a.yaml"));
        binding.channels("of", &Selection::Several(names.iter().map(|n| n.to_string()).collect()))
    }

    #[test]
    fn groups_numbers_and_labels_name_channels() {
        // action: fx fy; position: x y; velocity: vx vy; ghost: x ranges[0].
        assert_eq!(channels(&["position"]).unwrap(), [2, 3]);
        assert_eq!(channels(&["velocity.1", "action"]).unwrap(), [5, 0, 1]);
        assert_eq!(channels(&["pose.y", "ranges[0]"]).unwrap(), [3, 7]);
        assert_eq!(channels(&["ghost/pose.x", "position/pose.x"]).unwrap(), [6, 2]);
    }

    #[test]
    fn what_is_unknown_ambiguous_or_double_is_named() {
        let message = |names: &[&str]| channels(names).unwrap_err().to_string();
        for unknown in ["posiotn", "posiotn.0", "velocity/pose.x", "pose.z", "ghost/ranges[1]", ""] {
            let message = message(&[unknown]);
            assert!(message.starts_with(&format!("costs[3].of: {unknown}: is no group or channel; ")), "{message}");
            assert!(message.contains("velocity") && message.contains("pose.y"), "{message}");
        }
        assert_eq!(message(&["position.2"]), "costs[3].of: position.2: the group has 2 channels, counted from 0");
        assert_eq!(
            message(&["pose.x"]),
            "costs[3].of: pose.x: is a channel of several groups; write one of [\"position/pose.x\", \"ghost/pose.x\"]"
        );
        assert_eq!(message(&["position", "position.1"]), "costs[3].of: position.1: a channel is named twice");
        assert_eq!(message(&[]), "costs[3].of: []: at least one channel is needed");
    }

    #[test]
    fn lists_have_one_value_for_each_channel() {
        assert_eq!(
            refusal("{kind: effort, weight: 1, of: position, scale: [1, 2, 3]}"),
            "costs[0].scale: [1.0, 2.0, 3.0]: must be one value, or one for each of the 2 channels"
        );
        assert_eq!(refusal("{kind: effort, weight: 1, scale: [1, 0]}"), "costs[0].scale: [1.0, 0.0]: must be above 0");
        assert_eq!(refusal("{kind: effort, weight: 1, scale: .nan}"), "costs[0].scale: [NaN, NaN]: must be finite");
        assert_eq!(
            refusal("{kind: effort, weight: 1, scale: x}"),
            "costs[0].scale: x: must be a number, or a list with one for each channel"
        );
    }
}
