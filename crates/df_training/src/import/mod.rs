//! Weights from elsewhere onto our networks: what a file calls its tensors, and what we call ours (docs/src/how-to/import-pytorch-weights.md).

mod file;
mod own;
mod reference;

use std::path::PathBuf;

use burn::module::Module;
use burn::store::{BurnToPyTorchAdapter, ModuleSnapshot, PyTorchToBurnAdapter, bridge};
use burn::tensor::TensorData;

pub use file::ForeignWeights;
pub use own::import_own;
pub use reference::{Asked, Imported, import_reference};

/// Why weights cannot be taken over. Nothing has been written then.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("{}: {cause}", path.display())]
    File { path: PathBuf, cause: std::io::Error },
    #[error("{}: {message}", path.display())]
    Malformed { path: PathBuf, message: String },
    #[error("renaming by `{pattern}`: {message}")]
    Rename { pattern: String, message: String },
    #[error("{}: there are several sets of weights: say which by its prefix, one of `{found}`", path.display())]
    Prefixes { path: PathBuf, found: String },
    /// Every tensor that is missing, not expected, or of another shape.
    #[error("{}: does not fit:{problems}", path.display())]
    Unfit { path: PathBuf, problems: String },
}

/// The values of a tensor and its shape.
type Shaped = (Vec<f32>, Vec<usize>);

/// Fills every parameter of a network from tensors in PyTorch's layout, `name_of` theirs for each of ours (in PyTorch's terms: a
/// linear layer's `weight` is `[output, input]`, a layer norm has `weight` and `bias`).
///
/// `instead` may give other values for a tensor of theirs than the file has, with their shape.
fn fill<M: Module>(
    mut network: M,
    weights: &ForeignWeights,
    name_of: impl Fn(&str) -> String,
    instead: &dyn Fn(&str) -> Option<Shaped>,
) -> Result<M, ImportError> {
    let wanted = network.collect(None, Some(Box::new(BurnToPyTorchAdapter)), false);
    let mut problems = Vec::new();
    let mut known = Vec::new();
    let mut tensors = Vec::new();
    for ours in wanted {
        let name = name_of(&ours.name);
        let expected = ours.shape.to_vec();
        let found = instead(&name).map_or_else(|| weights.shape(&name), |(_, shape)| Some(shape));
        match found {
            None => problems.push(format!("`{name}` is missing; expected {expected:?}")),
            Some(shape) if shape != expected => {
                problems.push(format!("`{name}`: expected {expected:?}, got {shape:?}"))
            }
            Some(_) => {
                let values = match instead(&name) {
                    Some((values, _)) => values,
                    None => weights.values(&name)?.unwrap_or_default(),
                };
                tensors.push(bridge::from_data(TensorData::new(values, expected), ours.name, None));
            }
        }
        known.push(name);
    }
    let unknown = weights.shapes().filter(|(name, _)| !known.iter().any(|known| known == name));
    problems.extend(unknown.map(|(name, shape)| format!("`{name}` {shape:?} has no place in this network")));
    if !problems.is_empty() {
        return Err(weights.unfit(problems));
    }
    let applied = network.apply(tensors, None, Some(Box::new(PyTorchToBurnAdapter)), false);
    let failed = applied.errors.iter().map(ToString::to_string);
    let missing = applied.missing.iter().map(|(name, _)| format!("`{name}` was not filled"));
    let problems: Vec<String> = failed.chain(missing).collect();
    if problems.is_empty() { Ok(network) } else { Err(weights.unfit(problems)) }
}
