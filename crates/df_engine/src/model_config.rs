//! The section `model`: what network is trained, and what it predicts. Part of the checkpoint.

use df_core::settings::{Validation, at_least_one, require};
use df_diffusion::{NoiseScheduleKind, ObjectiveKind};
use serde::{Deserialize, Serialize};

/// The section `model`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// Width of the network.
    pub width: usize,
    /// Blocks of the network.
    pub layers: usize,
    /// Heads of attention; twice their number divides the width.
    pub heads: usize,
    /// What the network predicts.
    pub objective: ObjectiveKind,
    /// From a level to the amplitudes of signal and noise.
    pub noise_schedule: NoiseScheduleKind,
    /// Whether clean values are input twice: among the noisy values, and alone beside the levels.
    #[serde(alias = "known_values")]
    pub condition_on_clean_values: bool,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            width: 128,
            layers: 4,
            heads: 4,
            objective: ObjectiveKind::V,
            noise_schedule: NoiseScheduleKind::Cosine,
            condition_on_clean_values: false,
        }
    }
}

impl ModelConfig {
    /// Checks the rules on values.
    ///
    /// # Errors
    /// The first key that breaks a rule, with its value and the rule.
    pub fn check(&self) -> Validation {
        for (key, value) in [("width", self.width), ("layers", self.layers), ("heads", self.heads)] {
            at_least_one(format!("model.{key}"), value)?;
        }
        require(
            self.width.is_multiple_of(2 * self.heads),
            "model.heads",
            self.heads,
            format!("twice this must divide model.width, which is {}", self.width),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_satisfy_the_rules_and_heads_must_divide_the_width() {
        assert!(ModelConfig::default().check().is_ok());
        assert!(ModelConfig { heads: 5, ..ModelConfig::default() }.check().is_err());
        assert!(ModelConfig { layers: 0, ..ModelConfig::default() }.check().is_err());
    }

    #[test]
    fn the_old_name_of_condition_on_clean_values_is_read() {
        let old: ModelConfig = serde_json::from_str(r#"{"known_values": true}"#).unwrap();
        assert_eq!(old, ModelConfig { condition_on_clean_values: true, ..ModelConfig::default() });
        assert!(serde_json::to_string(&old).unwrap().contains(r#""condition_on_clean_values":true"#));
    }
}
