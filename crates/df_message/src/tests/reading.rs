//! What is read from well-formed messages, and which fields and messages are refused.

use super::*;

#[test]
fn every_construct_is_read_in_both_byte_orders() {
    let text = "std_msgs/Header header\nbool flag\nstring<=5 word\nint16 small\nwstring wide\nfloat64[2] pair\n\
        int32[<=3] few\nfloat64[] empty\nuint8 after\nfloat32[] many\nThing[] things\nint64 big\nThing[2] two\nEmpty nothing\n\
        ===\nMSG: p/Thing\nuint8 id\nfloat64 x\nstring label\n===\nMSG: p/Empty\n";
    for big in [false, true] {
        let message = Writer::new(big)
            .header(-3, 500_000_000, "map")
            .u8(1)
            .string("hello")
            .i16(-2)
            .u32(2) // Two wide characters, four bytes each.
            .u32(104)
            .u32(105)
            .f64s(&[1.5, 2.5])
            .u32(2)
            .i32(7)
            .i32(8)
            .u32(0) // An empty float64[] has no padding after its length...
            .u8(9) // ...so this byte follows at once.
            .u32(3)
            .f32(0.5)
            .f32(1.5)
            .f32(2.5)
            .u32(2)
            .u8(1)
            .f64(10.0)
            .string("a")
            .u8(2)
            .f64(20.0)
            .string("")
            .i64(-(1 << 53))
            .u8(3)
            .f64(30.0)
            .string("xyz")
            .u8(4)
            .f64(40.0)
            .string("z")
            .u8(0);
        let fields = [
            "flag",
            "small",
            "pair",
            "few[1]",
            "after",
            "many[0:3:2]",
            "things[1].x",
            "big",
            "two.x",
            "two[0].id",
            "things[0:2].id",
            "header.stamp.sec",
            "small",
        ];
        let extractor = extractor(text, &fields);
        let sample = extractor.extract(&message.bytes).unwrap();
        let big = -9007199254740992.0;
        assert_eq!(
            sample.values,
            [1.0, -2.0, 1.5, 2.5, 8.0, 9.0, 0.5, 2.5, 20.0, big, 30.0, 40.0, 3.0, 1.0, 2.0, -3.0, -2.0]
        );
        // -3 s and 500 ms: -2.5 s.
        assert_eq!(sample.stamp_ns, Some(-2_500_000_000));
        assert_eq!(sample.frame_id.as_deref(), Some("map"));
        let labels = [
            "flag",
            "small",
            "pair[0]",
            "pair[1]",
            "few[1]",
            "after",
            "many[0]",
            "many[2]",
            "things[1].x",
            "big",
            "two[0].x",
            "two[1].x",
            "two[0].id",
            "things[0].id",
            "things[1].id",
            "header.stamp.sec",
            "small",
        ];
        assert_eq!(extractor.labels(), labels);
    }
}

#[test]
fn transforms_are_computed() {
    let text = "Q q\nQ[2] qs\n===\nMSG: p/Q\nfloat64 x\nfloat64 y\nfloat64 z\nfloat64 w\n";
    let (sin, cos) = (0.6f64.sin(), 0.6f64.cos());
    // A turn about z by 1.2 rad is (0, 0, sin 0.6, cos 0.6). Scaled by 3 it is the same turn.
    let message = Writer::new(false)
        .f64s(&[0.0, 0.0, sin, cos])
        .f64s(&[0.0, 0.0, 3.0 * sin, 3.0 * cos])
        .f64s(&[1.0, 0.0, 0.0, 0.0]);
    let fields = ["yaw(q)", "sin_cos(yaw(q))", "q.z", "yaw(qs)", "sin_cos(q.w)"];
    let got = values(text, &fields, &message);
    let expected = [1.2, 1.2f64.sin(), 1.2f64.cos(), sin, 1.2, 0.0, cos.sin(), cos.cos()];
    assert!(got.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-12), "{got:?}");
    let labels = ["yaw(q)", "sin(yaw(q))", "cos(yaw(q))", "q.z", "yaw(qs[0])", "yaw(qs[1])", "sin(q.w)", "cos(q.w)"];
    assert_eq!(extractor(text, &fields).labels(), labels);
    // The second of qs starts at byte 4 + 8 * 8 = 68.
    let none = Writer::new(false).f64s(&[0.0, 0.0, 0.0, 1.0]).f64s(&[0.0, 0.0, 0.0, 1.0]).f64s(&[1e-7, 0.0, 0.0, 0.0]);
    let (offset, error) = decode_error(text, &["yaw(qs)"], &none);
    assert_eq!(offset, 68);
    assert!(matches!(error, DecodeError::QuaternionNorm { field, got, .. } if field == "yaw(qs[1])" && got == 1e-7));
}

#[test]
fn selection_by_name_works_in_either_order() {
    let after = "float64[] position\nstring[] name\nuint8 last\n";
    let message = Writer::new(false).array(&[1.0, 2.0, 3.0]).strings(&["a", "elbow", "b"]).u8(7);
    assert_eq!(
        values(after, &["position[name=elbow]", "last", "position[name=b]", "position[0]"], &message),
        [2.0, 7.0, 3.0, 1.0]
    );
    let before =
        Writer::new(true).header(1, 0, "").strings(&["b", "elbow"]).array(&[1.0, 2.0]).array(&[3.0, 4.0]).array(&[]);
    let fields = ["velocity[name=elbow]", "position[name=b]", "position[name=elbow]"];
    assert_eq!(values(JOINTS, &fields, &before), [4.0, 1.0, 2.0]);
    let (_, missing) = decode_error(JOINTS, &["position[name=wrist]"], &before);
    assert_eq!(
        missing,
        DecodeError::NameMissing { field: "position[name=wrist]".into(), name: "wrist".into(), got: 2 }
    );
    // No effort is given, though there are names.
    let (_, short) = decode_error(JOINTS, &["effort[name=elbow]"], &before);
    assert_eq!(short, DecodeError::ArrayIndex { field: "effort[name=elbow]".into(), index: 1, got: 0 });
    let twice = Writer::new(false).array(&[1.0, 2.0]).strings(&["a", "a"]).u8(7);
    let (_, twice) = decode_error(after, &["position[name=a]"], &twice);
    let field = "position[name=a]".to_string();
    assert_eq!(twice, DecodeError::NameTwice { field, name: "a".into(), first: 0, second: 1 });
    // Structures are selected alike, at any level.
    let models = "Group[1] groups\nint16 end\n===\nMSG: p/Group\nModel[] model\nstring[] name\n===\nMSG: p/Model\nuint8 id\nstring text\nfloat64 x\n";
    let message = Writer::new(false).u32(2).u8(1).string("one").f64(1.0).u8(2).string("second").f64(2.0);
    let message = message.strings(&["m", "n"]).i16(5);
    assert_eq!(
        values(models, &["groups[0].model[name=n].x", "groups[0].model[name=m].id", "end"], &message),
        [2.0, 1.0, 5.0]
    );
}

#[test]
fn arrays_of_another_length_than_the_contract_says_are_refused() {
    let text = "float32[] ranges\n";
    let message = |n: u32| (0..n).fold(Writer::new(false).u32(n), |w, i| w.f32(i as f32));
    assert_eq!(values(text, &["ranges[0:6:2]"], &message(6)), [0.0, 2.0, 4.0]);
    assert_eq!(values(text, &["ranges[1:3 of 6]"], &message(6)), [1.0, 2.0]);
    for (field, n) in [("ranges[0:6:2]", 5), ("ranges[0:6:2]", 7), ("ranges[0:3 of 6]", 3), ("ranges[0 of 6]", 7)] {
        let expected = DecodeError::ArrayLength { field: "ranges".into(), expected: 6, got: n };
        assert_eq!(decode_error(text, &[field], &message(n)), (4, expected));
    }
    assert_eq!(values(text, &["ranges[5]"], &message(9)), [5.0]);
    let expected = DecodeError::ArrayIndex { field: "ranges".into(), index: 5, got: 5 };
    assert_eq!(decode_error(text, &["ranges[5]"], &message(5)), (4, expected));
    let two = Extractor::new(&schema(text), &["ranges[0:6]".into(), "ranges[0:5]".into()]).unwrap_err();
    assert!(two.to_string().contains("two lengths"), "{two}");
}

#[test]
fn bad_bytes_are_refused_with_type_offset_expected_and_got() {
    let text = "uint8 a\nfloat64 x\nbool b\nstring<=3 s\nint32[<=2] few\nint64 n\n";
    let start = || Writer::new(false).u8(1).f64(2.0);
    let whole = || start().u8(1).string("abc").u32(1).i32(5).i64(6);
    assert_eq!(values(text, &["x", "n", "few[0]"], &whole()), [2.0, 6.0, 5.0]);
    // x lies at 4 + 8 = 12 and needs 8 bytes, of which 3 are there.
    let mut cut = start();
    cut.bytes.truncate(15);
    assert_eq!(decode_error(text, &["x"], &cut), (12, DecodeError::Truncated { expected: 8, got: 3 }));
    // The whole message is walked, also where nothing is wanted: u8, padding and f64 are one run of 16.
    assert_eq!(decode_error(text, &["n"], &cut), (4, DecodeError::Truncated { expected: 16 + 1, got: 11 }));
    assert_eq!(decode_error(text, &["b"], &start().u8(2)), (20, DecodeError::Bool { got: 2 }));
    assert_eq!(
        decode_error(text, &["x"], &start().u8(1).string("abcd")),
        (24, DecodeError::AboveBound { expected: 4, got: 5 })
    );
    // Strings: length at 24, text to 32. The array's length at 32.
    let few = start().u8(1).string("abc").u32(3).i32(0).i32(0).i32(0).i64(0);
    assert_eq!(decode_error(text, &["x"], &few), (32, DecodeError::AboveBound { expected: 2, got: 3 }));
    let large = start().u8(1).string("abc").u32(1).i32(5).i64(-(1 << 53) - 1);
    assert_eq!(
        decode_error(text, &["n"], &large),
        (44, DecodeError::Inexact { field: "n".into(), got: -(1 << 53) - 1 })
    );
    for got in [f64::NAN, f64::INFINITY, -1e300] {
        let (offset, error) = decode_error(text, &["x"], &Writer::new(false).u8(1).f64(got));
        assert_eq!(offset, 12);
        assert!(
            matches!(&error, DecodeError::NotFinite { field, got: g } if field == "x" && g.to_bits() == got.to_bits()),
            "{error}"
        );
    }
    // Up to three bytes of padding at the end, no more.
    let mut padded = whole();
    padded.bytes.extend([0; 3]);
    assert_eq!(values(text, &["n"], &padded), [6.0]);
    padded.bytes.push(0);
    assert_eq!(decode_error(text, &["n"], &padded), (52, DecodeError::Trailing { expected: 3, got: 4 }));
    // After an empty array rclpy's serializer leaves garbage: bytes of JointState("a", [1.0], [], [2.0]) as seen from it.
    let mut excess = Writer::new(false).header(1, 0, "").strings(&["a"]).array(&[1.0]).array(&[]).array(&[2.0]);
    excess.bytes.extend([0x50; 8]);
    assert_eq!(values(JOINTS, &["effort[name=a]"], &excess), [2.0]);
    excess.bytes.extend([0x50; 4]);
    assert_eq!(decode_error(JOINTS, &["effort[0]"], &excess), (60, DecodeError::Trailing { expected: 3 + 8, got: 12 }));
    let error = extractor(text, &["x"]).extract(&cut.bytes).unwrap_err().to_string();
    assert_eq!(error, "p/msg/A, byte 12: truncated: expected 8 more bytes, got 3");
}

#[test]
fn a_length_that_the_bytes_do_not_justify_is_refused_at_once() {
    let hostile = Writer::new(false).u32(u32::MAX).u32(0);
    assert_eq!(
        decode_error("float64[] v\n", &["v[0]"], &hostile),
        (4, DecodeError::Truncated { expected: 8 * 0xffff_ffff, got: 4 })
    );
    assert_eq!(
        decode_error("string v\nuint8 a\n", &["a"], &hostile),
        (4, DecodeError::Truncated { expected: 0xffff_ffff, got: 4 })
    );
    // An empty structure takes its hidden byte: four billion of them need four billion bytes.
    let text = "E[] v\nuint8 a\n===\nMSG: p/E\n";
    assert_eq!(decode_error(text, &["a"], &hostile), (4, DecodeError::Truncated { expected: 0xffff_ffff, got: 4 }));
    // 2^32 - 1 structures of 2^32 - 1 numbers: the length saturates.
    let text = "E[4294967295] v\nuint8 a\n===\nMSG: p/E\nF[4294967295] f\n===\nMSG: p/F\nfloat64[4294967295] f\n";
    assert_eq!(decode_error(text, &["a"], &hostile), (4, DecodeError::Truncated { expected: u64::MAX, got: 8 }));
    let huge = extractor(text, &["a", "v[4294967294].f[7].f[9]"]).extract(&hostile.bytes).unwrap_err();
    assert!(huge.to_string().contains("truncated"), "{huge}");
}

#[test]
fn fields_that_a_type_lacks_are_refused_with_position_and_rule() {
    let text = "Header header\nstring s\nint32 n\nfloat64[] many\nfloat64[3] three\nstring[] names\nP p\n===\nMSG: p/P\nfloat64 x\n";
    for (field, at, rule) in [
        ("p.y", 2, "p/msg/P has no field `y`; it has x"),
        ("p", 0, "`p`: name one of its fields: x"),
        ("s", 0, "a string cannot be a channel"),
        ("names[0]", 0, "a string cannot be a channel"),
        ("n.x", 2, "has no fields"),
        ("n[0]", 0, "`n` is not an array"),
        ("many", 0, "array of varying length"),
        ("three[3]", 0, "has 3 elements, no index 3"),
        ("three[0:2]", 0, "has 3 elements, the expression states 2"),
        ("three[name=a]", 0, "no array of strings `name`"),
        ("many[s=a]", 0, "no array of strings `s`"),
        ("yaw(p)", 4, "floating-point fields x, y, z, w"),
    ] {
        match Extractor::new(&schema(text), &[field.to_string()]) {
            Err(MessageError::Expression { position, rule: got, .. }) => {
                assert!(position == at && got.contains(rule), "{field}: {position}: {got}");
            }
            other => panic!("{field}: {other:?}"),
        }
    }
    let huge = Extractor::new(&schema("float64[4294967295] v\n"), &["v".into()]).unwrap_err();
    assert!(huge.to_string().contains("at most 65536 channels"), "{huge}");
}
