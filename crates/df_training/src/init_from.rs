//! A run that begins with a trained model in place of random weights: to go on where another run's state is lost, or to learn from
//! other demonstrations of the same robot.

use std::path::Path;


use super::TrainError;
use crate::TrainerConfig;
use df_engine::{CheckpointDescription, NetworkConfig, ParentCheckpoint, checkpoint_digest};
use df_core::{Layout, Normaliser};

/// The model in the directory `from`, for a run whose checkpoint goes to `out`. To be asked before that is opened: what cannot be
/// must not cost what is there.
///
/// # Errors
/// The model cannot be read, or would be overwritten: [`TrainError::OntoItself`].
pub fn init_from(from: &Path, out: &Path) -> Result<ParentCheckpoint, TrainError> {
    if matches!((from.canonicalize(), out.canonicalize()), (Ok(from), Ok(out)) if from == out) {
        return Err(TrainError::OntoItself { place: out.into() });
    }
    Ok(ParentCheckpoint { model: from.display().to_string(), sha256: checkpoint_digest(from)? })
}

/// The model's normaliser, under which its weights mean what they mean; the weights are at [`CheckpointDescription::weights_path`].
///
/// # Errors
/// A checkpoint that cannot be read, of another contract, network or noise: [`TrainError::OtherModel`].
pub fn normaliser(
    from: &Path,
    config: &TrainerConfig,
    layout: &Layout,
    sizes: &NetworkConfig,
) -> Result<Normaliser, TrainError> {
    let model = CheckpointDescription::load(from)?;
    model.check_contract(from, &config.contract, layout)?;
    let other = |what: &str, was: String, is: String| {
        Err(TrainError::OtherModel { place: from.into(), what: what.into(), was, is })
    };
    if !model.architecture.is_native() {
        return other("the architecture", "one that is not trained here".into(), "df_planner's own".into());
    }
    if model.model != config.model {
        return other("model", format!("{:?}", model.model), format!("{:?}", config.model));
    }
    if model.network.tokens != sizes.tokens {
        return other("training.window", model.network.tokens.to_string(), sizes.tokens.to_string());
    }
    let Normaliser { mean, std, noise_scale } = model.normaliser.clone();
    let asked = Normaliser::new(mean, std).scaled(layout, &config.training.noise_scale);
    if asked != model.normaliser {
        let of_channels = |scale: &[f32]| format!("{scale:?} of {}", layout.labels.join(", "));
        return other("training.noise_scale", of_channels(&noise_scale), of_channels(&asked.noise_scale));
    }
    Ok(model.normaliser)
}
