//! Reads the records of an MCAP file in order: the data section with its chunks, or the summary section.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::chunks::{Chunk, UnpackPipeline};
use super::packed::{is_packed, unpacking};
use super::record::{
    Body, CHUNK, DATA_END, FOOTER, MAGIC, MAX_CHUNK, MAX_RECORD, MESSAGE_INDEX, OnRecord, PREFIX_LENGTH, RecordError,
    TAIL_LENGTH, give,
};

/// Where the bytes of a file come from.
enum ByteSource {
    Plain(BufReader<File>),
    /// Packed as a whole: read from front to end only.
    Packed(Box<dyn Read>),
}

impl Read for ByteSource {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(source) => source.read(into),
            Self::Packed(source) => source.read(into),
        }
    }
}

/// The records of a file, one after the other.
pub(crate) struct Records {
    source: ByteSource,
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
    pub(crate) fn open(path: &Path) -> Result<Self, RecordError> {
        let file = File::open(path)?;
        let (source, length) = if is_packed(path)? {
            (ByteSource::Packed(Box::new(unpacking(file)?)), u64::MAX)
        } else {
            let length = file.metadata()?.len();
            (ByteSource::Plain(BufReader::with_capacity(1 << 16, file)), length)
        };
        let mut records = Self { source, offset: 0, length, body: Vec::new() };
        let mut magic = [0; MAGIC.len()];
        records.fill(&mut magic)?;
        if magic != MAGIC {
            return Err(RecordError::Damaged {
                offset: 0,
                reason: format!("expected the first bytes of an MCAP file, got {magic:02x?}"),
            });
        }
        records.offset = MAGIC.len() as u64;
        Ok(records)
    }

    /// Reads the data section: every schema, channel and message, chunks unpacked, in the order of the file.
    /// Returns at its end.
    pub(crate) fn data(&mut self, each: OnRecord) -> Result<(), RecordError> {
        let mut ahead = UnpackPipeline::default();
        let outcome = loop {
            match self.read_chunk(&mut ahead, each) {
                Ok(Next::Chunk) => {}
                // It follows every chunk: what is on its way need not wait for it.
                Ok(Next::Record(MESSAGE_INDEX, _)) => {}
                Ok(Next::Record(opcode, offset)) => {
                    ahead.give_all(each)?;
                    give(opcode, &self.body, each).map_err(|reason| RecordError::Damaged { offset, reason })?;
                }
                Ok(Next::End) => break Ok(()),
                Ok(Next::Cut(mut chunk, length, offset)) => {
                    ahead.give_all(each)?;
                    // The messages that lie before the cut are given; their checksum lies behind it.
                    let _ = chunk.give_cut(length, each);
                    return Err(RecordError::Cut { offset });
                }
                Err(broken) => break Err(broken),
            }
        };
        // What is wrong there lies behind what is still on its way.
        ahead.give_all(each)?;
        outcome
    }

    /// Reads one record; a chunk is sent on its way.
    fn read_chunk(&mut self, ahead: &mut UnpackPipeline, each: OnRecord) -> Result<Next, RecordError> {
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
            Err(RecordError::Cut { .. }) => Ok(Next::Cut(chunk, length, offset)),
            loaded => {
                loaded?;
                ahead.push(chunk, offset, each).map(|()| Next::Chunk)
            }
        }
    }

    /// Reads the summary section; `false` if the file has none, or none that can be jumped to.
    pub(crate) fn summary(&mut self, each: OnRecord) -> Result<bool, RecordError> {
        let Some(end) = self.length.checked_sub(TAIL_LENGTH) else { return Ok(false) };
        if matches!(self.source, ByteSource::Packed(_)) {
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
            give(opcode, &self.body, each).map_err(|reason| RecordError::Damaged { offset, reason })?;
        }
        Ok(true)
    }

    fn seek(&mut self, offset: u64) -> Result<(), RecordError> {
        if let ByteSource::Plain(source) = &mut self.source {
            self.offset = source.seek(SeekFrom::Start(offset))?;
        }
        Ok(())
    }

    /// Opcode and length of the next record.
    fn prefix(&mut self) -> Result<(u8, u64), RecordError> {
        let offset = self.offset;
        let mut prefix = [0; PREFIX_LENGTH];
        self.fill(&mut prefix)?;
        self.offset += PREFIX_LENGTH as u64;
        let [opcode, length @ ..] = prefix;
        let length = u64::from_le_bytes(length);
        let max = if opcode == CHUNK { MAX_CHUNK } else { MAX_RECORD };
        if length > max {
            let reason = format!("expected a record of at most {max} bytes, got {length} (opcode {opcode:#04x})");
            return Err(RecordError::Damaged { offset, reason });
        }
        Ok((opcode, length))
    }

    fn fill(&mut self, into: &mut [u8]) -> Result<(), RecordError> {
        self.source.read_exact(into).map_err(|error| self.broken(error))
    }

    /// Reads a body of `length` bytes. The memory grows with what is there, not with what the length says.
    fn load(&mut self, length: u64) -> Result<(), RecordError> {
        self.body.clear();
        let read = (&mut self.source).take(length).read_to_end(&mut self.body);
        read.map_err(|error| self.broken(error))?;
        if (self.body.len() as u64) < length {
            return Err(RecordError::Cut { offset: self.offset });
        }
        self.offset += length;
        Ok(())
    }

    /// What an error of the source means: zstd has no kinds of its own.
    fn broken(&self, error: io::Error) -> RecordError {
        let offset = self.offset;
        match (&self.source, error.kind()) {
            (_, io::ErrorKind::UnexpectedEof) => RecordError::Cut { offset },
            (ByteSource::Packed(_), _) => RecordError::Damaged { offset, reason: format!("a packed file: {error}") },
            (ByteSource::Plain(_), _) => RecordError::Io(error),
        }
    }
}
