//! Reads `.bpk`, Burn's file format for tensors (burnpack, version 1). It does not write the format and knows no
//! network.
//!
//! ```text
//! byte 0   magic "NRUB", u16 version, u32 length of the metadata; all integers little-endian
//! byte 10  metadata, CBOR: {"tensors": {name: {dtype, shape, data_offsets: [start, end], ..}}, ..}
//!          zeros up to a multiple of 256
//!          data: offsets are relative to this place
//! ```
//!
//! Files may be damaged or hostile. Every length and offset is checked against the file before it is used. Tensors
//! must not share bytes, so values take at most twice the file's size (half precision becomes `f32`).

use std::fmt;
use std::ops::Range;

use half::{bf16, f16};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

const MAGIC: [u8; 4] = *b"NRUB";
const VERSION: u16 = 1;
/// Magic, version and length of the metadata, bytes.
const HEADER: usize = 10;
/// The data begin at a multiple of this, bytes.
const ALIGNMENT: usize = 256;
/// More dimensions than any tensor of a network has.
const MAX_DIMENSIONS: usize = 8;
/// Levels of nesting in the metadata, against exhaustion of the stack. What Burn writes has fewer than ten.
const MAX_NESTING: usize = 32;

/// A tensor as it stands in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredTensor {
    /// Its name in the file.
    pub name: String,
    /// Lengths of its dimensions, the slowest first.
    pub shape: Vec<usize>,
    /// Its values, row-major, all finite.
    pub values: Vec<f32>,
    /// Where its values begin in the file, bytes.
    pub offset: u64,
}

/// Why bytes are no burnpack file that this program reads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BurnpackError {
    /// The file ends too early.
    #[error("byte {length}: the file ends here; {part} needs {needed} bytes from the start")]
    Truncated {
        /// Length of the file, bytes.
        length: usize,
        /// What does not fit.
        part: &'static str,
        /// Where it would end, bytes.
        needed: u64,
    },
    /// Another kind of file.
    #[error("byte 0: a burnpack file begins with {MAGIC:02x?}; this one begins with {found:02x?}")]
    Magic {
        /// The first bytes.
        found: [u8; 4],
    },
    /// A burnpack file of another version.
    #[error("byte 4: burnpack version {found}; this program reads version {VERSION}")]
    Version {
        /// The version of the file.
        found: u16,
    },
    /// The metadata are no CBOR of the expected form.
    #[error("byte {offset}: damaged metadata: {message}")]
    Metadata {
        /// Where reading stopped, bytes.
        offset: usize,
        /// What the CBOR reader said.
        message: String,
    },
    /// A tensor that contradicts the file or itself.
    #[error("byte {offset}: tensor `{name}`: {fault}")]
    Tensor {
        /// Where its values begin, or where the fault is, bytes.
        offset: u64,
        /// Its name in the file.
        name: String,
        /// What is wrong with it.
        fault: TensorFault,
    },
}

/// What is wrong with a tensor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TensorFault {
    /// No floating-point numbers of 16 or 32 bits.
    #[error("its numbers are {found}; expected F32, F16 or BF16")]
    Dtype {
        /// What the file calls them.
        found: String,
    },
    /// Shape and length contradict each other.
    #[error("its shape {shape:?} needs {needed} bytes; it has {found}")]
    Length {
        /// Lengths of its dimensions.
        shape: Vec<u64>,
        /// Bytes by its shape; `u64::MAX` if they are more.
        needed: u64,
        /// Bytes by its offsets.
        found: u64,
    },
    /// It begins after its end, or ends after the file.
    #[error("its values lie at {start}..{end} of {available} bytes of data")]
    Range {
        /// First byte, relative to the data.
        start: u64,
        /// Byte after the last, relative to the data.
        end: u64,
        /// Bytes of data in the file.
        available: u64,
    },
    /// It shares bytes with another tensor.
    #[error("it shares bytes with tensor `{other}`")]
    Overlap {
        /// The other one.
        other: String,
    },
    /// Two tensors have one name.
    #[error("there are two of this name")]
    Duplicate,
    /// A value is infinite or no number.
    #[error("value {index} is {value}")]
    NotFinite {
        /// Index of the value in the tensor.
        index: usize,
        /// The value, as text.
        value: String,
    },
}

/// All tensors of a file, in the order of their bytes.
///
/// # Errors
/// [`BurnpackError`] with the byte where the file is wrong.
pub fn parse(bytes: &[u8]) -> Result<Vec<StoredTensor>, BurnpackError> {
    let (tensors, data_start) = directory(bytes)?;
    let data = bytes.get(data_start..).unwrap_or(&[]);
    let mut placed = tensors
        .into_iter()
        .map(|(name, descriptor)| {
            let range = descriptor.range(data.len()).map_err(|fault| {
                let offset = (data_start as u64).saturating_add(descriptor.data_offsets.0);
                BurnpackError::Tensor { offset, name: name.clone(), fault }
            })?;
            Ok((name, descriptor, range))
        })
        .collect::<Result<Vec<_>, BurnpackError>>()?;
    placed.sort_by_key(|(_, _, range)| (range.start, range.end));
    for pair in placed.windows(2) {
        let ((other, _, before), (name, _, after)) = (&pair[0], &pair[1]);
        if after.start < before.end {
            let offset = (data_start + after.start) as u64;
            let fault = TensorFault::Overlap { other: other.clone() };
            return Err(BurnpackError::Tensor { offset, name: name.clone(), fault });
        }
    }
    placed
        .into_iter()
        .map(|(name, descriptor, range)| {
            let start = data_start + range.start;
            let values = descriptor.dtype.values(&data[range]);
            if let Some(index) = values.iter().position(|value| !value.is_finite()) {
                let offset = (start + index * descriptor.dtype.size()) as u64;
                let fault = TensorFault::NotFinite { index, value: values[index].to_string() };
                return Err(BurnpackError::Tensor { offset, name, fault });
            }
            // The range was checked: the product of the dimensions fits the file.
            let shape = descriptor.shape.0.iter().map(|&length| length as usize).collect();
            Ok(StoredTensor { name, shape, values, offset: start as u64 })
        })
        .collect()
}

/// Names and descriptors of the tensors, and where the data begin.
fn directory(bytes: &[u8]) -> Result<(Vec<(String, Descriptor)>, usize), BurnpackError> {
    let truncated = |part, needed: u64| BurnpackError::Truncated { length: bytes.len(), part, needed };
    let Some(&[a, b, c, d, version_low, version_high, ref length @ ..]) = bytes.first_chunk::<HEADER>() else {
        return Err(truncated("the header", HEADER as u64));
    };
    if [a, b, c, d] != MAGIC {
        return Err(BurnpackError::Magic { found: [a, b, c, d] });
    }
    let version = u16::from_le_bytes([version_low, version_high]);
    if version != VERSION {
        return Err(BurnpackError::Version { found: version });
    }
    let length = u32::from_le_bytes(*length);
    let needed = HEADER as u64 + u64::from(length);
    let metadata_end = usize::try_from(needed).ok().filter(|end| *end <= bytes.len());
    let metadata_end = metadata_end.ok_or_else(|| truncated("the metadata", needed))?;
    let mut rest = &bytes[HEADER..metadata_end];
    let metadata: Result<Metadata, _> = ciborium::de::from_reader_with_recursion_limit(&mut rest, MAX_NESTING);
    let damaged = |message| BurnpackError::Metadata { offset: metadata_end - rest.len(), message };
    let metadata = metadata.map_err(|error| damaged(describe(error)))?;
    if !rest.is_empty() {
        return Err(damaged("more bytes follow than the metadata need".into()));
    }
    let mut names: Vec<&str> = metadata.tensors.0.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        let fault = TensorFault::Duplicate;
        return Err(BurnpackError::Tensor { offset: HEADER as u64, name: pair[0].into(), fault });
    }
    Ok((metadata.tensors.0, metadata_end.next_multiple_of(ALIGNMENT)))
}

fn describe(error: ciborium::de::Error<std::io::Error>) -> String {
    use ciborium::de::Error;
    match error {
        Error::Io(_) => "it ends in the middle of an item".into(),
        Error::Syntax(_) => "it is no CBOR".into(),
        Error::Semantic(_, message) => message,
        Error::RecursionLimitExceeded => format!("it nests more than {MAX_NESTING} levels"),
    }
}

/// The metadata; what a reader of weights does not need is skipped.
#[derive(Deserialize)]
struct Metadata {
    tensors: Tensors,
}

/// In the order of the file. A map would drop one of two tensors of one name without a word.
struct Tensors(Vec<(String, Descriptor)>);

#[derive(Deserialize)]
struct Descriptor {
    dtype: Dtype,
    shape: Dimensions,
    /// First byte and the byte after the last, relative to the data.
    data_offsets: (u64, u64),
}

/// Lengths of the dimensions, at most [`MAX_DIMENSIONS`].
struct Dimensions(Vec<u64>);

enum Dtype {
    F32,
    F16,
    Bf16,
    Other(String),
}

impl Descriptor {
    /// Where the values lie in the data, of so many bytes.
    fn range(&self, available: usize) -> Result<Range<usize>, TensorFault> {
        if let Dtype::Other(found) = &self.dtype {
            return Err(TensorFault::Dtype { found: found.clone() });
        }
        let (start, end) = self.data_offsets;
        let outside = TensorFault::Range { start, end, available: available as u64 };
        if start > end || end > available as u64 {
            return Err(outside);
        }
        let values = self.shape.0.iter().try_fold(1u64, |product, &length| product.checked_mul(length));
        let needed = values.and_then(|values| values.checked_mul(self.dtype.size() as u64));
        if needed != Some(end - start) {
            let shape = self.shape.0.clone();
            return Err(TensorFault::Length { shape, needed: needed.unwrap_or(u64::MAX), found: end - start });
        }
        // Both are at most `available`, a `usize`.
        Ok(start as usize..end as usize)
    }
}

impl Dtype {
    /// Bytes of a value.
    fn size(&self) -> usize {
        match self {
            Self::F32 => size_of::<f32>(),
            Self::F16 | Self::Bf16 | Self::Other(_) => size_of::<f16>(),
        }
    }

    fn values(&self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F32 => bytes.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect(),
            Self::F16 => bytes.as_chunks().0.iter().map(|value| f16::from_le_bytes(*value).to_f32()).collect(),
            Self::Bf16 => bytes.as_chunks().0.iter().map(|value| bf16::from_le_bytes(*value).to_f32()).collect(),
            Self::Other(_) => Vec::new(),
        }
    }
}

impl<'de> Deserialize<'de> for Tensors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Tensors;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a map from tensor name to descriptor")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tensors, A::Error> {
                // Grows as entries are read: the length that the file claims is not trusted.
                let mut tensors = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    tensors.push(entry);
                }
                Ok(Tensors(tensors))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl<'de> Deserialize<'de> for Dimensions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Lengths;
        impl<'de> Visitor<'de> for Lengths {
            type Value = Dimensions;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                write!(f, "a shape of at most {MAX_DIMENSIONS} dimensions")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Dimensions, A::Error> {
                let mut lengths = Vec::new();
                while let Some(length) = seq.next_element()? {
                    if lengths.len() == MAX_DIMENSIONS {
                        return Err(serde::de::Error::invalid_length(MAX_DIMENSIONS + 1, &self));
                    }
                    lengths.push(length);
                }
                Ok(Dimensions(lengths))
            }
        }
        deserializer.deserialize_seq(Lengths)
    }
}

impl<'de> Deserialize<'de> for Dtype {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl<'de> Visitor<'de> for Name {
            type Value = Dtype;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("the type of a tensor's numbers")
            }

            fn visit_str<E>(self, name: &str) -> Result<Dtype, E> {
                Ok(match name {
                    // Flex32 is computed in less precision; it is stored as f32.
                    "F32" | "Flex32" => Dtype::F32,
                    "F16" => Dtype::F16,
                    "BF16" => Dtype::Bf16,
                    other => Dtype::Other(other.into()),
                })
            }

            /// Quantised numbers and booleans: a map from the name to its parameters.
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Dtype, A::Error> {
                let mut found = String::new();
                while let Some((name, IgnoredAny)) = map.next_entry()? {
                    found = name;
                }
                Ok(Dtype::Other(found))
            }
        }
        deserializer.deserialize_any(Name)
    }
}

#[cfg(test)]
pub(crate) mod tests;
