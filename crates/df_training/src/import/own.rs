//! Our own network, trained elsewhere: the same names and layout as `benches/pytorch_model.py`.

use burn::tensor::Device;

use crate::InitNetwork;
use crate::checkpoint::RENAMED;

use super::{ForeignWeights, ImportError, fill};
use df_engine::NetworkConfig;
use crate::Network;

/// A tensor that every file of our network has.
const MARKER: &str = "query_key_value.weight";
const FIRST_BLOCK: &str = "blocks.0.";

/// The network of these sizes with the weights below `prefix` (found by itself if there is one set of weights only).
///
/// # Errors
/// [`ImportError`]: what is missing, not expected, or of another shape.
pub fn import_own(
    weights: &ForeignWeights,
    prefix: Option<&str>,
    sizes: &NetworkConfig,
    device: &Device,
) -> Result<Network, ImportError> {
    let found = prefix.map_or_else(|| weights.prefix_of(&format!("{FIRST_BLOCK}{MARKER}")), |p| Ok(p.into()))?;
    fill(sizes.init(device), &weights.below(&found)?.rename(&renames())?, str::to_string, &|_| None)
}

/// Names of version 0.1, as `benches/pytorch_model.py` of then has them.
fn renames() -> Vec<(String, String)> {
    RENAMED.iter().map(|(from, to)| ((*from).into(), (*to).into())).collect()
}
