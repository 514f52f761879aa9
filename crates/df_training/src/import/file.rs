//! Named tensors in a file of PyTorch (`.pt`, `.pth`, `.ckpt`) or safetensors. A pickle is parsed, never executed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::store::pytorch_reader::PytorchReader;
use burn::store::{KeyRemapper, ModuleStore, SafetensorsStore, bridge, burn_pack};
use burn::tensor::{DType, TensorData};

use super::ImportError;

/// The maximum header length of the safetensors format, bytes.
const MAX_HEADER: u64 = 100_000_000;
/// The maximum number of names in a message.
const MAX_CITED: usize = 8;

/// The tensors of a file by name. Values are read at their first use.
pub struct ForeignWeights {
    path: PathBuf,
    tensors: BTreeMap<String, burn_pack::Tensor>,
}

impl ForeignWeights {
    /// Reads names and shapes. Nested dictionaries become names with dots. The content decides the format, not the
    /// file name.
    ///
    /// # Errors
    /// The file cannot be read, is damaged, or holds no tensors.
    pub fn open(path: &Path) -> Result<Self, ImportError> {
        let file = |cause| ImportError::File { path: path.into(), cause };
        let malformed = |message: String| ImportError::Malformed { path: path.into(), message };
        let length = std::fs::metadata(path).map_err(file)?.len();
        let tensors: BTreeMap<String, burn_pack::Tensor> = if is_safetensors(path, length).map_err(file)? {
            let bytes = std::fs::read(path).map_err(file)?;
            let mut store = SafetensorsStore::from_bytes(Some(bytes)).map_indices_contiguous(false);
            store.get_all_tensors().map_err(|e| malformed(e.to_string()))?.clone()
        } else {
            let reader = PytorchReader::new(path).map_err(|e| malformed(e.to_string()))?;
            reader.into_tensors().into_iter().map(|(name, tensor)| (name, bridge::from_pytorch(tensor))).collect()
        };
        if tensors.is_empty() {
            return Err(malformed("holds no tensors".into()));
        }
        Ok(Self { path: path.into(), tensors })
    }

    /// Renames tensors by regular expressions, each with its replacement (`$1` is the first group).
    ///
    /// # Errors
    /// An expression is invalid, or two tensors get the same name.
    pub fn rename(mut self, renames: &[(String, String)]) -> Result<Self, ImportError> {
        for (pattern, to) in renames {
            let malformed = |message| ImportError::Rename { pattern: pattern.clone(), message };
            let remapper =
                KeyRemapper::new().add_pattern(pattern, to.as_str()).map_err(|e| malformed(e.to_string()))?;
            let (renamed, _) = remapper.remap(self.tensors.into_values().collect());
            self.tensors = BTreeMap::new();
            for tensor in renamed {
                if let Some(other) = self.tensors.insert(tensor.name.clone(), tensor) {
                    return Err(malformed(format!("two tensors get the name `{}`", other.name)));
                }
            }
        }
        Ok(self)
    }

    /// The prefix of the network's tensors: the part before `marker` in the only name that ends with it.
    ///
    /// # Errors
    /// No name ends with `marker`, or several do.
    pub fn prefix_of(&self, marker: &str) -> Result<String, ImportError> {
        let is_whole = |prefix: &&str| prefix.is_empty() || prefix.ends_with('.');
        let found: Vec<&str> =
            self.tensors.keys().filter_map(|name| name.strip_suffix(marker)).filter(is_whole).collect();
        match found[..] {
            [prefix] => Ok(prefix.into()),
            [] => {
                Err(self.unfit([format!("no tensor is called `{marker}`, alone or after a prefix; {}", self.names())]))
            }
            _ => Err(ImportError::Prefixes { path: self.path.clone(), found: found.join("`, `") }),
        }
    }

    /// The tensors whose names start with `prefix`, with the prefix removed.
    ///
    /// # Errors
    /// No name starts with `prefix`.
    pub fn below(&self, prefix: &str) -> Result<Self, ImportError> {
        let below = |(name, tensor): (&String, &burn_pack::Tensor)| {
            let name = name.strip_prefix(prefix)?.to_string();
            let mut tensor = tensor.clone();
            tensor.name.clone_from(&name);
            Some((name, tensor))
        };
        let tensors: BTreeMap<_, _> = self.tensors.iter().filter_map(below).collect();
        if tensors.is_empty() {
            return Err(self.unfit([format!("no tensor's name begins with `{prefix}`; {}", self.names())]));
        }
        Ok(Self { path: self.path.clone(), tensors })
    }

    /// The names that start with `prefix`, with the prefix removed.
    pub fn names_below(&self, prefix: &str) -> impl Iterator<Item = &str> {
        self.tensors.keys().filter_map(move |name| name.strip_prefix(prefix))
    }

    /// The shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|tensor| tensor.shape.to_vec())
    }

    /// Names and shapes of all tensors.
    pub fn shapes(&self) -> impl Iterator<Item = (&str, Vec<usize>)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.shape.to_vec()))
    }

    /// The values of a tensor as f32 in row-major order. `None` if no tensor has this name.
    ///
    /// # Errors
    /// The file is damaged, or values are not floating-point numbers or not finite.
    pub fn values(&self, name: &str) -> Result<Option<Vec<f32>>, ImportError> {
        let Some(tensor) = self.tensors.get(name) else { return Ok(None) };
        let malformed = |message: String| ImportError::Malformed { path: self.path.clone(), message };
        if !matches!(tensor.dtype, DType::F64 | DType::F32 | DType::F16 | DType::BF16) {
            return Err(malformed(format!("`{name}` holds {:?}; expected floating-point numbers", tensor.dtype)));
        }
        let data: TensorData = bridge::to_data(tensor).map_err(|e| malformed(e.to_string()))?;
        let values = data.convert_dtype(DType::F32).try_to_vec::<f32>();
        let values = values.map_err(|e| malformed(format!("`{name}`: {e:?}")))?;
        match values.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(malformed(format!("`{name}`: value {at} is {}", values[at]))),
            None => Ok(Some(values)),
        }
    }

    /// The error that this file does not fit the network, with at most `MAX_CITED` problems.
    pub fn unfit(&self, problems: impl IntoIterator<Item = String>) -> ImportError {
        let problems: Vec<String> = problems.into_iter().collect();
        let mut text = problems.iter().take(MAX_CITED).map(|p| format!("\n  {p}")).collect::<String>();
        if problems.len() > MAX_CITED {
            text += &format!("\n  and {} more", problems.len() - MAX_CITED);
        }
        ImportError::Unfit { path: self.path.clone(), problems: text }
    }

    fn names(&self) -> String {
        let cited: Vec<&str> = self.tensors.keys().take(MAX_CITED).map(String::as_str).collect();
        format!(
            "it holds {} tensors: `{}`{}",
            self.tensors.len(),
            cited.join("`, `"),
            if self.tensors.len() > MAX_CITED { " ..." } else { "" }
        )
    }
}

/// True if the file starts as a safetensors file does: the length of the header in 8 bytes, then the header in JSON.
fn is_safetensors(path: &Path, length: u64) -> std::io::Result<bool> {
    use std::io::Read;
    let mut start = Vec::new();
    std::fs::File::open(path)?.take(9).read_to_end(&mut start)?;
    let header = start.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes));
    Ok(header.is_some_and(|header| header <= MAX_HEADER.min(length)) && start.get(8) == Some(&b'{'))
}
