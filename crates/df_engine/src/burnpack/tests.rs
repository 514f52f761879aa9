//! Files that are sound, damaged and hostile.

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
    let expected = [tensor("b", &[2, 1], &[1.5, -2.0], 0), tensor("a", &[], &[1.5], 8), tensor("c", &[1], &[1.5], 10)];
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
    assert!(matches!(parse(&good[..9]), Err(BurnpackError::Truncated { length: 9, part: "the header", needed: 10 })));
}

#[test]
fn metadata_with_extreme_lengths_are_refused_without_allocating_them() {
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
    assert_eq!(fault(&one(descriptor("F32", &[1], u64::MAX - 3, u64::MAX), &[0; 8])), range(u64::MAX - 3, u64::MAX, 8));
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
