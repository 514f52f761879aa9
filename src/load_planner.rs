//! Loads a planner from a checkpoint: the one place that chooses what evaluates the network.

use std::path::Path;

use df_core::Layout;
#[cfg(not(feature = "training"))]
use df_diffusion::Denoiser;
use df_engine::CheckpointDescription;
use df_planning::{PlanError, Planner};

use crate::config::Config;

/// Loads a checkpoint directory and checks it against the configuration and the layout of its bound contract.
///
/// `device`: `cpu` evaluates the network with df_engine. Other names are Burn's devices (`flex`, `tch`, `cuda:N`,
/// `wgpu:N`), and need the feature `training`.
///
/// # Errors
/// [`PlanError::Checkpoint`]: the checkpoint or the device is refused. [`PlanError::TooLong`]: history and horizon are
/// longer than the network's window.
pub fn load_planner(checkpoint: &Path, config: &Config, layout: &Layout, device: &str) -> Result<Planner, PlanError> {
    let refused = |message: String| PlanError::Checkpoint(message);
    let loaded = CheckpointDescription::load(checkpoint).map_err(|e| refused(e.to_string()))?;
    loaded.check_contract(checkpoint, &config.contract, layout).map_err(|e| refused(e.to_string()))?;
    #[cfg(feature = "training")]
    let denoiser = df_training::load_denoiser(checkpoint, &loaded, device).map_err(|e| refused(e.to_string()))?;
    #[cfg(not(feature = "training"))]
    let denoiser: Box<dyn Denoiser + Send> = match device {
        "cpu" => Box::new(loaded.cpu_denoiser(checkpoint).map_err(|e| refused(e.to_string()))?),
        _ => {
            return Err(refused(format!(
                "device `{device}`: this program was built without Burn (Cargo feature `training`); available here: cpu"
            )));
        }
    };
    let schedule = loaded.schedule();
    Planner::new(denoiser, &config.planning(), layout.clone(), loaded.normaliser, schedule)
}
