//! Initialisation of a run from a trained checkpoint instead of random weights.
//!
//! Use it to fine-tune on other demonstrations of the same robot, or when the state for `--resume` is lost.

use std::path::Path;

use df_core::{Layout, Normaliser};
use df_engine::{CheckpointDescription, NetworkConfig, ParentCheckpoint, checkpoint_digest};

use crate::{TrainError, TrainerConfig};

/// Identifies the checkpoint in the directory `from`, for a run that writes its checkpoint to `out`.
///
/// Call it before [`crate::Run::open`], so that an invalid request cannot remove an existing run.
///
/// # Errors
/// The checkpoint cannot be read. [`TrainError::OntoItself`] if the run would overwrite it.
pub fn init_from(from: &Path, out: &Path) -> Result<ParentCheckpoint, TrainError> {
    if matches!((from.canonicalize(), out.canonicalize()), (Ok(from), Ok(out)) if from == out) {
        return Err(TrainError::OntoItself { place: out.into() });
    }
    Ok(ParentCheckpoint { model: from.display().to_string(), sha256: checkpoint_digest(from)? })
}

/// The normaliser of the checkpoint `from`. The run must keep it, because the weights were trained with it.
///
/// # Errors
/// The checkpoint cannot be read or has another contract. [`TrainError::OtherModel`] if its network or noise differs.
pub(crate) fn normaliser(
    from: &Path,
    config: &TrainerConfig,
    layout: &Layout,
    sizes: &NetworkConfig,
) -> Result<Normaliser, TrainError> {
    let parent = CheckpointDescription::load(from)?;
    parent.check_contract(from, &config.contract, layout)?;
    let differs = |what: &str, was: String, is: String| {
        Err(TrainError::OtherModel { place: from.into(), what: what.into(), was, is })
    };
    if !parent.architecture.is_native() {
        return differs("the architecture", "reference".into(), "native".into());
    }
    if parent.model != config.model {
        return differs("model", format!("{:?}", parent.model), format!("{:?}", config.model));
    }
    if parent.network.tokens != sizes.tokens {
        return differs("training.window", parent.network.tokens.to_string(), sizes.tokens.to_string());
    }
    let Normaliser { mean, std, noise_scale } = parent.normaliser.clone();
    let configured = Normaliser::new(mean, std).scaled(layout, &config.training.noise_scale);
    if configured != parent.normaliser {
        let describe = |scale: &[f32]| format!("{scale:?} of {}", layout.labels.join(", "));
        return differs("training.noise_scale", describe(&noise_scale), describe(&configured.noise_scale));
    }
    Ok(parent.normaliser)
}
