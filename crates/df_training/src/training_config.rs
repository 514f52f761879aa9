//! The section `training`: its keys, their defaults and their rules.

use std::collections::BTreeMap;

use df_core::settings::{Validation, at_least_one, fraction, not_negative, positive, require};
use df_data::ReadingConfig;
use df_diffusion::{LossWeight, LossWeightKind, NoiseLevelSamplerConfig};
use serde::{Deserialize, Serialize};

/// The number format of products with weights during training. The weights are always f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// bfloat16: 8 significant bits.
    Bf16,
}

/// The optimizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OptimizerKind {
    /// AdamW for all weights.
    #[serde(rename = "adamw")]
    AdamW,
    /// Muon for the matrices of the blocks, AdamW for the rest.
    #[serde(rename = "muon")]
    Muon,
}

/// The section `training`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingConfig {
    /// Tokens of a training window.
    pub window: usize,
    /// Windows of an optimizer step.
    pub batch: usize,
    /// Parts in which a batch is computed, one after the other, to save memory. The gradient is that of the whole
    /// batch.
    pub accumulate: usize,
    /// Optimizer steps.
    pub steps: usize,
    /// The optimizer.
    pub optimizer: OptimizerKind,
    /// Peak of the learning rate.
    pub learning_rate: f64,
    /// Steps of the linear warm-up of the learning rate.
    pub warmup_steps: usize,
    /// Weight decay, decoupled from the gradient.
    pub weight_decay: f64,
    /// Maximum norm of the gradient of all weights together.
    pub gradient_clip: f64,
    /// Decay of the moving average of the weights per step.
    pub ema_decay: f64,
    /// Share of the episodes kept for validation.
    pub validation_share: f64,
    /// Optimizer steps between two validations. Only validated weights can become the best checkpoint.
    pub validate_every: usize,
    /// Early stopping: validations without a better loss after which training ends. 0 disables it.
    pub patience: usize,
    /// Optimizer steps between two lines of the log.
    pub log_every: usize,
    /// Seconds between two saves of the state for `--resume`.
    pub checkpoint_every_s: f64,
    /// A longer silence of an observation splits the episode, seconds.
    pub max_gap_s: f64,
    /// Maximum lag of a topic's stamps in the order of recording, seconds. Later samples are left out.
    pub max_skew_s: f64,
    /// Maximum size of the cache of frames ([`df_data::CachePlace`]), 10^9 bytes.
    pub cache_gb: f64,
    /// Seed of weights, windows, noise levels and noise.
    pub seed: u64,
    /// The number format of products with weights.
    pub precision: Precision,
    /// The shares of the patterns of noise levels.
    #[serde(alias = "noise_mix")]
    pub noise_levels: NoiseLevelSamplerConfig,
    /// Standard deviation of noise at level 1 on the channels of a group or the action, in their units. Other channels
    /// use the standard deviation of the data.
    pub noise_scale: BTreeMap<String, f64>,
    /// Share of the windows that the dwell augmentation replaces by windows with a robot at rest. Needs `goal.rate`.
    #[serde(alias = "stays")]
    pub dwell_share: f64,
    /// The loss weight by signal-to-noise ratio.
    pub loss_weight: LossWeightKind,
    /// Signal-to-noise ratio above which the weight stays constant (Hang et al. 2023).
    pub snr_clip: f64,
    /// `fused_snr`: share of the ratio of the past that carries over from one frame to the next (Chen et al. 2024).
    pub snr_decay: f64,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        let reading = ReadingConfig::default();
        Self {
            window: reading.window,
            batch: 128,
            accumulate: 1,
            steps: 20_000,
            optimizer: OptimizerKind::AdamW,
            learning_rate: 5e-4,
            warmup_steps: 500,
            weight_decay: 0.01,
            gradient_clip: 1.0,
            ema_decay: 0.999,
            validation_share: 0.1,
            validate_every: 1000,
            patience: 0,
            log_every: 10,
            checkpoint_every_s: 300.0,
            max_gap_s: reading.max_gap_s,
            max_skew_s: reading.max_skew_s,
            cache_gb: reading.cache_gb,
            seed: 0,
            precision: Precision::F32,
            noise_levels: NoiseLevelSamplerConfig {
                independent: 0.06,
                shared: 0.04,
                planning: 0.55,
                hidden_modality: 0.05,
                variable_length: 0.05,
                noisy_history: 0.05,
                queries: 0.2,
            },
            noise_scale: BTreeMap::new(),
            dwell_share: 0.0,
            loss_weight: LossWeightKind::MinSnr,
            // Hang et al. 2023, and the planning configuration of Chen et al. 2024 (df_planning.yaml); the decay is
            // from the latter.
            snr_clip: 5.0,
            snr_decay: 0.98,
        }
    }
}

impl TrainingConfig {
    /// The keys for reading demonstrations.
    pub fn reading(&self) -> ReadingConfig {
        ReadingConfig {
            window: self.window,
            max_gap_s: self.max_gap_s,
            max_skew_s: self.max_skew_s,
            cache_gb: self.cache_gb,
        }
    }

    /// The loss weight with its parameters.
    pub fn loss_weight(&self) -> LossWeight {
        LossWeight { kind: self.loss_weight, snr_clip: self.snr_clip as f32, snr_decay: self.snr_decay as f32 }
    }

    /// Checks the rules that need no other section.
    ///
    /// # Errors
    /// Key, value and rule of the first violation.
    pub fn check(&self) -> Validation {
        require(self.window >= 2, "training.window", self.window, "must be at least 2 tokens")?;
        at_least_one("training.batch", self.batch)?;
        let rule = "must be 1 to training.batch";
        require((1..=self.batch).contains(&self.accumulate), "training.accumulate", self.accumulate, rule)?;
        at_least_one("training.validate_every", self.validate_every)?;
        at_least_one("training.log_every", self.log_every)?;
        at_least_one("training.steps", self.steps)?;
        positive("training.learning_rate", self.learning_rate)?;
        not_negative("training.weight_decay", self.weight_decay)?;
        positive("training.gradient_clip", self.gradient_clip)?;
        fraction("training.ema_decay", self.ema_decay)?;
        fraction("training.validation_share", self.validation_share)?;
        positive("training.checkpoint_every_s", self.checkpoint_every_s)?;
        positive("training.max_gap_s", self.max_gap_s)?;
        not_negative("training.max_skew_s", self.max_skew_s)?;
        not_negative("training.cache_gb", self.cache_gb)?;
        positive("training.snr_clip", self.snr_clip)?;
        fraction("training.snr_decay", self.snr_decay)?;
        fraction("training.dwell_share", self.dwell_share)?;
        let share_cut = self.noise_levels.variable_length;
        let key = "training.noise_levels.variable_length";
        require(
            share_cut == 0.0 || self.window > 2,
            key,
            share_cut,
            "training.window must be above 2, because windows of 2 tokens cannot be cut",
        )?;
        check_noise_levels(&self.noise_levels)
    }
}

fn check_noise_levels(config: &NoiseLevelSamplerConfig) -> Validation {
    for (name, share) in config.shares() {
        let key = format!("training.noise_levels.{name}");
        require((0.0..=1.0).contains(&share), key, share, "a share must lie in [0, 1]")?;
    }
    let sum: f64 = config.shares().iter().map(|(_, share)| share).sum();
    require((sum - 1.0).abs() < 1e-6, "training.noise_levels", format!("sum {sum}"), "the shares must sum to 1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<TrainingConfig, String> {
        let config: TrainingConfig = serde_yaml::from_str(text).map_err(|e| e.to_string())?;
        config.check().map_err(|b| format!("{}: {}: {}", b.key, b.value, b.rule))?;
        Ok(config)
    }

    #[test]
    fn the_defaults_satisfy_the_rules() {
        assert_eq!(parse("{}").unwrap(), TrainingConfig::default());
    }

    #[test]
    fn a_missing_share_of_the_noise_levels_is_zero() {
        let noise_levels = parse("noise_levels: {planning: 0.75, queries: 0.25}").unwrap().noise_levels;
        assert_eq!(
            noise_levels,
            NoiseLevelSamplerConfig { planning: 0.75, queries: 0.25, ..NoiseLevelSamplerConfig::default() }
        );
    }

    #[test]
    fn an_invalid_value_is_refused_with_key_value_and_rule() {
        for (text, expected) in [
            ("noise_levels: {planning: 0.75}", "training.noise_levels: sum 0.75: the shares must sum to 1"),
            (
                "noise_levels: {planning: 1.5, shared: -0.5}",
                "training.noise_levels.shared: -0.5: a share must lie in [0, 1]",
            ),
            ("noise_levels: {plannning: 1}", "unknown field `plannning`"),
            (
                "{window: 2, noise_levels: {variable_length: 1}}",
                "training.noise_levels.variable_length: 1: training.window",
            ),
            ("loss_weight: snr", "unknown variant `snr`, expected one of `min_snr`, `fused_snr`, `uniform`"),
            ("optimizer: adam", "unknown variant `adam`, expected `adamw` or `muon`"),
            ("{batch: 4, accumulate: 5}", "training.accumulate: 5: must be 1 to training.batch"),
            ("validate_every: 0", "training.validate_every: 0: must be at least 1"),
            ("snr_clip: 0", "training.snr_clip: 0: must be a finite number above 0"),
            ("snr_decay: 1", "training.snr_decay: 1: must be at least 0 and below 1"),
        ] {
            let message = parse(text).expect_err(text);
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
