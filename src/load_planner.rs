//! Loads a planner from a checkpoint: the one place that chooses what evaluates the network.

use std::path::Path;

use df_core::Layout;
#[cfg(not(feature = "training"))]
use df_diffusion::Denoiser;
use df_engine::{CheckpointDescription, CheckpointError};
use df_planning::{Planner, PlannerError};

use crate::config::Config;

/// Why no planner was loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadPlannerError {
    /// The checkpoint is refused, or was trained under another contract.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint cannot be evaluated on the device.
    #[cfg(feature = "training")]
    #[error(transparent)]
    Denoiser(#[from] df_training::LoadError),
    /// This build does not have the device.
    #[cfg(not(feature = "training"))]
    #[error("device `{device}`: this program was built without Burn (Cargo feature `training`); available here: cpu")]
    NoSuchDevice {
        /// The device.
        device: String,
    },
    /// The configuration does not fit the checkpoint.
    #[error(transparent)]
    Planner(#[from] PlannerError),
}

/// Loads a checkpoint directory and checks it against the configuration and the layout of its bound contract.
///
/// `device`: `cpu` evaluates the network with df_engine. Other names are Burn's devices (`flex`, `tch`, `cuda:N`,
/// `wgpu:N`), and need the feature `training`.
///
/// # Errors
/// [`LoadPlannerError`]: the checkpoint, the device or the configuration is refused.
pub fn load_planner(
    checkpoint: &Path,
    config: &Config,
    layout: &Layout,
    device: &str,
) -> Result<Planner, LoadPlannerError> {
    let loaded = CheckpointDescription::load(checkpoint)?;
    loaded.check_contract(checkpoint, &config.contract, layout)?;
    #[cfg(feature = "training")]
    let denoiser = df_training::load_denoiser(checkpoint, &loaded, device)?;
    #[cfg(not(feature = "training"))]
    let denoiser: Box<dyn Denoiser + Send> = match device {
        "cpu" => Box::new(loaded.cpu_denoiser(checkpoint)?),
        _ => return Err(LoadPlannerError::NoSuchDevice { device: device.into() }),
    };
    let schedule = loaded.schedule();
    Ok(Planner::new(denoiser, &config.planning(), layout.clone(), loaded.normaliser, schedule)?)
}
