//! Reads `.bpk`, Burn's file format for tensors (burnpack, version 1). It does not write the format and knows no network.
//!
//! ```text
//! byte 0   magic "NRUB", u16 version, u32 length of the metadata; all integers little-endian
//! byte 10  metadata, CBOR: {"tensors": {name: {dtype, shape, data_offsets: [start, end], ..}}, ..}
//!          zeros up to a multiple of 256
//!          data: offsets are relative to this place
//! ```
//!
//! Files may be damaged or hostile. Every length and offset is checked against the file before it is used. Tensors must not share
//! bytes, so values take at most twice the file's size (half precision becomes `f32`).

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
pub(crate) mod tests {
    use super::*;
    use ciborium::Value;

    /// A file by hand: every descriptor as given, then the data.
    pub(crate) fn file(descriptors: &[(&str, Value)], data: &[u8]) -> Vec<u8> {
        let text = |text: &str| Value::Text(text.into());
        let tensors = descriptors.iter().map(|(name, descriptor)| (text(name), descriptor.clone())).collect();
        let user = Value::Map(vec![(text("producer"), text("a test"))]);
        let metadata = Value::Map(vec![(text("tensors"), Value::Map(tensors)), (text("metadata"), user)]);
        let mut cbor = Vec::new();
        ciborium::into_writer(&metadata, &mut cbor).unwrap();
        with_metadata(&cbor, data)
    }

    fn with_metadata(cbor: &[u8], data: &[u8]) -> Vec<u8> {
        let mut bytes = b"NRUB\x01\x00".to_vec();
        bytes.extend((cbor.len() as u32).to_le_bytes());
        bytes.extend(cbor);
        bytes.resize(bytes.len().next_multiple_of(256), 0);
        bytes.extend(data);
        bytes
    }

    pub(crate) fn descriptor(dtype: &str, shape: &[u64], start: u64, end: u64) -> Value {
        let text = |text: &str| Value::Text(text.into());
        let list = |values: &[u64]| Value::Array(values.iter().map(|&value| value.into()).collect());
        Value::Map(vec![
            (text("dtype"), text(dtype)),
            (text("shape"), list(shape)),
            (text("data_offsets"), list(&[start, end])),
            (text("param_id"), 7.into()),
        ])
    }

    fn fault(bytes: &[u8]) -> TensorFault {
        match parse(bytes) {
            Err(BurnpackError::Tensor { fault, .. }) => fault,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_file_made_by_hand_gives_its_names_shapes_and_values() {
        // 1.5 and -2 as f32 (3fc00000, c0000000); then 1.5 as f16 (3e00) and bf16 (3fc0).
        let data = [0, 0, 0xc0, 0x3f, 0, 0, 0, 0xc0, 0x00, 0x3e, 0xc0, 0x3f];
        let descriptors = [
            ("b", descriptor("F32", &[2, 1], 0, 8)),
            ("a", descriptor("F16", &[], 8, 10)),
            ("c", descriptor("BF16", &[1], 10, 12)),
        ];
        let bytes = file(&descriptors, &data);
        let data_start = (bytes.len() - data.len()) as u64;
        let tensor = |name: &str, shape: &[usize], values: &[f32], at| StoredTensor {
            name: name.into(),
            shape: shape.into(),
            values: values.into(),
            offset: data_start + at,
        };
        let expected =
            [tensor("b", &[2, 1], &[1.5, -2.0], 0), tensor("a", &[], &[1.5], 8), tensor("c", &[1], &[1.5], 10)];
        assert_eq!(parse(&bytes).unwrap(), expected);
    }

    #[test]
    fn another_file_is_refused_at_its_first_bytes() {
        let good = file(&[], &[]);
        assert_eq!(parse(&good).unwrap(), []);
        assert!(matches!(parse(b"PK\x03\x04 and more"), Err(BurnpackError::Magic { found: [b'P', b'K', 3, 4] })));
        let mut newer = good.clone();
        newer[4] = 2;
        assert_eq!(parse(&newer), Err(BurnpackError::Version { found: 2 }));
        assert_eq!(parse(&newer).unwrap_err().to_string(), "byte 4: burnpack version 2; this program reads version 1");
        let mut long = good.clone();
        long[6..10].fill(0xff);
        let expected = BurnpackError::Truncated { length: good.len(), part: "the metadata", needed: 10 + 0xffff_ffff };
        assert_eq!(parse(&long), Err(expected));
        assert!(matches!(
            parse(&good[..9]),
            Err(BurnpackError::Truncated { length: 9, part: "the header", needed: 10 })
        ));
    }

    #[test]
    fn metadata_that_claim_absurd_lengths_are_refused_without_the_memory_for_them() {
        // {"tensors": a map of 2^62 entries}; an array of 2^62 lengths; a text of 2^62 bytes; arrays in arrays without end.
        let huge = [0x40, 0, 0, 0, 0, 0, 0, 0];
        let start = [&[0xa1, 0x67][..], b"tensors"].concat();
        let shape = [&start[..], &[0xa1, 0x61, b'a', 0xa1, 0x65], b"shape", &[0x9b], &huge].concat();
        for (cbor, expected) in [
            ([&start[..], &[0xbb], &huge].concat(), "middle of an item"),
            (shape.clone(), "middle of an item"),
            ([&shape[..], &[0; 20]].concat(), "at most 8 dimensions"),
            ([&start[..], &[0xa1, 0x7b], &huge].concat(), "middle of an item"),
            ([&[0xa1, 0x61, b'x'][..], &[0x81; 5000]].concat(), "nests more than 32 levels"),
            (vec![0x1c], "no CBOR"),
            (vec![0xa0], "missing field `tensors`"),
            ([&start[..], &[0xa0, 0x00]].concat(), "more bytes follow"),
        ] {
            match parse(&with_metadata(&cbor, &[])) {
                Err(BurnpackError::Metadata { offset, message }) => {
                    assert!(message.contains(expected), "{message} instead of {expected}");
                    assert!((10..=10 + cbor.len()).contains(&offset), "{offset}");
                }
                other => panic!("{expected}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_tensor_that_contradicts_the_file_is_refused() {
        let one = |descriptor: Value, data: &[u8]| file(&[("a", descriptor)], data);
        let range = |start, end, available| TensorFault::Range { start, end, available };
        assert_eq!(fault(&one(descriptor("F32", &[1], 0, 4), &[0; 3])), range(0, 4, 3));
        assert_eq!(fault(&one(descriptor("F32", &[1], 4, 0), &[0; 8])), range(4, 0, 8));
        assert_eq!(
            fault(&one(descriptor("F32", &[1], u64::MAX - 3, u64::MAX), &[0; 8])),
            range(u64::MAX - 3, u64::MAX, 8)
        );
        let length = |shape: &[u64], needed, found| TensorFault::Length { shape: shape.into(), needed, found };
        assert_eq!(fault(&one(descriptor("F32", &[2], 0, 4), &[0; 8])), length(&[2], 8, 4));
        let large = [1 << 40, 1 << 40];
        assert_eq!(fault(&one(descriptor("F32", &large, 0, 4), &[0; 8])), length(&large, u64::MAX, 4));
        assert_eq!(fault(&one(descriptor("I64", &[1], 0, 8), &[0; 8])), TensorFault::Dtype { found: "I64".into() });
    }

    #[test]
    fn quantised_numbers_are_refused_by_name() {
        let text = |text: &str| Value::Text(text.into());
        let Value::Map(mut entries) = descriptor("", &[1], 0, 4) else { unreachable!() };
        entries[0].1 = Value::Map(vec![(text("QFloat"), Value::Map(vec![(text("value"), text("Q8S"))]))]);
        let bytes = file(&[("a", Value::Map(entries))], &[0; 4]);
        assert_eq!(fault(&bytes), TensorFault::Dtype { found: "QFloat".into() });
    }

    #[test]
    fn tensors_that_share_bytes_or_a_name_are_refused() {
        let a = || ("a", descriptor("F32", &[2], 0, 8));
        let shared = file(&[a(), ("b", descriptor("F32", &[1], 4, 8))], &[0; 8]);
        assert_eq!(fault(&shared), TensorFault::Overlap { other: "a".into() });
        assert_eq!(fault(&file(&[a(), a()], &[0; 8])), TensorFault::Duplicate);
        // Neighbours share nothing, and neither does a tensor without values.
        let apart = [a(), ("b", descriptor("F32", &[1], 8, 12)), ("c", descriptor("F32", &[0], 8, 8))];
        assert_eq!(parse(&file(&apart, &[0; 12])).unwrap().len(), 3);
    }

    #[test]
    fn a_value_that_is_not_finite_is_refused_with_its_place() {
        let mut data = [0; 12];
        data[4..8].copy_from_slice(&f32::NAN.to_le_bytes());
        let bytes = file(&[("a", descriptor("F32", &[3], 0, 12))], &data);
        let expected = format!("byte {}: tensor `a`: value 1 is NaN", bytes.len() - 8);
        assert_eq!(parse(&bytes).unwrap_err().to_string(), expected);
    }
}
