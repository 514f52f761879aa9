//! The native network, trained elsewhere. Names and layout of tensors are those of `benches/pytorch_model.py`.

use burn::tensor::Device;

use df_engine::NetworkConfig;

use super::{ForeignWeights, ImportError, fill};
use crate::checkpoint::RENAMED;
use crate::{InitNetwork, Network};

/// The suffix of a tensor that every file of the native network has.
const MARKER: &str = "query_key_value.weight";
const FIRST_BLOCK: &str = "blocks.0.";

/// The network of these sizes with the weights under `prefix`. Without a prefix it is found, if the file has one set of
/// weights only.
///
/// # Errors
/// [`ImportError::Unfit`] lists the tensors that are missing, unexpected or of another shape.
pub fn import_native(
    weights: &ForeignWeights,
    prefix: Option<&str>,
    sizes: &NetworkConfig,
    device: &Device,
) -> Result<Network, ImportError> {
    let found = prefix.map_or_else(|| weights.prefix_of(&format!("{FIRST_BLOCK}{MARKER}")), |p| Ok(p.into()))?;
    fill(sizes.init(device), &weights.below(&found)?.rename(&renames())?, str::to_string, &|_| None)
}

/// The names of version 0.1 and their present names.
fn renames() -> Vec<(String, String)> {
    RENAMED.iter().map(|(from, to)| ((*from).into(), (*to).into())).collect()
}
