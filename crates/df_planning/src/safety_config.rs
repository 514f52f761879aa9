//! The section `safety`: what is sent where there is no fresh plan, and which observations are too strange to plan from.

use serde::{Deserialize, Serialize};

use df_core::settings::{Validation, check_ranges, require};

use crate::catalogue::CATALOGUE;

/// Who commands the robot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatingMode {
    /// The planner.
    #[default]
    Drive,
    /// Somebody else: the planner plans along, is compared with what is sent, and sends nothing.
    Shadow,
}

/// What is sent where no plan may be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FallbackPolicy {
    /// The last command, then the safe action.
    Hold,
    /// A straight line from the last command to the safe action.
    Ramp,
    /// The safe action at once.
    Safe,
}

/// The ladder under the plan; its last rung, the safe action, lasts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SafetyConfig {
    /// How old a plan may be whose further actions are followed while there is no newer one, seconds.
    #[serde(alias = "rest_s")]
    pub max_plan_age_s: f64,
    pub policy: FallbackPolicy,
    /// How long the policy lasts before the safe action, seconds.
    pub policy_s: f64,
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

/// When an observation is unlike everything that the network was trained on. Distances are in standard deviations of the
/// training data, of the channel that is farthest from its mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutOfDistributionConfig {
    pub enabled: bool,
    /// Beyond this distance no plan is followed...
    pub enter: f64,
    /// ...until it is below this one again.
    pub leave: f64,
}

impl Default for OutOfDistributionConfig {
    fn default() -> Self {
        Self { enabled: true, enter: 6.0, leave: 5.0 }
    }
}

impl SafetyConfig {
    /// Every rule.
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
