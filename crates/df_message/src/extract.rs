//! CDR bytes of one message type to the channels of one field list.

use std::sync::Arc;

use super::channels::{Channels, Operation};
use super::compile::compile;
use super::error::{DecodeError, DecodeFailure, MessageError};
use super::header::{Header, NS_PER_S};
use super::projection::{Projection, Projector};
use super::schema::Schema;

/// What one message says about one group of channels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// The stamp of the message's `header` (or top-level `stamp`), if the type has one. Nanoseconds. A stamp of zero means
    /// "not stamped" in ROS and is none.
    pub stamp_ns: Option<i64>,
    /// The frame id of the message's `header`, if the type has one.
    pub frame_id: Option<String>,
    /// Channel values in the order of the fields, then variances where the extractor has them.
    pub values: Vec<f64>,
}

/// Decodes one message type into the channels of one field list.
#[derive(Debug)]
pub struct Extractor {
    message_type: String,
    labels: Vec<String>,
    /// Values of a sample: one per channel, and the variances.
    width: usize,
    projection: Projection,
    /// One label per slot: the channels first, then what they are made of.
    slot_labels: Vec<String>,
    operations: Vec<Operation>,
    /// Channels that repeat another one: (from, to).
    copies: Vec<(usize, usize)>,
    /// The slots of seconds and nanoseconds.
    stamp: Option<[usize; 2]>,
    has_frame_id: bool,
    /// The frame id that messages must carry.
    frame_id: Option<String>,
}

impl Extractor {
    /// Looks the fields up in the type.
    ///
    /// # Errors
    /// [`MessageError::Expression`]: a malformed expression, or a field that the type lacks or that is not a number.
    pub fn new(schema: &Arc<Schema>, fields: &[String]) -> Result<Self, MessageError> {
        let mut channels = Channels::new(schema, fields)?;
        let header = Header::of(schema);
        let refuse = |_| MessageError::Schema { message_type: schema.name(), rule: "the header is malformed" };
        let mut stamp = None;
        if let Some(places) = &header.stamp {
            let mut slots = [0; 2];
            for (slot, places) in slots.iter_mut().zip(places) {
                let next = channels.slot_labels.len();
                *slot = channels.wanted.number(places, next).map_err(refuse)?;
                if *slot == next {
                    channels.slot_labels.push("stamp".into());
                }
            }
            stamp = Some(slots);
        }
        if let Some(places) = &header.frame_id {
            channels.wanted.frame_id(places).map_err(refuse)?;
        }
        Self::assemble(schema, channels, stamp)
    }

    /// As [`Extractor::new`], with fields that hold the variances of the channels, one each: they follow the channels in a
    /// sample, and have no label.
    ///
    /// # Errors
    /// As [`Extractor::new`].
    pub fn with_variances(schema: &Arc<Schema>, fields: &[String], variances: &[String]) -> Result<Self, MessageError> {
        let channels = Self::new(schema, fields)?.labels.len();
        let mut extractor = Self::new(schema, &[fields, variances].concat())?;
        extractor.labels.truncate(channels);
        Ok(extractor)
    }

    /// Values beyond the channels.
    pub fn variances(&self) -> usize {
        self.width - self.labels.len()
    }

    /// Renumbers the slots so that channel `c` is slot `c`: the projection then writes straight into the output.
    fn assemble(schema: &Schema, channels: Channels, stamp: Option<[usize; 2]>) -> Result<Self, MessageError> {
        let count = channels.slots.len();
        let mut number = vec![usize::MAX; channels.slot_labels.len()];
        let mut copies = Vec::new();
        for (channel, &slot) in channels.slots.iter().enumerate() {
            match number[slot] {
                usize::MAX => number[slot] = channel,
                first => copies.push((first, channel)),
            }
        }
        let mut next = count;
        for number in number.iter_mut().filter(|number| **number == usize::MAX) {
            *number = next;
            next += 1;
        }
        let mut slot_labels = channels.labels.clone();
        slot_labels.resize(next, String::new());
        for (label, &slot) in channels.slot_labels.into_iter().zip(&number) {
            slot_labels[slot] = label;
        }
        let operations = channels.operations.into_iter().map(|operation| match operation {
            Operation::Yaw { from, to } => Operation::Yaw { from: from.map(|slot| number[slot]), to: number[to] },
            Operation::Sin { from, to } => Operation::Sin { from: number[from], to: number[to] },
            Operation::Cos { from, to } => Operation::Cos { from: number[from], to: number[to] },
        });
        Ok(Self {
            message_type: schema.name(),
            width: count,
            labels: channels.labels,
            projection: compile(schema, &channels.wanted, &number)?,
            slot_labels,
            operations: operations.collect(),
            copies,
            stamp: stamp.map(|slots| slots.map(|slot| number[slot])),
            has_frame_id: Header::of(schema).frame_id.is_some(),
            frame_id: None,
        })
    }

    /// Refuses messages whose header carries another frame id, an empty one too. `None`: any is taken.
    pub fn in_frame(self, frame_id: Option<&str>) -> Self {
        Self { frame_id: frame_id.map(String::from), ..self }
    }

    /// Does the type have a header that says a frame id?
    pub fn has_frame_id(&self) -> bool {
        self.has_frame_id
    }

    /// Does the type have a stamp?
    pub fn has_stamp(&self) -> bool {
        self.stamp.is_some()
    }

    /// One label per channel, such as `pose.pose.position.x`.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The type that is decoded, `package/msg/Name`.
    pub fn message_type(&self) -> &str {
        &self.message_type
    }

    /// Decodes a serialized message (4-byte encapsulation header, then CDR).
    ///
    /// # Errors
    /// Truncated, malformed or oversized bytes, an array of another length than the contract says, a value that is not
    /// finite as f32, an integer beyond 2^53, a name that is missing or there twice, a quaternion of norm 0.
    pub fn extract(&self, bytes: &[u8]) -> Result<Sample, MessageError> {
        let mut sample = Sample::default();
        self.extract_into(bytes, &mut sample)?;
        Ok(sample)
    }

    /// As [`Extractor::extract`], into a sample whose memory is used again. After an error its content means nothing.
    ///
    /// # Errors
    /// As [`Extractor::extract`].
    pub fn extract_into(&self, bytes: &[u8], sample: &mut Sample) -> Result<(), MessageError> {
        self.fill(bytes, sample).map_err(|failure| failure.of(&self.message_type))
    }

    fn fill(&self, bytes: &[u8], sample: &mut Sample) -> Result<(), DecodeFailure> {
        let slots = &mut sample.values;
        slots.clear();
        slots.resize(self.slot_labels.len(), 0.0);
        let frame_id = Projector::new(bytes, slots, &self.slot_labels)?.run(&self.projection)?;
        if let (Some(expected), Some(got)) = (&self.frame_id, frame_id)
            && expected.as_bytes() != got
        {
            let (expected, got) = (expected.clone(), String::from_utf8_lossy(got).into_owned());
            // The string lies within the message.
            let offset = frame_id.map_or(0, |id| id.as_ptr().addr() - bytes.as_ptr().addr());
            return Err(DecodeFailure { offset, error: DecodeError::FrameId { expected, got } });
        }
        for operation in &self.operations {
            operation.apply(slots, &self.slot_labels, &|slot| self.offset_of(bytes, slot))?;
        }
        for &(from, to) in &self.copies {
            slots[to] = slots[from];
        }
        sample.stamp_ns = self
            .stamp
            .map(|[seconds, nanoseconds]| slots[seconds] as i64 * NS_PER_S + slots[nanoseconds] as i64)
            .filter(|&stamp| stamp != 0);
        match frame_id {
            None => sample.frame_id = None,
            Some(frame_id) => {
                let text = sample.frame_id.get_or_insert_default();
                text.clear();
                text.push_str(&String::from_utf8_lossy(frame_id));
            }
        }
        slots.truncate(self.width);
        Ok(())
    }

    #[cold]
    fn offset_of(&self, bytes: &[u8], slot: usize) -> usize {
        let mut slots = vec![0.0; self.slot_labels.len()];
        Projector::new(bytes, &mut slots, &self.slot_labels)
            .map_or(0, |projector| projector.offset_of(&self.projection, slot))
    }
}
