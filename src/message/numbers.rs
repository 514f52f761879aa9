//! Every number of a message, whatever its type: for looking at a recording before there is a contract. Values are not judged.
//!
//! A number has a channel; so has each element of a short array. The elements of a long array share one, as do those of all
//! structures of an array: `ranges[]`, `points[].positions[]`.

use super::MessageError;
use super::cdr::Cursor;
use super::error::{Damage, Fault};
use super::schema::{Kind, Member, Scalar, Schema, Shape};

/// Longer arrays have one channel for all elements.
pub const ELEMENTS_MAX: usize = 16;
/// Most steps over one message type: nested types can be many.
const NODES_MAX: usize = 1 << 14;

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
    pub least: u32,
    pub most: u32,
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
        let mut builder = Builder { schema, found: Found::default(), nodes: 0 };
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
            let (least, most) = array.range?;
            let (label, names) = (format!("{}[]", array.label), self.names_of(array));
            Some(ArrayLengths { label, least, most, is_fixed: array.is_fixed, of_numbers: array.of_numbers, names })
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
        let fits = array.range.is_some_and(|(least, most)| least == most && most as usize == names.len());
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

struct Builder<'a> {
    schema: &'a Schema,
    found: Found,
    nodes: usize,
}

impl Builder<'_> {
    fn structure(&mut self, structure: usize, prefix: &str, is_top: bool) -> Result<Vec<Node>, MessageError> {
        let members = &self.schema.structures[structure].members;
        // The first array of strings names the elements of those beside it.
        let is_strings = |member: &&Member| matches!(member.kind, Kind::String { .. }) && member.shape != Shape::One;
        let names = members.iter().find(is_strings).map(|_| {
            self.found.names.push((None, true));
            self.found.names.len() - 1
        });
        let mut nodes = Vec::new();
        for member in members {
            self.nodes += 1;
            if self.nodes > NODES_MAX {
                let rule = "the type has too many fields to look at";
                return Err(MessageError::Schema { message_type: self.schema.name(), rule });
            }
            let label = if prefix.is_empty() { member.name.clone() } else { format!("{prefix}.{}", member.name) };
            let count = match member.shape {
                Shape::One => {
                    self.one(member, label, is_top, &mut nodes)?;
                    continue;
                }
                Shape::Fixed(count) => Count::Fixed(count),
                Shape::Dynamic(bound) => Count::Dynamic(bound),
            };
            let array = self.found.arrays.len();
            self.found.arrays.push(Met {
                label: label.clone(),
                is_fixed: matches!(count, Count::Fixed(_)),
                of_numbers: matches!(member.kind, Kind::Scalar(_)),
                range: None,
                names: names.filter(|_| !matches!(member.kind, Kind::Structure(_) | Kind::WString { .. })),
            });
            let element = match member.kind {
                Kind::Scalar(scalar) => Element::Numbers(scalar, Channels::Unknown),
                Kind::String { bound } => Element::Strings { bound, names: names.unwrap_or(0) },
                Kind::WString { bound } => Element::WideStrings(bound),
                Kind::Structure(inner) => Element::Structure(self.structure(inner, &format!("{label}[]"), false)?),
            };
            nodes.push(Node::Array { array, count, element });
        }
        Ok(nodes)
    }

    fn one(&mut self, member: &Member, label: String, is_top: bool, nodes: &mut Vec<Node>) -> Result<(), MessageError> {
        let inner = match member.kind {
            Kind::Scalar(scalar) => {
                let channel = self.found.channel(Label::Plain(label));
                nodes.push(Node::Number(scalar, channel));
                return Ok(());
            }
            Kind::String { bound } => {
                nodes.push(if label == "header.frame_id" { Node::FrameId(bound) } else { Node::String(bound) });
                return Ok(());
            }
            Kind::WString { bound } => {
                nodes.push(Node::WideString(bound));
                return Ok(());
            }
            Kind::Structure(inner) => inner,
        };
        match self.schema.structures[inner].name.to_string().as_str() {
            "builtin_interfaces/msg/Time" => {
                nodes.push(Node::Time(label == "header.stamp" || (is_top && label == "stamp")));
            }
            "builtin_interfaces/msg/Duration" => {
                let channel = self.found.channel(Label::Plain(label));
                nodes.push(Node::Duration(channel));
            }
            _ => nodes.extend(self.structure(inner, &label, false)?),
        }
        Ok(())
    }
}

type Values = Vec<(u32, f64)>;

fn walk(nodes: &mut [Node], cursor: &mut Cursor, found: &mut Found, values: &mut Values) -> Result<(), Damage> {
    for node in nodes {
        match node {
            Node::Number(scalar, channel) => values.push((*channel, number(cursor, *scalar)?)),
            Node::Duration(channel) => {
                let (seconds, nanoseconds) = (number(cursor, Scalar::I32)?, number(cursor, Scalar::U32)?);
                values.push((*channel, seconds + nanoseconds / 1e9));
            }
            Node::Time(is_stamp) => {
                let (seconds, nanoseconds) = (number(cursor, Scalar::I32)?, number(cursor, Scalar::U32)?);
                if *is_stamp {
                    found.stamp_ns = Some(seconds as i64 * 1_000_000_000 + nanoseconds as i64);
                }
            }
            Node::FrameId(bound) => {
                let text = cursor.string(*bound)?;
                if found.frame_id.is_none() && !text.is_empty() {
                    found.frame_id = Some(String::from_utf8_lossy(text).into_owned());
                }
            }
            Node::String(bound) => drop(cursor.string(*bound)?),
            Node::WideString(bound) => cursor.skip_wide_string(*bound)?,
            Node::Array { array, count, element } => {
                let length = match *count {
                    Count::Fixed(length) => length,
                    Count::Dynamic(bound) => cursor.length(bound, element.least_bytes())?,
                };
                found.empty_arrays += usize::from(length == 0);
                let range = found.arrays[*array].range.get_or_insert((length, length));
                *range = (range.0.min(length), range.1.max(length));
                walk_array((*array, length), element, cursor, found, values)?;
            }
        }
    }
    Ok(())
}

fn walk_array(
    (array, length): (usize, u32),
    element: &mut Element,
    cursor: &mut Cursor,
    found: &mut Found,
    values: &mut Values,
) -> Result<(), Damage> {
    match element {
        Element::Numbers(scalar, channels) => {
            if length > 0 && matches!(channels, Channels::Unknown) {
                *channels = if length as usize <= ELEMENTS_MAX {
                    Channels::Each(Vec::new())
                } else {
                    Channels::All(found.channel(Label::All { array }))
                };
            }
            for index in 0..length as usize {
                let value = number(cursor, *scalar)?;
                match channels {
                    Channels::All(channel) => values.push((*channel, value)),
                    Channels::Each(each) if index < ELEMENTS_MAX => {
                        if each.len() <= index {
                            each.push(found.channel(Label::Element { array, index }));
                        }
                        values.push((each[index], value));
                    }
                    // Longer than at first: [`Numbers::arrays`] says so.
                    Channels::Each(_) | Channels::Unknown => {}
                }
            }
        }
        Element::Strings { bound, names } => {
            let (mut all, is_short) = (Vec::new(), length as usize <= 2 * ELEMENTS_MAX);
            for index in 0..length as usize {
                let text = cursor.string(*bound)?;
                let (known, alike) = &mut found.names[*names];
                match known {
                    None if is_short => all.push(String::from_utf8_lossy(text).into_owned()),
                    None => *alike = false,
                    Some(known) => *alike &= known.get(index).is_some_and(|known| known.as_bytes() == text),
                }
            }
            let known = &mut found.names[*names].0;
            if known.is_none() && !all.is_empty() {
                *known = Some(all);
            }
        }
        Element::WideStrings(bound) => (0..length).try_for_each(|_| cursor.skip_wide_string(*bound))?,
        Element::Structure(nodes) => (0..length).try_for_each(|_| walk(nodes, cursor, found, values))?,
    }
    Ok(())
}

impl Element {
    /// Fewest bytes of an element; a structure has one at least.
    fn least_bytes(&self) -> u64 {
        match self {
            Self::Numbers(scalar, _) => scalar.size() as u64,
            Self::Strings { .. } | Self::WideStrings(_) => 4,
            Self::Structure(_) => 1,
        }
    }
}

/// A number; integers beyond 2^53 as near as f64 comes.
#[inline]
fn number(cursor: &mut Cursor, scalar: Scalar) -> Result<f64, Damage> {
    match cursor.number(scalar) {
        Ok(value) => Ok(value),
        Err(Ok(integer)) => Ok(integer as f64),
        // Odd booleans are odd values, not damage.
        Err(Err(Damage { fault: Fault::Bool { got }, .. })) => Ok(f64::from(got)),
        Err(Err(damage)) => Err(damage),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Definitions, SchemaDefinitions};
    use super::*;

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
        assert_eq!((many.least, many.most, many.is_fixed, many.of_numbers), (0, 2, false, true));
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
