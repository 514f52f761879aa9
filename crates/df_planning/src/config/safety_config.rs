//! The key `mode` and the section `safety`: commands without a new plan, and observations too unlike the training data.

use serde::{Deserialize, Serialize};

use df_core::settings::{Validation, check_ranges, require};

use super::catalogue::CATALOGUE;

/// Who commands the robot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatingMode {
    /// The planner.
    #[default]
    Drive,
    /// Another controller. The planner plans, compares its plans with the commands, and publishes nothing.
    Shadow,
}

/// The command where no plan may be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FallbackPolicy {
    /// The last command for a while, then the safe action.
    Hold,
    /// A straight line from the last command to the safe action.
    Ramp,
    /// The safe action at once.
    Safe,
}

/// The section `safety`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SafetyConfig {
    /// How old a plan may be that is followed while there is no newer one, seconds.
    #[serde(alias = "rest_s")]
    pub max_plan_age_s: f64,
    /// The command where no plan may be followed.
    pub policy: FallbackPolicy,
    /// How long the policy lasts before the safe action, seconds.
    pub policy_s: f64,
    /// Observations unlike the training data.
    pub out_of_distribution: OutOfDistributionConfig,
}

impl Default for SafetyConfig {
    fn default() -> Self {
        Self {
            max_plan_age_s: 0.25,
            policy: FallbackPolicy::Ramp,
            policy_s: 0.5,
            out_of_distribution: OutOfDistributionConfig::default(),
        }
    }
}

/// The section `safety.out_of_distribution`: when an observation is too unlike the training data. Distances are those of the
/// channel farthest from its mean, in standard deviations of the training data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutOfDistributionConfig {
    /// Whether such observations stop planning.
    pub enabled: bool,
    /// Distance beyond which no plan is followed.
    pub enter: f64,
    /// Distance below which plans are followed again.
    pub leave: f64,
}

impl Default for OutOfDistributionConfig {
    fn default() -> Self {
        Self { enabled: true, enter: 6.0, leave: 5.0 }
    }
}

impl SafetyConfig {
    /// Checks every rule.
    ///
    /// # Errors
    /// Key, value and rule.
    pub fn check(&self) -> Validation {
        check_ranges(CATALOGUE, "safety", self)?;
        let OutOfDistributionConfig { enter, leave, .. } = self.out_of_distribution;
        let rule = format!("must be at most safety.out_of_distribution.enter, which is {enter}");
        require(leave <= enter, "safety.out_of_distribution.leave", leave, rule)
    }
}
