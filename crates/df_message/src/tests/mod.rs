//! Extractor, encoder and binding together, on bytes written by hand. The byte writer here shares no code with the module.

mod frame_ids;
mod fuzzing;
mod reading;
mod writing;

use std::sync::Arc;

use super::*;

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

fn decode_error(text: &str, fields: &[&str], message: &Writer) -> (usize, DecodeError) {
    match extractor(text, fields).extract(&message.bytes).unwrap_err() {
        MessageError::Bytes { offset, error, .. } => (offset, error),
        other => panic!("{other}"),
    }
}
