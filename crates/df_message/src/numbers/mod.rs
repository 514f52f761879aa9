//! Every number of a message, whatever its type: for looking at a recording before there is a contract. Values are not judged.
//!
//! A number has a channel; so has each element of a short array. The elements of a long array share one, as do those of all
//! structures of an array: `ranges[]`, `points[].positions[]`.

mod build;
mod walk;

use super::MessageError;
use super::cdr::Cursor;
use super::error::Damage;
use super::schema::{Scalar, Schema};
use build::Builder;
use walk::walk;

/// Longer arrays have one channel for all elements.
pub const MAX_ELEMENTS: usize = 16;

/// The numbers of one message type.
pub struct Numbers {
    message_type: String,
    root: Vec<Node>,
    found: Found,
    values: Vec<(u32, f64)>,
}

/// What one message says.
pub struct Reading<'a> {
    /// Nanoseconds; `None` where the type has no stamp or it is 0.
    pub stamp_ns: Option<i64>,
    /// Channel and value.
    pub values: &'a [(u32, f64)],
}

/// An array that has been met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrayLengths {
    /// As in `ranges[]`.
    pub label: String,
    pub min: u32,
    pub max: u32,
    /// Is its length part of the type?
    pub is_fixed: bool,
    /// Its elements are numbers (and not structures).
    pub of_numbers: bool,
    /// Names of the elements, from the array of strings beside it.
    pub names: Vec<String>,
}

/// What is learnt while messages are read.
#[derive(Default)]
struct Found {
    /// One per channel: the label, or the array and the element.
    channels: Vec<Label>,
    arrays: Vec<Met>,
    /// Arrays of strings: what the first one held, and whether all were alike.
    names: Vec<(Option<Vec<String>>, bool)>,
    stamp_ns: Option<i64>,
    frame_id: Option<String>,
    empty_arrays: usize,
}

enum Label {
    Plain(String),
    Element { array: usize, index: usize },
    All { array: usize },
}

struct Met {
    label: String,
    is_fixed: bool,
    of_numbers: bool,
    /// Least and most elements; `None`: not met yet.
    range: Option<(u32, u32)>,
    names: Option<usize>,
}

enum Node {
    Number(Scalar, u32),
    /// Seconds and nanoseconds as one number of seconds.
    Duration(u32),
    /// A time; is it the stamp of the message?
    Time(bool),
    FrameId(Option<u32>),
    String(Option<u32>),
    WideString(Option<u32>),
    Array {
        array: usize,
        count: Count,
        element: Element,
    },
}

#[derive(Clone, Copy)]
enum Count {
    Fixed(u32),
    Dynamic(Option<u32>),
}

enum Element {
    Numbers(Scalar, Channels),
    Strings { bound: Option<u32>, names: usize },
    WideStrings(Option<u32>),
    Structure(Vec<Node>),
}

enum Channels {
    /// No element has been met.
    Unknown,
    Each(Vec<u32>),
    All(u32),
}

impl Numbers {
    /// # Errors
    /// A type of absurdly many fields.
    pub fn new(schema: &Schema) -> Result<Self, MessageError> {
        let mut builder = Builder::new(schema);
        let root = builder.structure(0, "", true)?;
        Ok(Self { message_type: schema.name(), root, found: builder.found, values: Vec::new() })
    }

    /// Decodes a serialized message.
    ///
    /// # Errors
    /// Truncated or malformed bytes.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Reading<'_>, MessageError> {
        self.values.clear();
        (self.found.stamp_ns, self.found.empty_arrays) = (None, 0);
        let walked = Cursor::new(bytes).and_then(|mut cursor| {
            walk(&mut self.root, &mut cursor, &mut self.found, &mut self.values)?;
            cursor.end(self.found.empty_arrays)
        });
        match walked {
            Ok(()) => Ok(Reading { stamp_ns: self.found.stamp_ns.filter(|stamp| *stamp != 0), values: &self.values }),
            Err(Damage { offset, fault }) => {
                Err(MessageError::Bytes { message_type: self.message_type.clone(), offset, fault })
            }
        }
    }

    /// One label per channel that has been met, such as `pose.pose.position.x`, `position[name=elbow]` or `ranges[]`: where
    /// one names a number, a contract may name it so, give or take the length of an array.
    pub fn labels(&self) -> Vec<String> {
        let label = |label: &Label| match label {
            Label::Plain(label) => label.clone(),
            Label::All { array } => format!("{}[]", self.found.arrays[*array].label),
            Label::Element { array, index } => {
                let array = &self.found.arrays[*array];
                let names = self.names_of(array);
                match (names.get(*index), array.names) {
                    (Some(name), Some(of)) => format!("{}[{}={name}]", array.label, self.found.arrays_name(of)),
                    _ => format!("{}[{index}]", array.label),
                }
            }
        };
        self.found.channels.iter().map(label).collect()
    }

    /// The arrays of numbers and structures that have been met.
    pub fn arrays(&self) -> Vec<ArrayLengths> {
        let met = self.found.arrays.iter().filter_map(|array| {
            let (min, max) = array.range?;
            let (label, names) = (format!("{}[]", array.label), self.names_of(array));
            Some(ArrayLengths { label, min, max, is_fixed: array.is_fixed, of_numbers: array.of_numbers, names })
        });
        met.collect()
    }

    /// The frame id of the first message that has one.
    pub fn frame_id(&self) -> Option<&str> {
        self.found.frame_id.as_deref()
    }

    /// The names of an array's elements, where they were the same throughout and tell the elements apart.
    fn names_of(&self, array: &Met) -> Vec<String> {
        let Some((Some(names), true)) = array.names.map(|names| &self.found.names[names]) else { return Vec::new() };
        let fits = array.range.is_some_and(|(min, max)| min == max && max as usize == names.len());
        let differ = names.iter().enumerate().all(|(i, name)| !name.is_empty() && !names[..i].contains(name));
        if fits && differ { names.clone() } else { Vec::new() }
    }
}

impl Found {
    fn channel(&mut self, label: Label) -> u32 {
        self.channels.push(label);
        (self.channels.len() - 1) as u32
    }

    /// The field of the array of strings of this number.
    fn arrays_name(&self, names: usize) -> String {
        let strings = self.arrays.iter().filter(|array| array.names == Some(names) && !array.of_numbers);
        strings.map(|array| array.label.rsplit('.').next().unwrap_or_default().to_string()).next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Definitions, SchemaDefinitions};

    fn little(parts: &[&[u8]]) -> Vec<u8> {
        [&[0u8, 1, 0, 0][..], &parts.concat()].concat()
    }

    #[test]
    fn every_number_has_a_channel_and_short_arrays_one_for_each_element() {
        let text = "std_msgs/Header header\nstring[] name\nfloat64[] position\nfloat32[3] axis\nuint8[20] long\nP[] points\n\
            bool flag\nbuiltin_interfaces/Duration wait\n===\nMSG: p/P\nint8 x\nint8[] many\n===\n\
            MSG: builtin_interfaces/Duration\nint32 sec\nuint32 nanosec\n===\nMSG: std_msgs/Header\n\
            builtin_interfaces/Time stamp\nstring frame_id\n===\nMSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n";
        let schema = SchemaDefinitions::new([("p/msg/A", text)]).schema("p/msg/A").unwrap();
        let mut numbers = Numbers::new(&schema).unwrap();
        let message = little(&[
            // Stamp 3 s and 5 ns, frame id "map" with its terminator: 16 bytes.
            &3i32.to_le_bytes(),
            &5u32.to_le_bytes(),
            &4u32.to_le_bytes(),
            b"map\0",
            // Two names of 4 bytes: 4 + 2 (4 + 4) = 20, to byte 36.
            &2u32.to_le_bytes(),
            &4u32.to_le_bytes(),
            b"one\0",
            &4u32.to_le_bytes(),
            b"two\0",
            // Two positions: the length to byte 40, which is aligned.
            &2u32.to_le_bytes(),
            &1.5f64.to_le_bytes(),
            &f64::NAN.to_le_bytes(),
            // The axis to 68, the bytes to 88.
            &1f32.to_le_bytes(),
            &2f32.to_le_bytes(),
            &3f32.to_le_bytes(),
            &[7; 20],
            // Two points: x, padding to the length of `many`, its elements: 92; 93, 96, 100, 102; 103, 104, 108; then the
            // flag at 108 and the duration at 112.
            &2u32.to_le_bytes(),
            &[1, 0, 0, 0],
            &2u32.to_le_bytes(),
            &[10, 20],
            &[2, 0],
            &0u32.to_le_bytes(),
            &[1, 0, 0, 0],
            &1i32.to_le_bytes(),
            &500_000_000u32.to_le_bytes(),
        ]);
        let reading = numbers.read(&message).unwrap();
        assert_eq!(reading.stamp_ns, Some(3_000_000_005));
        let values: Vec<(u32, f64)> = reading.values.to_vec();
        let labels = numbers.labels();
        let of = |label: &str| -> Vec<f64> {
            let channel = labels.iter().position(|known| known == label).unwrap_or_else(|| panic!("{labels:?}")) as u32;
            values.iter().filter(|(of, _)| *of == channel).map(|(_, value)| *value).collect()
        };
        assert_eq!(of("position[name=one]"), [1.5]);
        assert!(of("position[name=two]")[0].is_nan());
        assert_eq!([of("axis[0]"), of("axis[2]")], [[1.0], [3.0]]);
        assert_eq!(of("long[]"), [7.0; 20]);
        assert_eq!(of("points[].x"), [1.0, 2.0]);
        assert_eq!([of("points[].many[0]"), of("points[].many[1]")], [[10.0], [20.0]]);
        assert_eq!([of("flag"), of("wait")], [[1.0], [1.5]]);
        assert_eq!(numbers.frame_id(), Some("map"));
        let many = numbers.arrays().into_iter().find(|array| array.label == "points[].many[]").unwrap();
        assert_eq!((many.min, many.max, many.is_fixed, many.of_numbers), (0, 2, false, true));
        let position = numbers.arrays().into_iter().find(|array| array.label == "position[]").unwrap();
        assert_eq!(position.names, ["one", "two"]);
        for length in 0..message.len() - 4 {
            assert!(numbers.read(&message[..length]).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn a_type_that_nests_without_end_is_refused() {
        let types: Vec<String> = (0..30).map(|i| format!("===\nMSG: p/T{i}\nT{} a\nT{} b\n", i + 1, i + 1)).collect();
        let text = format!("T0 a\n{}===\nMSG: p/T30\nint8 x\n", types.concat());
        let schema = SchemaDefinitions::new([("p/msg/A", text)]).schema("p/msg/A").unwrap();
        assert!(Numbers::new(&schema).err().unwrap().to_string().contains("too many fields"));
    }
}
