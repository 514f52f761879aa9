//! Random damage, random bytes, and random values there and back.

use proptest::prelude::*;

use super::*;

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
