//! Named tensors: the weights of a network as a file holds them, with the names of today.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::burnpack::{BurnpackError, TensorFault, parse};
use crate::network_config::NetworkConfig;

/// Parts of tensor names in old files, and what they are called today.
const RENAMED: [(&str, &str); 6] = [
    ("mixed", "in_proj"),
    ("before_attention", "attention_norm"),
    ("attended", "attention_out"),
    ("before_hidden", "mlp_norm"),
    ("hidden", "mlp_up"),
    ("back", "mlp_down"),
];

/// A tensor on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    /// Lengths of its dimensions, the slowest first.
    pub shape: Vec<usize>,
    /// Its values, row-major; as many as the product of `shape`.
    pub values: Vec<f32>,
}

/// Tensors by name, such as `blocks.0.mlp_up.weight`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NamedTensors(BTreeMap<String, NamedTensor>);

/// Why weights cannot be read, or make no network of the sizes that were asked for.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file cannot be read.
    #[error("{}: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        cause: std::io::Error,
    },
    /// The file is damaged, or of another format.
    #[error("{}: {cause}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        cause: BurnpackError,
    },
    /// A size of the network is 0.
    #[error("a network needs width, heads, channels, noise groups and tokens of at least 1; its sizes are {0:?}")]
    Empty(NetworkConfig),
    /// The heads do not divide the width.
    #[error("a network of width {width} has no {heads} heads of equal width")]
    Heads {
        /// Width of the network.
        width: usize,
        /// Its heads.
        heads: usize,
    },
    /// The network has more weights than there are.
    #[error("the network needs {needed:.3e} weights; there are {found}")]
    TooFew {
        /// Weights by the network's sizes.
        needed: f64,
        /// Weights at hand.
        found: usize,
    },
    /// A tensor of the network is not there.
    #[error("tensor `{name}` is missing; expected shape {expected:?}")]
    Missing {
        /// Its name.
        name: String,
        /// Its shape by the network's sizes.
        expected: Vec<usize>,
    },
    /// A tensor has another shape than the network's sizes give it.
    #[error("tensor `{name}`: expected shape {expected:?}, got {got:?}")]
    Shape {
        /// Its name.
        name: String,
        /// Its shape by the network's sizes.
        expected: Vec<usize>,
        /// Its shape.
        got: Vec<usize>,
    },
    /// A tensor is not part of the network.
    #[error("tensor `{name}` has no place in this network")]
    Unexpected {
        /// Its name.
        name: String,
    },
}

/// Today's name of a tensor of an old file; today's names stay.
///
/// ```
/// use df_engine::weights::current_name;
///
/// assert_eq!(current_name("blocks.0.before_hidden.gamma"), "blocks.0.mlp_norm.gamma");
/// assert_eq!(current_name("blocks.0.mlp_norm.gamma"), "blocks.0.mlp_norm.gamma");
/// ```
pub fn current_name(name: &str) -> String {
    let current = |part: &str| RENAMED.iter().find(|(old, _)| *old == part).map(|(_, new)| *new);
    name.split('.').map(|part| current(part).unwrap_or(part)).collect::<Vec<_>>().join(".")
}

impl NamedTensors {
    /// Reads a `.bpk` file. Names of old files become those of today.
    ///
    /// # Errors
    /// [`WeightsError::File`], [`WeightsError::Malformed`].
    pub fn read(path: &Path) -> Result<Self, WeightsError> {
        let bytes = std::fs::read(path).map_err(|cause| WeightsError::File { path: path.into(), cause })?;
        Self::from_burnpack(&bytes).map_err(|cause| WeightsError::Malformed { path: path.into(), cause })
    }

    /// The tensors in the bytes of a `.bpk` file. Names of old files become those of today.
    ///
    /// # Errors
    /// [`BurnpackError`] with the byte where the file is wrong.
    pub fn from_burnpack(bytes: &[u8]) -> Result<Self, BurnpackError> {
        let mut tensors = BTreeMap::new();
        for stored in parse(bytes)? {
            let tensor = NamedTensor { shape: stored.shape, values: stored.values };
            if tensors.insert(current_name(&stored.name), tensor).is_some() {
                let fault = TensorFault::Duplicate;
                return Err(BurnpackError::Tensor { offset: stored.offset, name: stored.name, fault });
            }
        }
        Ok(Self(tensors))
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<&NamedTensor> {
        self.0.get(name)
    }

    /// All tensors, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &NamedTensor)> {
        self.0.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The values of a tensor, which must have this shape.
    ///
    /// # Errors
    /// [`WeightsError::Missing`], [`WeightsError::Shape`].
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<&[f32], WeightsError> {
        match self.0.get(name) {
            None => Err(WeightsError::Missing { name: name.into(), expected: shape.into() }),
            Some(tensor) if tensor.shape != shape || tensor.values.len() != shape.iter().product::<usize>() => {
                Err(WeightsError::Shape { name: name.into(), expected: shape.into(), got: tensor.shape.clone() })
            }
            Some(tensor) => Ok(&tensor.values),
        }
    }

    /// Are these the tensors of a network of these sizes? Allocates nothing, whatever the sizes are.
    ///
    /// # Errors
    /// Sizes that make no network; a tensor that is missing, of another shape, or not part of the network.
    pub fn check(&self, config: &NetworkConfig) -> Result<(), WeightsError> {
        let NetworkConfig { width, heads, channels, noise_groups, tokens, .. } = *config;
        if [width, heads, channels, noise_groups, tokens].contains(&0) {
            return Err(WeightsError::Empty(config.clone()));
        }
        if !config.has_equal_heads() {
            return Err(WeightsError::Heads { width, heads });
        }
        let (needed, found) = (config.weights(), self.0.values().map(|tensor| tensor.values.len()).sum());
        // Products of the sizes are then at most `found`: the shapes below cannot overflow.
        if needed > found as f64 {
            return Err(WeightsError::TooFew { needed, found });
        }
        let mut names = 0;
        for (name, shape) in config.tensors() {
            self.values(&name, &shape)?;
            names += 1;
        }
        if names == self.0.len() {
            return Ok(());
        }
        let expected: std::collections::BTreeSet<String> = config.tensors().map(|(name, _)| name).collect();
        let unexpected = self.0.keys().find(|name| !expected.contains(*name));
        unexpected.map_or(Ok(()), |name| Err(WeightsError::Unexpected { name: name.clone() }))
    }
}

impl FromIterator<(String, NamedTensor)> for NamedTensors {
    fn from_iter<I: IntoIterator<Item = (String, NamedTensor)>>(tensors: I) -> Self {
        Self(tensors.into_iter().collect())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::burnpack::tests::{descriptor, file};

    /// Weights of some size everywhere, the output layer too. Every tensor continues one sequence.
    pub(crate) fn made_up(config: &NetworkConfig) -> NamedTensors {
        let mut n = 0.0f32;
        let mut next = || {
            n += 1.0;
            0.25 * (n * n * 0.37).sin()
        };
        let tensor = |(name, shape): (String, Vec<usize>)| {
            let values = (0..shape.iter().product()).map(|_| next()).collect();
            (name, NamedTensor { shape, values })
        };
        config.tensors().map(tensor).collect()
    }

    #[test]
    fn tensor_names_of_old_files_are_mapped_to_present_names() {
        let renamed = ["mixed.bias", "blocks.3.attended.weight", "blocks.0.back.weight", "blocks.1.hidden.bias"];
        let expected =
            ["in_proj.bias", "blocks.3.attention_out.weight", "blocks.0.mlp_down.weight", "blocks.1.mlp_up.bias"];
        assert_eq!(renamed.map(current_name), expected);
        assert_eq!(current_name("blocks.2.before_attention.beta"), "blocks.2.attention_norm.beta");
        // Whole parts only.
        assert_eq!(current_name("backbone.hidden_state"), "backbone.hidden_state");
        let bytes = file(&[("mixed.bias", descriptor("F32", &[1], 0, 4))], &[0; 4]);
        let tensors = NamedTensors::from_burnpack(&bytes).unwrap();
        assert_eq!(tensors.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["in_proj.bias"]);
        assert_eq!(tensors.get("in_proj.bias").unwrap().values, [0.0]);
    }

    #[test]
    fn an_old_and_a_new_name_of_one_tensor_in_one_file_are_refused() {
        let descriptors =
            [("mixed.bias", descriptor("F32", &[1], 0, 4)), ("in_proj.bias", descriptor("F32", &[1], 4, 8))];
        let error = NamedTensors::from_burnpack(&file(&descriptors, &[0; 8])).unwrap_err();
        assert!(matches!(error, BurnpackError::Tensor { fault: TensorFault::Duplicate, .. }), "{error}");
    }

    #[test]
    fn missing_unexpected_and_misshapen_tensors_are_refused_by_name() {
        let config = NetworkConfig::new(6, 2, 3, 4, 2, 5);
        let whole = made_up(&config);
        whole.check(&config).unwrap();
        let refused = |change: &dyn Fn(&mut BTreeMap<String, NamedTensor>)| {
            let mut changed = whole.clone();
            change(&mut changed.0);
            changed.check(&config).unwrap_err().to_string()
        };
        let tensor = |shape: &[usize]| NamedTensor { shape: shape.into(), values: vec![0.0; shape.iter().product()] };
        let extra = |tensors: &mut BTreeMap<String, NamedTensor>| {
            tensors.insert("extra".into(), tensor(&[1000]));
        };
        assert_eq!(refused(&extra), "tensor `extra` has no place in this network");
        let missing = refused(&|tensors| {
            extra(tensors);
            tensors.remove("blocks.1.mlp_up.bias");
        });
        assert_eq!(missing, "tensor `blocks.1.mlp_up.bias` is missing; expected shape [24]");
        let turned = refused(&|tensors| {
            tensors.insert("blocks.1.mlp_up.weight".into(), tensor(&[24, 6]));
        });
        assert_eq!(turned, "tensor `blocks.1.mlp_up.weight`: expected shape [6, 24], got [24, 6]");
        let short = refused(&|tensors| {
            extra(tensors);
            tensors.get_mut("position").unwrap().values.pop();
        });
        assert_eq!(short, "tensor `position`: expected shape [5, 6], got [5, 6]");
    }

    #[test]
    fn invalid_network_sizes_are_refused_before_memory_is_allocated() {
        let config = NetworkConfig::new(6, 2, 3, 4, 2, 5);
        let whole = made_up(&config);
        for (sizes, expected) in [
            ([6, 2, 4, 4, 2, 5], "no 4 heads"),
            ([6, 2, 0, 4, 2, 5], "at least 1"),
            ([0, 2, 3, 4, 2, 5], "at least 1"),
            ([6, 2, 3, 0, 2, 5], "at least 1"),
            ([6, usize::MAX, 3, 4, 2, 5], "there are"),
            ([3 << 60, 2, 3, 4, 2, 5], "there are"),
            ([6, 2, 3, 4, usize::MAX, 5], "there are"),
            ([6, 2, 3, 4, 2, usize::MAX], "there are"),
        ] {
            let [width, layers, heads, channels, noise_groups, tokens] = sizes;
            let other = NetworkConfig::new(width, layers, heads, channels, noise_groups, tokens);
            let message = whole.check(&other).unwrap_err().to_string();
            assert!(message.contains(expected), "{sizes:?}: {message}");
        }
    }
}
