//! Frame ids, and messages that are made of transforms.

use super::*;
use crate::{StampedTransform, transforms};

const POINT: &str = "std_msgs/Header header\nfloat64 x\n";

#[test]
fn another_frame_id_is_refused_with_both_names() {
    let message = |frame: &str| Writer::new(false).header(1, 0, frame).f64(2.5);
    let extractor = extractor(POINT, &["x"]).in_frame(Some("odom"));
    assert_eq!(extractor.extract(&message("odom").bytes).unwrap().values, [2.5]);
    for (frame, got) in [("map", "got `map`"), ("", "got ``"), ("/odom", "got `/odom`"), ("odom2", "got `odom2`")] {
        let error = extractor.extract(&message(frame).bytes).unwrap_err().to_string();
        // 4 bytes of encapsulation, 8 of the stamp, 4 of the string's length.
        assert_eq!(error, format!("p/msg/A, byte 16: header.frame_id: expected `odom`, {got}"));
    }
}

fn transform(writer: Writer, stamp: (i32, u32), parent: &str, child: &str, numbers: [f64; 7]) -> Writer {
    writer.header(stamp.0, stamp.1, parent).string(child).f64s(&numbers)
}

#[test]
fn a_list_of_transforms_is_read_in_both_byte_orders() {
    for big in [false, true] {
        let message = Writer::new(big).u32(2);
        let message = transform(message, (3, 500), "map", "odom", [1.0, 2.0, 3.0, 0.0, 0.0, 0.6, 0.8]);
        let message = transform(message, (-1, 0), "odometry", "b", [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        let read = transforms(&message.bytes).unwrap();
        let first = StampedTransform {
            stamp_ns: 3_000_000_500,
            parent: "map".into(),
            child: "odom".into(),
            translation_m: [1.0, 2.0, 3.0],
            rotation: [0.0, 0.0, 0.6, 0.8],
        };
        assert_eq!(read[0], first);
        assert_eq!((read[1].stamp_ns, read[1].parent.as_str(), read[1].rotation[3]), (-1_000_000_000, "odometry", 1.0));
        for length in 0..message.bytes.len() {
            assert!(transforms(&message.bytes[..length]).is_err(), "cut to {length} bytes");
        }
    }
    assert_eq!(transforms(&Writer::new(false).u32(0).bytes), Ok(vec![]));
    // A count that the bytes cannot hold allocates nothing.
    let error = transforms(&Writer::new(false).u32(u32::MAX).bytes).unwrap_err().to_string();
    assert!(error.starts_with("tf2_msgs/msg/TFMessage, byte 4: truncated"), "{error}");
}
