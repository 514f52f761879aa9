//! Reads every number of a message of any type, to inspect a recording before a contract exists.
//!
//! Values are not checked: NaN and infinity are returned. Each scalar field and each element of a short array has its own
//! channel. The elements of a long array share one channel, and so do the structures of an array: `ranges[]`,
//! `points[].positions[]`.

mod build;
mod flatten;
mod inventory;

use crate::cdr::Cursor;
use crate::error::MessageError;
use crate::schema::Schema;
use build::Builder;
use flatten::flatten;
use inventory::{ArrayRecord, ChannelLabel, FieldNode, Inventory};

/// Reads every number of one message type.
pub struct Numbers {
    message_type: String,
    root: Vec<FieldNode>,
    inventory: Inventory,
    values: Vec<(u32, f64)>,
}

/// The numbers of one message.
pub struct Reading<'a> {
    /// Stamp of the header, nanoseconds. `None` if the type has no stamp or the stamp is 0.
    pub stamp_ns: Option<i64>,
    /// Pairs of channel index and value. [`Numbers::labels`] names the channels.
    pub values: &'a [(u32, f64)],
}

/// The lengths and element names of an array that occurred in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrayLengths {
    /// Field path with `[]` for the array, such as `ranges[]`.
    pub label: String,
    /// Fewest elements that occurred.
    pub min: u32,
    /// Most elements that occurred.
    pub max: u32,
    /// True if the type fixes the length.
    pub is_fixed: bool,
    /// True if the elements are numbers, false if they are strings or structures.
    pub of_numbers: bool,
    /// Names of the elements, from the array of strings in the same structure. Empty if the names vary or repeat.
    pub names: Vec<String>,
}

impl Numbers {
    /// A reader of one message type.
    ///
    /// # Errors
    /// [`MessageError::Schema`] if the type has more than 16384 fields, nested ones included.
    pub fn new(schema: &Schema) -> Result<Self, MessageError> {
        let mut builder = Builder::new(schema);
        let root = builder.structure(0, "", true)?;
        Ok(Self { message_type: schema.name(), root, inventory: builder.inventory, values: Vec::new() })
    }

    /// Decodes a serialized message.
    ///
    /// # Errors
    /// Truncated or malformed bytes.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Reading<'_>, MessageError> {
        self.values.clear();
        (self.inventory.stamp_ns, self.inventory.empty_arrays) = (None, 0);
        let decoded = Cursor::new(bytes).and_then(|mut cursor| {
            flatten(&mut self.root, &mut cursor, &mut self.inventory, &mut self.values)?;
            cursor.end(self.inventory.empty_arrays)
        });
        match decoded {
            Ok(()) => {
                Ok(Reading { stamp_ns: self.inventory.stamp_ns.filter(|stamp| *stamp != 0), values: &self.values })
            }
            Err(failure) => Err(failure.of(&self.message_type)),
        }
    }

    /// One label per channel that occurred, such as `pose.pose.position.x`, `position[name=elbow]` or `ranges[]`: where
    /// a label names one number, it is a valid field expression.
    pub fn labels(&self) -> Vec<String> {
        let label = |label: &ChannelLabel| match label {
            ChannelLabel::Plain(label) => label.clone(),
            ChannelLabel::All { array } => format!("{}[]", self.inventory.arrays[*array].label),
            ChannelLabel::Element { array, index } => {
                let array = &self.inventory.arrays[*array];
                let names = self.names_of(array);
                match (names.get(*index), array.names) {
                    (Some(name), Some(of)) => format!("{}[{}={name}]", array.label, self.inventory.arrays_name(of)),
                    _ => format!("{}[{index}]", array.label),
                }
            }
        };
        self.inventory.channels.iter().map(label).collect()
    }

    /// The arrays of numbers and structures that occurred.
    pub fn arrays(&self) -> Vec<ArrayLengths> {
        let occurred = self.inventory.arrays.iter().filter_map(|array| {
            let (min, max) = array.range?;
            let (label, names) = (format!("{}[]", array.label), self.names_of(array));
            Some(ArrayLengths { label, min, max, is_fixed: array.is_fixed, of_numbers: array.of_numbers, names })
        });
        occurred.collect()
    }

    /// The frame id of the first message whose frame id is not empty.
    pub fn frame_id(&self) -> Option<&str> {
        self.inventory.frame_id.as_deref()
    }

    /// The names of an array's elements, if all messages have the same names and no name repeats.
    fn names_of(&self, array: &ArrayRecord) -> Vec<String> {
        let Some((Some(names), true)) = array.names.map(|names| &self.inventory.names[names]) else {
            return Vec::new();
        };
        let fits = array.range.is_some_and(|(min, max)| min == max && max as usize == names.len());
        let differ = names.iter().enumerate().all(|(i, name)| !name.is_empty() && !names[..i].contains(name));
        if fits && differ { names.clone() } else { Vec::new() }
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
