//! Import of weights that were trained elsewhere: the names and shapes of a file's tensors mapped onto the networks of
//! this crate (docs/src/how-to/import-pytorch-weights.md).

mod file;
mod native;
mod reference;

use std::path::PathBuf;

use burn::module::Module;
use burn::store::{BurnToPyTorchAdapter, ModuleSnapshot, PyTorchToBurnAdapter, bridge};
use burn::tensor::TensorData;

pub use file::ForeignWeights;
pub use native::import_native;
pub use reference::{ImportedReference, ReferenceOptions, import_reference};

/// Why weights cannot be imported. An import that fails writes nothing.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read.
    #[error("{}: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        cause: std::io::Error,
    },
    /// The file is damaged or of an unknown format.
    #[error("{}: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        message: String,
    },
    /// A rule that renames tensors fails.
    #[error("renaming by `{pattern}`: {message}")]
    Rename {
        /// The regular expression.
        pattern: String,
        /// What is wrong.
        message: String,
    },
    /// The file has several sets of weights.
    #[error("{}: contains several sets of weights; choose one by its prefix, one of `{found}`", path.display())]
    Prefixes {
        /// The file.
        path: PathBuf,
        /// The prefixes.
        found: String,
    },
    /// The tensors do not match the network.
    #[error("{}: does not fit:{problems}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// The tensors that are missing, unexpected or of another shape, one per line.
        problems: String,
    },
}

/// The values of a tensor and its shape.
struct ShapedValues {
    values: Vec<f32>,
    shape: Vec<usize>,
}

/// Fills every parameter of a network from tensors in PyTorch's layout: the `weight` of a linear layer is
/// `[output, input]`, a layer norm has `weight` and `bias`.
///
/// `foreign_name` maps the name of a parameter to the name in the file. `replacement` may give other values for a
/// tensor of the file, by its name there.
fn fill<M: Module>(
    mut network: M,
    weights: &ForeignWeights,
    foreign_name: impl Fn(&str) -> String,
    replacement: &dyn Fn(&str) -> Option<ShapedValues>,
) -> Result<M, ImportError> {
    let wanted = network.collect(None, Some(Box::new(BurnToPyTorchAdapter)), false);
    let mut problems = Vec::new();
    let mut known = Vec::new();
    let mut tensors = Vec::new();
    for ours in wanted {
        let name = foreign_name(&ours.name);
        let expected = ours.shape.to_vec();
        let found = replacement(&name).map_or_else(|| weights.shape(&name), |tensor| Some(tensor.shape));
        match found {
            None => problems.push(format!("`{name}` is missing; expected {expected:?}")),
            Some(shape) if shape != expected => {
                problems.push(format!("`{name}`: expected {expected:?}, got {shape:?}"))
            }
            Some(_) => {
                let values = match replacement(&name) {
                    Some(tensor) => tensor.values,
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
