//! What there is to say about each key of the section `model`: the text of the reference.

use df_core::settings::{Description, Range, describe};

const AT_LEAST_ONE: Range = Range::Integers(1, i64::MAX);

/// Every key of [`crate::ModelConfig`].
pub const MODEL_KEYS: &[Description] = &[
    describe("model.width", AT_LEAST_ONE, "width of the transformer; a multiple of 2 heads"),
    describe("model.layers", AT_LEAST_ONE, "blocks of the transformer"),
    describe("model.heads", AT_LEAST_ONE, "attention heads of a block"),
    describe(
        "model.objective",
        Range::OneOf(&["x0", "noise", "v"]),
        "what the network predicts: the clean value, the noise, or v = alpha noise - sigma x0",
    ),
    describe(
        "model.noise_schedule",
        Range::OneOf(&["cosine", "linear", "sigmoid"]),
        "from a noise level to the amplitudes of signal and noise",
    ),
    describe(
        "model.condition_on_clean_values",
        Range::Any,
        "whether clean values enter the network a second time, apart from noisy ones",
    ),
];
