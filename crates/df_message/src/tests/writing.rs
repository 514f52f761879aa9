//! What is written, what is refused to be written, and the binding of the shipped contract.

use super::*;

#[test]
fn encoding_sets_fields_and_header_and_leaves_the_rest_zero() {
    let text = "Header header\nuint8 id\nfloat64[3] v\nstring s\nwstring w\nint16[] many\nbool b\nint64 n\nfloat32 f\nP[2] p\n===\nMSG: p/P\nstring s\nfloat64 x\n";
    let fields = ["id", "v[1]", "b", "n", "f", "p[1].x"].map(String::from);
    let encoder = Encoder::new(&schema(text), &fields).unwrap();
    assert_eq!(encoder.labels(), fields);
    let bytes = encoder.encode(-1, "base", &[2.6, 3.5, 1.0, -4.0, 0.1, 6.0]).unwrap();
    // -1 ns is -1 s and 999 999 999 ns; 2.6 is nearest to 3.
    let expected = Writer { padding: 0, ..Writer::new(false) }
        .header(-1, 999_999_999, "base")
        .u8(3)
        .f64s(&[0.0, 3.5, 0.0])
        .string("")
        .u32(0)
        .u32(0);
    let expected = expected.u8(1).i64(-4).f32(0.1).string("").f64(0.0).string("").f64(6.0);
    assert_eq!(bytes, expected.bytes);
    let all = extractor(text, &["id", "v", "b", "n", "f", "p.x"]).extract(&bytes).unwrap();
    assert_eq!(all.values, [3.0, 0.0, 3.5, 0.0, 1.0, -4.0, f64::from(0.1f32), 0.0, 6.0]);
    assert_eq!((all.stamp_ns, all.frame_id.as_deref()), (Some(-1), Some("base")));
}

#[test]
fn arrays_of_varying_length_get_what_the_fields_need() {
    let text = "string[] names\nfloat64[] data\nP[] points\nint8[] rest\n===\nMSG: p/P\nfloat64[] positions\nint8 x\n";
    let fields = ["data[0]", "data[2]", "points[1].positions[1 of 3]"].map(String::from);
    let encoder = Encoder::new(&schema(text), &fields).unwrap();
    let bytes = encoder.encode(0, "", &[1.0, 2.0, 3.0]).unwrap();
    // Three numbers, the second of them not named; two points: the first of no positions, the second of three as stated.
    let expected = Writer { padding: 0, ..Writer::new(false) }.u32(0).u32(3).f64s(&[1.0, 0.0, 2.0]).u32(2);
    let expected = expected.u32(0).u8(0).u32(3).f64s(&[0.0, 3.0, 0.0]).u8(0).u32(0);
    assert_eq!(bytes, expected.bytes);
    let read = extractor(text, &["data[0:3]", "points[1].positions[0:3]"]).extract(&bytes).unwrap();
    assert_eq!(read.values, [1.0, 0.0, 2.0, 0.0, 3.0, 0.0]);
}

#[test]
fn what_cannot_be_encoded_is_refused() {
    let text =
        "Header header\nuint8 id\nint64 n\nuint64 u\nfloat32 f\nfloat64[] many\nfloat64[3] v\nstring[] name\nbool b\n";
    for (field, rule) in [
        ("sin_cos(f)", "a transform cannot be written"),
        ("v[0:3]", "this names 3"),
        ("v", "this names 3"),
        ("many[name=a]", "named by its number"),
        ("many[4000000000]", "too large"),
        ("x", "has no field"),
    ] {
        let error = Encoder::new(&schema(text), &[field.to_string()]).unwrap_err().to_string();
        assert!(error.contains(rule), "{field}: {error}");
    }
    let twice = Encoder::new(&schema(text), &["v[1]".into(), "v[1 of 3]".into()]).unwrap_err().to_string();
    assert!(twice.contains("written twice"), "{twice}");
    let value =
        |field: &str, value: f64| Encoder::new(&schema(text), &[field.to_string()]).unwrap().encode(0, "", &[value]);
    for (field, good, bad) in [
        ("id", 255.4, 255.5),
        ("id", -0.4, -0.6),
        ("n", -9223372036854775808.0, 9223372036854775808.0),
        ("u", 18446744073709549568.0, 18446744073709551616.0),
        ("f", 3.4e38, 3.5e38),
        ("b", 0.9, 2.0),
        ("v[0]", 1e300, f64::NAN),
    ] {
        assert!(value(field, good).is_ok(), "{field} = {good}");
        assert!(matches!(value(field, bad), Err(MessageError::Value { .. })), "{field} = {bad}");
    }
    let encoder = Encoder::new(&schema(text), &["id".into()]).unwrap();
    assert!(matches!(encoder.encode(0, "", &[]), Err(MessageError::ValueCount { expected: 1, got: 0, .. })));
    assert!(matches!(encoder.encode(0, "a\0b", &[0.0]), Err(MessageError::Header { .. })));
    assert!(matches!(encoder.encode(i64::MAX, "", &[0.0]), Err(MessageError::Header { .. })));
    let huge = Encoder::new(&schema("S[4294967295] v\n===\nMSG: p/S\nstring s\n"), &[]).unwrap_err().to_string();
    assert!(huge.contains("too large"), "{huge}");
}
