//! The description of each key of the section `training`, for the generated reference.

use df_core::settings::{BELOW_ONE, Description, Range, describe};

const AT_LEAST_ONE: Range = Range::Integers(1, i64::MAX);
const ANY_INTEGER: Range = Range::Integers(0, i64::MAX);
const POSITIVE: Range = Range::Numbers(f64::MIN_POSITIVE, f64::INFINITY);
const NOT_NEGATIVE: Range = Range::Numbers(0.0, f64::INFINITY);
const UNIT: Range = Range::Numbers(0.0, 1.0);
/// At least 0 and below 1.
const SHARE: Range = Range::Numbers(0.0, BELOW_ONE);

/// The description of every key of [`crate::TrainingConfig`].
pub const TRAINING_KEYS: &[Description] = &[
    describe("training.window", Range::Integers(2, i64::MAX), "tokens of a training window"),
    describe("training.batch", AT_LEAST_ONE, "windows of an optimizer step"),
    describe(
        "training.accumulate",
        AT_LEAST_ONE,
        "parts in which a batch is computed, to save memory; at most training.batch. The gradient is that of the whole batch",
    ),
    describe("training.steps", AT_LEAST_ONE, "optimizer steps"),
    describe(
        "training.optimizer",
        Range::OneOf(&["adamw", "muon"]),
        "adamw, or muon for the matrices of the blocks and adamw for the rest",
    ),
    describe("training.learning_rate", POSITIVE, "peak of the learning rate; it falls as a cosine after the warm-up"),
    describe("training.warmup_steps", ANY_INTEGER, "steps of the linear warm-up"),
    describe("training.weight_decay", NOT_NEGATIVE, "weight decay, decoupled from the gradient"),
    describe("training.gradient_clip", POSITIVE, "maximum norm of the gradient of all weights together"),
    describe(
        "training.ema_decay",
        SHARE,
        "decay of the moving average of the weights; the checkpoint holds the average",
    ),
    describe("training.validation_share", SHARE, "share of the episodes kept for validation"),
    describe("training.validate_every", AT_LEAST_ONE, "optimizer steps between two validations"),
    describe(
        "training.patience",
        ANY_INTEGER,
        "validations without a better loss after which training stops; 0: it never stops early",
    ),
    describe("training.log_every", AT_LEAST_ONE, "optimizer steps between two lines of the log"),
    describe("training.checkpoint_every_s", POSITIVE, "seconds between two saves of what --resume needs"),
    describe("training.max_gap_s", POSITIVE, "a longer silence of a required observation splits the episode, seconds"),
    describe(
        "training.max_skew_s",
        NOT_NEGATIVE,
        "maximum lag of a topic's stamps in the order of recording, seconds; later samples are left out and counted",
    ),
    describe("training.cache_gb", NOT_NEGATIVE, "maximum room for frames that are kept for further runs, 10^9 bytes"),
    describe("training.seed", ANY_INTEGER, "seed of weights, windows, levels and noise"),
    describe(
        "training.precision",
        Range::OneOf(&["f32", "bf16"]),
        "numbers of the products with weights; the weights stay f32. bf16 is faster on tch with AVX-512 BF16, slower on flex",
    ),
    describe(
        "training.noise_levels.independent",
        UNIT,
        "share of windows with a level of its own per token and modality; half of them with a clean history",
    ),
    describe(
        "training.noise_levels.shared",
        UNIT,
        "share of windows with one level per token for all modalities, the pattern of the paper",
    ),
    describe(
        "training.noise_levels.planning",
        UNIT,
        "share of windows with a clean history and a row of a scheduling matrix after it, as in planning",
    ),
    describe(
        "training.noise_levels.hidden_modality",
        UNIT,
        "share of windows as for planning, with one modality at level 1 throughout: a missing sensor",
    ),
    describe(
        "training.noise_levels.variable_length",
        UNIT,
        "share of batches whose windows are cut to a random length: shorter horizons and queries",
    ),
    describe(
        "training.noise_levels.noisy_history",
        UNIT,
        "share of windows as for planning, with one modality of the history noisy, old or silent",
    ),
    describe(
        "training.noise_levels.queries",
        UNIT,
        "share of windows in which some modalities are known throughout or in a range: world model, inverse dynamics, gaps",
    ),
    describe(
        "training.noise_scale",
        Range::Any,
        "{GROUP: NUMBER}: standard deviation of noise of size 1 on the channels of a group or the action, in their units; that of the data for others",
    ),
    describe(
        "training.dwell_share",
        SHARE,
        "share of windows with a synthetic stay: they leave the demonstration, or stay first; needs goal.rate",
    ),
    describe(
        "training.loss_weight",
        Range::OneOf(&["min_snr", "fused_snr", "uniform"]),
        "weight of an error by the signal-to-noise ratio of its level",
    ),
    describe("training.snr_clip", POSITIVE, "signal-to-noise ratio beyond which a cleaner level weighs no more"),
    describe(
        "training.snr_decay",
        SHARE,
        "fused_snr: share of the past's ratio that is kept from one frame to the next",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use df_core::settings::flatten;

    use super::*;
    use crate::TrainingConfig;

    #[test]
    fn every_key_is_described_once_and_every_description_has_a_key() {
        let keys = flatten(&TrainingConfig::default()).into_iter().map(|(key, _)| format!("training.{key}"));
        // A map that is empty by default has no entry of its own.
        let keys: BTreeSet<String> = keys.chain(["training.noise_scale".into()]).collect();
        let described: BTreeSet<String> = TRAINING_KEYS.iter().map(|entry| entry.key.to_string()).collect();
        assert_eq!(described, keys);
        assert_eq!(described.len(), TRAINING_KEYS.len());
    }
}
