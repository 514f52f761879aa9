//! Channel values to the CDR bytes of a message: fields that are not written stay zero.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cdr::{HEADER_LENGTH, padding};
use super::error::MessageError;
use super::field::Expression;
use super::header::{Header, NS_PER_S};
use super::resolve::{ElementIndex, Leaf, Lookup, MemberElement};
use super::schema::{ElementType, Member, Scalar, Schema, Shape};

/// A type whose empty message needs more steps than this is not encoded.
const MAX_STEPS: usize = 1 << 16;

/// Encodes one message type from the channels of one field list.
#[derive(Debug)]
pub struct Encoder {
    message_type: String,
    labels: Vec<String>,
    texts: Vec<String>,
    steps: Vec<EncodeStep>,
}

/// What is written next, aligned to its own size.
#[derive(Clone, Copy, Debug)]
enum EncodeStep {
    Zeros {
        scalar: Scalar,
        count: u32,
    },
    Channel {
        scalar: Scalar,
        channel: usize,
    },
    Seconds,
    Nanoseconds,
    FrameId,
    Text(usize),
    EmptyString,
    /// The length of an array that varies, or of an empty wide string.
    Length(u32),
}

/// What a number of the message is set to.
#[derive(Clone, Copy)]
enum ValueSource {
    Channel(usize),
    Seconds,
    Nanoseconds,
    FrameId,
    Text(usize),
}

impl Encoder {
    /// Looks the fields up in the type. Each must be one number: a plain path, with indices into arrays. An array of varying
    /// length gets as many elements as the fields state or need.
    ///
    /// # Errors
    /// [`MessageError::Expression`]: a field that the type lacks, or one that cannot be written.
    pub fn new(schema: &Arc<Schema>, fields: &[String]) -> Result<Self, MessageError> {
        Self::with_texts(schema, fields, &[])
    }

    /// As [`Encoder::new`]; `texts` are pairs of a string field of the message itself and what every message says there.
    ///
    /// # Errors
    /// As [`Encoder::new`]; a text for something that is not a single string field, or one that holds a NUL.
    pub fn with_texts(schema: &Arc<Schema>, fields: &[String], texts: &[(&str, &str)]) -> Result<Self, MessageError> {
        let mut sources = ValueSources::new();
        let mut lengths = ArrayLengthByOwner::new();
        let mut labels = Vec::new();
        for (channel, text) in fields.iter().enumerate() {
            let lookup = Lookup { schema, text };
            let Expression::Path(path) = Expression::parse(text)? else {
                return Err(lookup.refuse(0, "a transform cannot be written".into()));
            };
            let leaves = lookup.numbers(&path)?;
            let [Leaf { places, label, .. }] = leaves.as_slice() else {
                let rule = format!("a field that is written is one number, this names {}", leaves.len());
                return Err(lookup.refuse(0, rule));
            };
            let key = number_path(schema, places, &mut lengths).map_err(|rule| lookup.refuse(0, rule.into()))?;
            if sources.insert(key, ValueSource::Channel(channel)).is_some() {
                return Err(lookup.refuse(0, "the field is written twice".into()));
            }
            labels.push(label.clone());
        }
        let header = Header::of(schema);
        let stamp = header.stamp.into_iter().flatten().zip([ValueSource::Seconds, ValueSource::Nanoseconds]);
        for (places, source) in stamp.chain(header.frame_id.map(|places| (places, ValueSource::FrameId))) {
            // A field list that writes the stamp itself keeps it.
            if let Ok(key) = number_path(schema, &places, &mut lengths) {
                sources.entry(key).or_insert(source);
            }
        }
        for (index, (field, text)) in texts.iter().enumerate() {
            let is_text =
                |m: &Member| m.name == *field && m.shape == Shape::One && matches!(m.kind, ElementType::String { .. });
            match schema.structures[0].members.iter().position(is_text) {
                Some(member) if !text.contains('\0') => sources.insert(vec![(member, 0)], ValueSource::Text(index)),
                _ => {
                    let rule = "a text is given for a single string field of the message itself, without a NUL";
                    return Err(Lookup { schema, text: field }.refuse(0, rule.into()));
                }
            };
        }
        let texts = texts.iter().map(|(_, text)| (*text).into()).collect();
        let mut steps = Vec::new();
        if !add_steps(schema, 0, &mut Vec::new(), (&sources, &lengths), &mut steps) {
            let rule = "a message of this type is too large to be encoded";
            return Err(MessageError::Schema { message_type: schema.name(), rule });
        }
        Ok(Self { message_type: schema.name(), labels, texts, steps })
    }

    /// One label per channel.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The type that is encoded, `package/msg/Name`.
    pub fn message_type(&self) -> &str {
        &self.message_type
    }

    /// The serialized message (little-endian XCDR1 with encapsulation header), stamped where the type has a header.
    /// Integer fields get the nearest integer.
    ///
    /// # Errors
    /// Not one value per channel, a value that is not finite or that the field's type cannot hold, a stamp beyond the
    /// seconds of i32, a NUL in the frame id.
    pub fn encode(&self, stamp_ns: i64, frame_id: &str, values: &[f64]) -> Result<Vec<u8>, MessageError> {
        if values.len() != self.labels.len() {
            let (expected, got) = (self.labels.len(), values.len());
            return Err(MessageError::ValueCount { message_type: self.message_type.clone(), expected, got });
        }
        let refuse = |what, rule| MessageError::Header { message_type: self.message_type.clone(), what, rule };
        if frame_id.contains('\0') {
            return Err(refuse("the frame id", "it holds a NUL"));
        }
        let seconds = i32::try_from(stamp_ns.div_euclid(NS_PER_S))
            .map_err(|_| refuse("the stamp", "its seconds lie beyond i32"))?;
        let mut message = MessageWriter(vec![0, 1, 0, 0]);
        for step in &self.steps {
            match *step {
                EncodeStep::Zeros { scalar, count } => message.zeros(scalar, count),
                EncodeStep::Seconds => message.put(&seconds.to_le_bytes()),
                EncodeStep::Nanoseconds => message.put(&(stamp_ns.rem_euclid(NS_PER_S) as u32).to_le_bytes()),
                EncodeStep::FrameId => message.string(frame_id),
                EncodeStep::Text(index) => message.string(&self.texts[index]),
                EncodeStep::EmptyString => message.string(""),
                EncodeStep::Length(length) => message.put(&length.to_le_bytes()),
                EncodeStep::Channel { scalar, channel } => {
                    let value = values[channel];
                    message.number(scalar, value).map_err(|expected| MessageError::Value {
                        message_type: self.message_type.clone(),
                        field: self.labels[channel].clone(),
                        value,
                        expected,
                    })?;
                }
            }
        }
        Ok(message.0)
    }
}

/// The place of a number: member and element, from the message inwards.
type NumberPath = Vec<(usize, u32)>;
/// What each number is set to.
type ValueSources = BTreeMap<NumberPath, ValueSource>;
/// How many elements arrays of varying length get, by the place of their owner and the member.
type ArrayLengthByOwner = BTreeMap<(NumberPath, usize), u32>;

/// The place of a number; notes how long the arrays on the way must be.
fn number_path(
    schema: &Schema,
    places: &[MemberElement],
    lengths: &mut ArrayLengthByOwner,
) -> Result<NumberPath, &'static str> {
    let mut structure = 0;
    let mut key = Vec::with_capacity(places.len());
    for place in places {
        let member = &schema.structures[structure].members[place.member];
        let ElementIndex::Index(index) = place.element else {
            return Err("an element that is written is named by its number");
        };
        if let Shape::Dynamic(_) = member.shape {
            let length = lengths.entry((key.clone(), place.member)).or_default();
            *length = place.length.unwrap_or(index.saturating_add(1)).max(*length);
        }
        key.push((place.member, index));
        if let ElementType::Structure(nested) = member.kind {
            structure = nested;
        }
    }
    Ok(key)
}

/// Adds the steps of one structure; `false` if there are too many.
fn add_steps(
    schema: &Schema,
    structure: usize,
    path: &mut NumberPath,
    (sources, lengths): (&ValueSources, &ArrayLengthByOwner),
    steps: &mut Vec<EncodeStep>,
) -> bool {
    for (index, member) in schema.structures[structure].members.iter().enumerate() {
        let count = match member.shape {
            Shape::One => 1,
            Shape::Fixed(count) => count,
            Shape::Dynamic(_) => {
                let length = lengths.get(&(path.clone(), index)).copied().unwrap_or(0);
                steps.push(EncodeStep::Length(length));
                length
            }
        };
        // A long run of zeros is one step.
        let any = sources
            .keys()
            .any(|key| key.len() > path.len() && key[..path.len()] == path[..] && key[path.len()].0 == index);
        if let (ElementType::Scalar(scalar), false) = (member.kind, any) {
            if count as usize > MAX_STEPS {
                return false;
            }
            if count > 0 {
                steps.push(EncodeStep::Zeros { scalar, count });
            }
            continue;
        }
        for element in 0..count {
            path.push((index, element));
            let source = sources.get(path).copied();
            match (member.kind, source) {
                (ElementType::Structure(nested), _) => {
                    if !add_steps(schema, nested, path, (sources, lengths), steps) {
                        return false;
                    }
                }
                (ElementType::Scalar(scalar), Some(ValueSource::Channel(channel))) => {
                    steps.push(EncodeStep::Channel { scalar, channel })
                }
                (ElementType::Scalar(_), Some(ValueSource::Seconds)) => steps.push(EncodeStep::Seconds),
                (ElementType::Scalar(_), Some(ValueSource::Nanoseconds)) => steps.push(EncodeStep::Nanoseconds),
                (ElementType::Scalar(scalar), _) => steps.push(EncodeStep::Zeros { scalar, count: 1 }),
                (ElementType::String { .. }, Some(ValueSource::FrameId)) => steps.push(EncodeStep::FrameId),
                (ElementType::String { .. }, Some(ValueSource::Text(index))) => steps.push(EncodeStep::Text(index)),
                (ElementType::String { .. }, _) => steps.push(EncodeStep::EmptyString),
                (ElementType::WString { .. }, _) => steps.push(EncodeStep::Length(0)),
            }
            path.pop();
            if steps.len() > MAX_STEPS {
                return false;
            }
        }
    }
    steps.len() <= MAX_STEPS
}

/// A message being written.
struct MessageWriter(Vec<u8>);

impl MessageWriter {
    fn align(&mut self, alignment: usize) {
        let padding = padding(self.0.len() - HEADER_LENGTH, alignment) as usize;
        self.0.resize(self.0.len() + padding, 0);
    }

    fn put<const N: usize>(&mut self, bytes: &[u8; N]) {
        self.align(N);
        self.0.extend_from_slice(bytes);
    }

    fn zeros(&mut self, scalar: Scalar, count: u32) {
        self.align(scalar.size());
        self.0.resize(self.0.len() + scalar.size() * count as usize, 0);
    }

    fn string(&mut self, text: &str) {
        self.put(&(text.len() as u32 + 1).to_le_bytes());
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
    }

    /// Writes a number, or says what the type can hold.
    fn number(&mut self, scalar: Scalar, value: f64) -> Result<(), &'static str> {
        if !value.is_finite() {
            return Err("a finite number");
        }
        let nearest = value.round();
        macro_rules! integer {
            ($integer:ty, $expected:literal) => {{
                // Both limits are exact in f64, or, for the upper one of 64 bits, the next number above it: hence `<`.
                let end = <$integer>::MAX as f64 + if size_of::<$integer>() < 8 { 1.0 } else { 0.0 };
                if !(nearest >= <$integer>::MIN as f64 && nearest < end) {
                    return Err($expected);
                }
                self.put(&(nearest as $integer).to_le_bytes());
            }};
        }
        match scalar {
            Scalar::Bool if nearest == 0.0 || nearest == 1.0 => self.put(&[nearest as u8]),
            Scalar::Bool => return Err("0 or 1 (bool)"),
            Scalar::I8 => integer!(i8, "a number within int8"),
            Scalar::U8 => integer!(u8, "a number within uint8"),
            Scalar::I16 => integer!(i16, "a number within int16"),
            Scalar::U16 => integer!(u16, "a number within uint16"),
            Scalar::I32 => integer!(i32, "a number within int32"),
            Scalar::U32 => integer!(u32, "a number within uint32"),
            Scalar::I64 => integer!(i64, "a number within int64"),
            Scalar::U64 => integer!(u64, "a number within uint64"),
            Scalar::F32 if (value as f32).is_finite() => self.put(&(value as f32).to_le_bytes()),
            Scalar::F32 => return Err("a number within float32"),
            Scalar::F64 => self.put(&value.to_le_bytes()),
        }
        Ok(())
    }
}
