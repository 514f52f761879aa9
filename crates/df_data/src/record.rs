//! The records of an MCAP file: opcodes, the few bodies that this crate needs, and what can be wrong with them.
//! <https://mcap.dev/spec>
//!
//! Every length is checked against the bytes that are there. A damaged file therefore costs neither a panic nor memory.
//! The `mcap` crate's own readers do not serve: on damaged files version 0.26 asks for gigabytes (string lengths) and,
//! with overflow checks, panics (a record that reaches beyond its uncompressed chunk). Its errors also lack the file
//! offset. Its decompressors (`chunks`) and its writer are used.

use std::io;

use super::packed::MAX_MESSAGE;

pub(crate) const MAGIC: [u8; 8] = *b"\x89MCAP0\r\n";
/// Opcode and length before each body.
pub(crate) const PREFIX_LENGTH: usize = 1 + 8;
/// The footer record with its prefix, and the magic after it.
pub(crate) const TAIL_LENGTH: u64 = PREFIX_LENGTH as u64 + 20 + MAGIC.len() as u64;
/// A larger record (other than a chunk) is refused.
pub(crate) const MAX_RECORD: u64 = MAX_MESSAGE as u64;
/// A larger chunk is refused, packed or unpacked. rosbag2 writes chunks below 4 MiB, and at most one record of any
/// size.
pub(crate) const MAX_CHUNK: u64 = 2 * MAX_RECORD;

pub(crate) const FOOTER: u8 = 0x02;
pub(crate) const SCHEMA: u8 = 0x03;
pub(crate) const CHANNEL: u8 = 0x04;
pub(crate) const MESSAGE: u8 = 0x05;
pub(crate) const CHUNK: u8 = 0x06;
pub(crate) const MESSAGE_INDEX: u8 = 0x07;
pub(crate) const STATISTICS: u8 = 0x0B;
pub(crate) const DATA_END: u8 = 0x0F;

/// Why the records of a file end before their end. `offset`: the first byte of the record (or chunk) in the file.
#[derive(Debug)]
pub(crate) enum RecordError {
    Io(io::Error),
    /// The file ends inside this record, as when the recorder was killed.
    Cut {
        offset: u64,
    },
    Damaged {
        offset: u64,
        reason: String,
    },
}

impl From<io::Error> for RecordError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A schema record.
pub(crate) struct Schema<'a> {
    pub id: u16,
    pub name: &'a str,
    pub encoding: &'a str,
    pub data: &'a [u8],
}

/// A channel record.
pub(crate) struct Channel<'a> {
    pub id: u16,
    pub schema_id: u16,
    pub topic: &'a str,
    pub message_encoding: &'a str,
}

/// A message record.
pub(crate) struct Message<'a> {
    pub channel_id: u16,
    pub log_time: u64,
    pub data: &'a [u8],
}

/// A record, wherever it lies.
pub(crate) enum Record<'a> {
    Schema(Schema<'a>),
    Channel(Channel<'a>),
    Message(Message<'a>),
    /// Messages by channel.
    Statistics(Vec<(u16, u64)>),
    /// One that does not matter here.
    Other,
}

impl<'a> Record<'a> {
    fn parse(opcode: u8, body: &'a [u8]) -> Option<Self> {
        let mut body = Body(body);
        Some(match opcode {
            SCHEMA => Self::Schema(Schema {
                id: body.u16()?,
                name: body.text()?,
                encoding: body.text()?,
                data: body.bytes()?,
            }),
            CHANNEL => Self::Channel(Channel {
                id: body.u16()?,
                schema_id: body.u16()?,
                topic: body.text()?,
                message_encoding: body.text()?,
            }),
            MESSAGE => {
                let (channel_id, _sequence, log_time, _publish_time) =
                    (body.u16()?, body.u32()?, body.u64()?, body.u64()?);
                Self::Message(Message { channel_id, log_time, data: body.0 })
            }
            STATISTICS => {
                // Messages, schemas, channels, attachments, metadata, chunks, first and last time.
                body.take(8 + 2 + 4 + 4 + 4 + 4 + 8 + 8)?;
                let mut pairs = Body(body.bytes()?);
                let count = pairs.0.len() / 10;
                Self::Statistics((0..count).map(|_| Some((pairs.u16()?, pairs.u64()?))).collect::<Option<_>>()?)
            }
            _ => Self::Other,
        })
    }
}

/// What a caller does with each record; `Err` says why the file makes no sense.
pub(crate) type OnRecord<'e> = &'e mut dyn FnMut(Record) -> Result<(), String>;

impl RecordError {
    pub(crate) fn at(self, offset: u64) -> Self {
        match self {
            Self::Cut { .. } => Self::Cut { offset },
            other => other,
        }
    }
}

pub(crate) fn give(opcode: u8, body: &[u8], each: OnRecord) -> Result<(), String> {
    each(Record::parse(opcode, body).ok_or_else(|| format!("the record (opcode {opcode:#04x}) ends too early"))?)
}

/// Bytes of a record, read from the front; `None` where they end too early.
pub(crate) struct Body<'a>(pub &'a [u8]);

impl<'a> Body<'a> {
    pub(crate) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn number<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.number().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.number().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.number().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.number().map(u64::from_le_bytes)
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()?;
        self.take(length as usize)
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}
