//! Extractor, encoder and binding together, on bytes written by hand. The byte writer here shares no code with the room.

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::config::Config;

/// A writer of CDR in either byte order, independent of the code under test.
struct Writer {
    bytes: Vec<u8>,
    big: bool,
    /// What fills the gaps: garbage when reading is tested, since nobody may look at it.
    padding: u8,
}

impl Writer {
    fn new(big: bool) -> Self {
        Self { bytes: vec![0, if big { 0 } else { 1 }, 0, 0], big, padding: 0xCC }
    }

    fn raw(mut self, little: &[u8]) -> Self {
        while !(self.bytes.len() - 4).is_multiple_of(little.len()) {
            self.bytes.push(self.padding);
        }
        let mut bytes = little.to_vec();
        if self.big {
            bytes.reverse();
        }
        self.bytes.extend(bytes);
        self
    }

    fn u8(self, v: u8) -> Self {
        self.raw(&[v])
    }
    fn i16(self, v: i16) -> Self {
        self.raw(&v.to_le_bytes())
    }
    fn i32(self, v: i32) -> Self {
        self.raw(&v.to_le_bytes())
    }
    fn u32(self, v: u32) -> Self {
        self.raw(&v.to_le_bytes())
    }
    fn i64(self, v: i64) -> Self {
        self.raw(&v.to_le_bytes())
    }
    fn f32(self, v: f32) -> Self {
        self.raw(&v.to_le_bytes())
    }
    fn f64(self, v: f64) -> Self {
        self.raw(&v.to_le_bytes())
    }
    fn f64s(self, v: &[f64]) -> Self {
        v.iter().fold(self, |w, &v| w.f64(v))
    }
    fn string(self, v: &str) -> Self {
        let mut writer = self.u32(v.len() as u32 + 1);
        writer.bytes.extend(v.as_bytes());
        writer.bytes.push(0);
        writer
    }
    fn strings(self, v: &[&str]) -> Self {
        v.iter().fold(self.u32(v.len() as u32), |w, v| w.string(v))
    }
    fn array(self, v: &[f64]) -> Self {
        self.u32(v.len() as u32).f64s(v)
    }
    fn header(self, sec: i32, nanosec: u32, frame: &str) -> Self {
        self.i32(sec).u32(nanosec).string(frame)
    }
}

const HEADER: &str = "===\nMSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\nstring frame_id\n===\nMSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n";
const JOINTS: &str =
    "std_msgs/Header header\nstring[] name\nfloat64[] position\nfloat64[] velocity\nfloat64[] effort\n";

fn schema(text: &str) -> Arc<Schema> {
    SchemaDefinitions::new([("p/msg/A", format!("{text}\n{HEADER}"))]).schema("p/msg/A").unwrap()
}

fn extractor(text: &str, fields: &[&str]) -> Extractor {
    Extractor::new(&schema(text), &fields.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
}

fn values(text: &str, fields: &[&str], message: &Writer) -> Vec<f64> {
    extractor(text, fields).extract(&message.bytes).unwrap().values
}

fn fault(text: &str, fields: &[&str], message: &Writer) -> (usize, Fault) {
    match extractor(text, fields).extract(&message.bytes).unwrap_err() {
        MessageError::Bytes { offset, fault, .. } => (offset, fault),
        other => panic!("{other}"),
    }
}

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
    let (offset, fault) = fault(text, &["yaw(qs)"], &none);
    assert_eq!(offset, 68);
    assert!(matches!(fault, Fault::QuaternionNorm { field, got, .. } if field == "yaw(qs[1])" && got == 1e-7));
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
    let (_, missing) = fault(JOINTS, &["position[name=wrist]"], &before);
    assert_eq!(missing, Fault::NameMissing { field: "position[name=wrist]".into(), name: "wrist".into(), got: 2 });
    // No effort is given, though there are names.
    let (_, short) = fault(JOINTS, &["effort[name=elbow]"], &before);
    assert_eq!(short, Fault::ArrayIndex { field: "effort[name=elbow]".into(), index: 1, got: 0 });
    let twice = Writer::new(false).array(&[1.0, 2.0]).strings(&["a", "a"]).u8(7);
    let (_, twice) = fault(after, &["position[name=a]"], &twice);
    let field = "position[name=a]".to_string();
    assert_eq!(twice, Fault::NameTwice { field, name: "a".into(), first: 0, second: 1 });
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
        let expected = Fault::ArrayLength { field: "ranges".into(), expected: 6, got: n };
        assert_eq!(fault(text, &[field], &message(n)), (4, expected));
    }
    assert_eq!(values(text, &["ranges[5]"], &message(9)), [5.0]);
    let expected = Fault::ArrayIndex { field: "ranges".into(), index: 5, got: 5 };
    assert_eq!(fault(text, &["ranges[5]"], &message(5)), (4, expected));
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
    assert_eq!(fault(text, &["x"], &cut), (12, Fault::Truncated { expected: 8, got: 3 }));
    // The whole message is walked, also where nothing is wanted: u8, padding and f64 are one run of 16.
    assert_eq!(fault(text, &["n"], &cut), (4, Fault::Truncated { expected: 16 + 1, got: 11 }));
    assert_eq!(fault(text, &["b"], &start().u8(2)), (20, Fault::Bool { got: 2 }));
    assert_eq!(fault(text, &["x"], &start().u8(1).string("abcd")), (24, Fault::AboveBound { expected: 4, got: 5 }));
    // Strings: length at 24, text to 32. The array's length at 32.
    let few = start().u8(1).string("abc").u32(3).i32(0).i32(0).i32(0).i64(0);
    assert_eq!(fault(text, &["x"], &few), (32, Fault::AboveBound { expected: 2, got: 3 }));
    let large = start().u8(1).string("abc").u32(1).i32(5).i64(-(1 << 53) - 1);
    assert_eq!(fault(text, &["n"], &large), (44, Fault::Inexact { field: "n".into(), got: -(1 << 53) - 1 }));
    for got in [f64::NAN, f64::INFINITY, -1e300] {
        let (offset, fault) = fault(text, &["x"], &Writer::new(false).u8(1).f64(got));
        assert_eq!(offset, 12);
        assert!(
            matches!(&fault, Fault::NotFinite { field, got: g } if field == "x" && g.to_bits() == got.to_bits()),
            "{fault}"
        );
    }
    // Up to three bytes of padding at the end, no more.
    let mut padded = whole();
    padded.bytes.extend([0; 3]);
    assert_eq!(values(text, &["n"], &padded), [6.0]);
    padded.bytes.push(0);
    assert_eq!(fault(text, &["n"], &padded), (52, Fault::Trailing { expected: 3, got: 4 }));
    // After an empty array rclpy's serializer leaves garbage: bytes of JointState("a", [1.0], [], [2.0]) as seen from it.
    let mut excess = Writer::new(false).header(1, 0, "").strings(&["a"]).array(&[1.0]).array(&[]).array(&[2.0]);
    excess.bytes.extend([0x50; 8]);
    assert_eq!(values(JOINTS, &["effort[name=a]"], &excess), [2.0]);
    excess.bytes.extend([0x50; 4]);
    assert_eq!(fault(JOINTS, &["effort[0]"], &excess), (60, Fault::Trailing { expected: 3 + 8, got: 12 }));
    let error = extractor(text, &["x"]).extract(&cut.bytes).unwrap_err().to_string();
    assert_eq!(error, "p/msg/A, byte 12: truncated: expected 8 more bytes, got 3");
}

#[test]
fn a_length_that_the_bytes_do_not_justify_is_refused_at_once() {
    let hostile = Writer::new(false).u32(u32::MAX).u32(0);
    assert_eq!(
        fault("float64[] v\n", &["v[0]"], &hostile),
        (4, Fault::Truncated { expected: 8 * 0xffff_ffff, got: 4 })
    );
    assert_eq!(fault("string v\nuint8 a\n", &["a"], &hostile), (4, Fault::Truncated { expected: 0xffff_ffff, got: 4 }));
    // An empty structure takes its hidden byte: four billion of them need four billion bytes.
    let text = "E[] v\nuint8 a\n===\nMSG: p/E\n";
    assert_eq!(fault(text, &["a"], &hostile), (4, Fault::Truncated { expected: 0xffff_ffff, got: 4 }));
    // 2^32 - 1 structures of 2^32 - 1 numbers: the length saturates.
    let text = "E[4294967295] v\nuint8 a\n===\nMSG: p/E\nF[4294967295] f\n===\nMSG: p/F\nfloat64[4294967295] f\n";
    assert_eq!(fault(text, &["a"], &hostile), (4, Fault::Truncated { expected: u64::MAX, got: 8 }));
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
fn what_cannot_be_encoded_is_refused() {
    let text =
        "Header header\nuint8 id\nint64 n\nuint64 u\nfloat32 f\nfloat64[] many\nfloat64[3] v\nstring[] name\nbool b\n";
    for (field, rule) in [
        ("sin_cos(f)", "a transform cannot be written"),
        ("v[0:3]", "this names 3"),
        ("v", "this names 3"),
        ("many[0]", "arrays of fixed length"),
        ("many[name=a]", "arrays of fixed length"),
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

const POINT_MAZE: &str = include_str!("../../config/point_maze.yaml");

/// The types of the shipped configuration, cut to what it needs.
fn maze_definitions() -> SchemaDefinitions {
    let vector = "===\nMSG: p/V\nfloat64 x\nfloat64 y\nfloat64 z\n";
    let odometry = format!(
        "std_msgs/Header header\nPC pose\nTC twist\n{HEADER}===\nMSG: nav_msgs/PC\nPose pose\n===\nMSG: nav_msgs/Pose\np/V position\n\
         ===\nMSG: nav_msgs/TC\nTwist twist\n===\nMSG: nav_msgs/Twist\np/V linear\n{vector}"
    );
    let wrench =
        format!("std_msgs/Header header\nW wrench\n{HEADER}===\nMSG: geometry_msgs/W\np/V force\np/V torque\n{vector}");
    let pose =
        format!("std_msgs/Header header\nPose pose\n{HEADER}===\nMSG: geometry_msgs/Pose\np/V position\n{vector}");
    SchemaDefinitions::new([
        ("nav_msgs/msg/Odometry", odometry),
        ("geometry_msgs/msg/WrenchStamped", wrench),
        ("geometry_msgs/msg/PoseStamped", pose),
    ])
}

fn refusal(from: &str, to: &str) -> String {
    assert!(POINT_MAZE.contains(from), "the shipped configuration no longer has `{from}`");
    let config = Config::parse(&POINT_MAZE.replacen(from, to, 1), Path::new("c.yaml")).unwrap();
    bind(&config, &maze_definitions()).err().unwrap().to_string()
}

#[test]
fn the_shipped_contract_binds() {
    let config = Config::parse(POINT_MAZE, Path::new("c.yaml")).unwrap();
    let bound = bind(&config, &maze_definitions()).unwrap();
    let modalities = bound.modalities(&config);
    let names: Vec<&str> = modalities.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["action", "position", "velocity"]);
    assert_eq!(modalities[0].1, ["wrench.force.x", "wrench.force.y"]);
    assert_eq!(modalities[1].1, ["pose.pose.position.x", "pose.pose.position.y"]);
    let bytes = bound.action_encoder.encode(5, "base_link", &[1.5, -2.5]).unwrap();
    assert_eq!(bound.action.extract(&bytes).unwrap().values, [1.5, -2.5]);
}

#[test]
fn refusals_of_the_contract_name_key_line_value_and_rule() {
    let line = 1 + POINT_MAZE.lines().position(|l| l.contains("fields: [twist")).unwrap();
    let lacking = refusal("twist.twist.linear.y]", "twist.twist.linear.yy]");
    assert!(
        lacking.starts_with(&format!("c.yaml:{line}: observations.velocity.fields[1]: twist.twist.linear.yy: ")),
        "{lacking}"
    );
    assert!(lacking.contains("no field `yy`; it has x, y, z"), "{lacking}");
    let line = 1 + POINT_MAZE.lines().position(|l| l.contains("type: nav_msgs/msg/Odometry")).unwrap();
    let unknown = refusal("type: nav_msgs/msg/Odometry", "type: nav_msgs/msg/Odo");
    assert!(
        unknown.starts_with(&format!("c.yaml:{line}: observations.position.type: nav_msgs/msg/Odo: ")),
        "{unknown}"
    );
    let action = refusal("[wrench.force.x, wrench.force.y]", "[wrench.force.x, sin_cos(wrench.force.y)]");
    assert!(action.contains("action.fields[1]") && action.contains("transform cannot be written"), "{action}");
    let goal = refusal("[pose.position.x, pose.position.y]", "[pose.position.x]");
    assert!(goal.contains("goal.fields") && goal.contains("must give 2 channels") && goal.contains("got 1"), "{goal}");
}

/// A message of every construct, and the fields that walk over all of it.
fn varied(numbers: &[f64], names: &[String], big: bool) -> (Extractor, Vec<u8>) {
    let text = "std_msgs/Header header\nfloat64[] position\nstring[] name\nThing[] things\nThing[2] two\nwstring w\nuint8[] bytes\n\
        ===\nMSG: p/Thing\nuint8 id\nstring label\nfloat64[3] v\n";
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let thing = |w: Writer, i: u8| w.u8(i).string("label").f64s(&[1.0, 2.0, 3.0]);
    let mut writer = Writer::new(big).header(1, 2, "map").array(numbers).strings(&names).u32(2);
    for i in 0..4 {
        writer = thing(writer, i);
    }
    writer = writer.u32(1).u32(65).u32(3).u8(1).u8(2).u8(3);
    let fields = ["position[name=elbow]", "things[1].v", "two[1].id", "bytes[0:3]", "position[0]"];
    (extractor(text, &fields), writer.bytes)
}

proptest! {
    #[test]
    fn damaged_messages_never_panic(
        numbers in prop::collection::vec(-1e3f64..1e3, 1..6),
        big: bool,
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let names: Vec<String> = (0..numbers.len()).map(|i| if i == 0 { "elbow".into() } else { format!("j{i}") }).collect();
        let (extractor, mut bytes) = varied(&numbers, &names, big);
        prop_assert_eq!(extractor.extract(&bytes).unwrap().values[0], numbers[0]);
        let length = cut.map_or(bytes.len(), |cut| cut.index(bytes.len()));
        for (place, value) in hits {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        bytes.truncate(length);
        if let Ok(sample) = extractor.extract(&bytes) {
            prop_assert!(sample.values.iter().all(|v| v.is_finite()));
        }
    }

    #[test]
    fn every_cut_of_a_message_is_refused(big: bool, cut in any::<prop::sample::Index>()) {
        let (extractor, bytes) = varied(&[1.0, 2.0], &["elbow".into(), "b".into()], big);
        let length = cut.index(bytes.len());
        prop_assert!(extractor.extract(&bytes[..length]).is_err());
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (extractor, _) = varied(&[1.0], &["elbow".into()], false);
        let _ = extractor.extract(&[&[0, 1, 0, 0], &bytes[..]].concat());
        let _ = extractor.extract(&bytes);
    }

    #[test]
    fn what_is_encoded_is_extracted(values in prop::collection::vec(-3e38f64..3e38, 3), stamp in 1i64..i64::from(i32::MAX) * 1_000_000_000, frame in "[a-zö/_]{0,12}") {
        let text = "Header header\nfloat64 a\nstring s\nfloat64[2] b\n";
        let fields = ["a", "b[0]", "b[1]"].map(String::from);
        let bytes = Encoder::new(&schema(text), &fields).unwrap().encode(stamp, &frame, &values).unwrap();
        let sample = Extractor::new(&schema(text), &fields).unwrap().extract(&bytes).unwrap();
        prop_assert_eq!(sample, Sample { stamp_ns: Some(stamp), frame_id: Some(frame), values });
    }

    #[test]
    fn malformed_definitions_never_panic(text in "[a-zA-Z0-9 \\[\\]<=#/\n]{0,80}") {
        let _ = SchemaDefinitions::new([("p/msg/A", &text)]).schema("p/msg/A");
    }
}
