//! The records of an MCAP file: framing, and the few bodies that are needed. Checks every length against the bytes that
//! are there, so that a damaged file costs neither a panic nor memory. <https://mcap.dev/spec>
//!
//! Why not the `mcap` crate's own readers: on damaged files 0.26 asks for gigabytes (string lengths) and, where overflow
//! checks are on, panics (a record that reaches beyond its uncompressed chunk); and its errors have no file offset. Its
//! decompressors (`chunks`) and its writer are used.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::chunks::{Ahead, Chunk};
use super::packed::{MAX_MESSAGE, is_packed, unpacking};

pub const MAGIC: [u8; 8] = *b"\x89MCAP0\r\n";
/// Opcode and length before each body.
pub const PREFIX_LENGTH: usize = 1 + 8;
/// The footer record with its prefix, and the magic after it.
const TAIL_LENGTH: u64 = PREFIX_LENGTH as u64 + 20 + MAGIC.len() as u64;
/// A larger record (other than a chunk) is refused.
const MAX_RECORD: u64 = MAX_MESSAGE as u64;
/// A larger chunk is refused, packed or unpacked. rosbag2 writes chunks below 4 MiB, and at most one record of any size.
pub const MAX_CHUNK: u64 = 2 * MAX_RECORD;

pub const FOOTER: u8 = 0x02;
pub const SCHEMA: u8 = 0x03;
pub const CHANNEL: u8 = 0x04;
pub const MESSAGE: u8 = 0x05;
pub const CHUNK: u8 = 0x06;
pub const MESSAGE_INDEX: u8 = 0x07;
pub const STATISTICS: u8 = 0x0B;
pub const DATA_END: u8 = 0x0F;

/// Why the records of a file end before their end. `offset`: the first byte of the record (or chunk) in the file.
#[derive(Debug)]
pub enum ValidationError {
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

impl From<io::Error> for ValidationError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A schema record.
pub struct Schema<'a> {
    pub id: u16,
    pub name: &'a str,
    pub encoding: &'a str,
    pub data: &'a [u8],
}

/// A channel record.
pub struct Channel<'a> {
    pub id: u16,
    pub schema_id: u16,
    pub topic: &'a str,
    pub message_encoding: &'a str,
}

/// A message record.
pub struct Message<'a> {
    pub channel_id: u16,
    pub log_time: u64,
    pub data: &'a [u8],
}

/// A record, wherever it lies.
pub enum Record<'a> {
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
pub type Each<'e> = &'e mut dyn FnMut(Record) -> Result<(), String>;

/// Where the bytes of a file come from.
enum Source {
    Plain(BufReader<File>),
    /// Packed as a whole: read from front to end only.
    Packed(Box<dyn Read>),
}

impl Read for Source {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(source) => source.read(into),
            Self::Packed(source) => source.read(into),
        }
    }
}

/// The records of a file, one after the other.
pub struct Records {
    source: Source,
    offset: u64,
    /// Of the file; of one that is packed, more than it can be.
    length: u64,
    body: Vec<u8>,
}

/// What was read.
enum Next {
    /// On its way.
    Chunk,
    /// Opcode and offset; its body is loaded.
    Record(u8, u64),
    /// A chunk that the file ends in, its length and offset.
    Cut(Chunk, u64, u64),
    End,
}

impl Records {
    /// Opens a file and checks its first bytes.
    pub fn open(path: &Path) -> Result<Self, ValidationError> {
        let file = File::open(path)?;
        let (source, length) = if is_packed(path)? {
            (Source::Packed(Box::new(unpacking(file)?)), u64::MAX)
        } else {
            let length = file.metadata()?.len();
            (Source::Plain(BufReader::with_capacity(1 << 16, file)), length)
        };
        let mut records = Self { source, offset: 0, length, body: Vec::new() };
        let mut magic = [0; MAGIC.len()];
        records.fill(&mut magic)?;
        if magic != MAGIC {
            return Err(ValidationError::Damaged {
                offset: 0,
                reason: format!("expected the first bytes of an MCAP file, got {magic:02x?}"),
            });
        }
        records.offset = MAGIC.len() as u64;
        Ok(records)
    }

    /// Reads the data section: every schema, channel and message, chunks unpacked, in the order of the file.
    /// Returns at its end.
    pub fn data(&mut self, each: Each) -> Result<(), ValidationError> {
        let mut ahead = Ahead::default();
        let outcome = loop {
            match self.read_chunk(&mut ahead, each) {
                Ok(Next::Chunk) => {}
                // It follows every chunk: what is on its way need not wait for it.
                Ok(Next::Record(MESSAGE_INDEX, _)) => {}
                Ok(Next::Record(opcode, offset)) => {
                    ahead.give_all(each)?;
                    give(opcode, &self.body, each).map_err(|reason| ValidationError::Damaged { offset, reason })?;
                }
                Ok(Next::End) => break Ok(()),
                Ok(Next::Cut(mut chunk, length, offset)) => {
                    ahead.give_all(each)?;
                    // The messages that lie before the cut are given; their checksum lies behind it.
                    let _ = chunk.give_cut(length, each);
                    return Err(ValidationError::Cut { offset });
                }
                Err(broken) => break Err(broken),
            }
        };
        // What is wrong there lies behind what is still on its way.
        ahead.give_all(each)?;
        outcome
    }

    /// Reads one record; a chunk is sent on its way.
    fn read_chunk(&mut self, ahead: &mut Ahead, each: Each) -> Result<Next, ValidationError> {
        let offset = self.offset;
        let (opcode, length) = self.prefix()?;
        if matches!(opcode, DATA_END | FOOTER) {
            return Ok(Next::End);
        }
        if opcode != CHUNK {
            self.load(length).map_err(|broken| broken.at(offset))?;
            return Ok(Next::Record(opcode, offset));
        }
        let mut chunk = ahead.spare();
        std::mem::swap(&mut chunk.body, &mut self.body);
        let loaded = self.load(length);
        std::mem::swap(&mut chunk.body, &mut self.body);
        match loaded {
            Err(ValidationError::Cut { .. }) => Ok(Next::Cut(chunk, length, offset)),
            loaded => {
                loaded?;
                ahead.push(chunk, offset, each).map(|()| Next::Chunk)
            }
        }
    }

    /// Reads the summary section; `false` if the file has none, or none that can be jumped to.
    pub fn summary(&mut self, each: Each) -> Result<bool, ValidationError> {
        let Some(end) = self.length.checked_sub(TAIL_LENGTH) else { return Ok(false) };
        if matches!(self.source, Source::Packed(_)) {
            return Ok(false);
        }
        self.seek(end)?;
        let (opcode, length) = self.prefix()?;
        if opcode != FOOTER || length != 20 {
            return Ok(false);
        }
        self.load(length)?;
        let start = Body(&self.body).u64().unwrap_or(0);
        if start == 0 || start >= end {
            return Ok(false);
        }
        self.seek(start)?;
        while self.offset < end {
            let offset = self.offset;
            let (opcode, length) = self.prefix()?;
            self.load(length)?;
            give(opcode, &self.body, each).map_err(|reason| ValidationError::Damaged { offset, reason })?;
        }
        Ok(true)
    }

    fn seek(&mut self, offset: u64) -> Result<(), ValidationError> {
        if let Source::Plain(source) = &mut self.source {
            self.offset = source.seek(SeekFrom::Start(offset))?;
        }
        Ok(())
    }

    /// Opcode and length of the next record.
    fn prefix(&mut self) -> Result<(u8, u64), ValidationError> {
        let offset = self.offset;
        let mut prefix = [0; PREFIX_LENGTH];
        self.fill(&mut prefix)?;
        self.offset += PREFIX_LENGTH as u64;
        let [opcode, length @ ..] = prefix;
        let length = u64::from_le_bytes(length);
        let max = if opcode == CHUNK { MAX_CHUNK } else { MAX_RECORD };
        if length > max {
            let reason = format!("expected a record of at most {max} bytes, got {length} (opcode {opcode:#04x})");
            return Err(ValidationError::Damaged { offset, reason });
        }
        Ok((opcode, length))
    }

    fn fill(&mut self, into: &mut [u8]) -> Result<(), ValidationError> {
        self.source.read_exact(into).map_err(|error| self.broken(error))
    }

    /// Reads a body of `length` bytes. The memory grows with what is there, not with what the length says.
    fn load(&mut self, length: u64) -> Result<(), ValidationError> {
        self.body.clear();
        let read = (&mut self.source).take(length).read_to_end(&mut self.body);
        read.map_err(|error| self.broken(error))?;
        if (self.body.len() as u64) < length {
            return Err(ValidationError::Cut { offset: self.offset });
        }
        self.offset += length;
        Ok(())
    }

    /// What an error of the source means: zstd has no kinds of its own.
    fn broken(&self, error: io::Error) -> ValidationError {
        let offset = self.offset;
        match (&self.source, error.kind()) {
            (_, io::ErrorKind::UnexpectedEof) => ValidationError::Cut { offset },
            (Source::Packed(_), _) => ValidationError::Damaged { offset, reason: format!("a packed file: {error}") },
            (Source::Plain(_), _) => ValidationError::Io(error),
        }
    }
}

impl ValidationError {
    fn at(self, offset: u64) -> Self {
        match self {
            Self::Cut { .. } => Self::Cut { offset },
            other => other,
        }
    }
}

pub fn give(opcode: u8, body: &[u8], each: Each) -> Result<(), String> {
    each(Record::parse(opcode, body).ok_or_else(|| format!("the record (opcode {opcode:#04x}) ends too early"))?)
}

/// Bytes of a record, read from the front; `None` where they end too early.
pub struct Body<'a>(pub &'a [u8]);

impl<'a> Body<'a> {
    pub fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub fn number<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.number().map(u8::from_le_bytes)
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.number().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.number().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.number().map(u64::from_le_bytes)
    }

    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()?;
        self.take(length as usize)
    }

    pub fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}
