//! Chunks of an MCAP file: records that are packed together. The sizes that they state are not believed.
//!
//! Unpacking is most of what reading takes, so it goes on ahead of the reader, on as many threads as there are. What is
//! on its way is bounded, and given in the order of the file.

use std::collections::VecDeque;
use std::io::Read;
use std::ops::Range;
use std::sync::mpsc::{Receiver, channel};

use mcap::sans_io::{LinearReadEvent, LinearReader, LinearReaderOptions};

use super::record::{Body, CHUNK, MAX_CHUNK, OnRecord, PREFIX_LENGTH, RecordError, give};

/// Maximum memory of all chunks in the pipeline, packed and unpacked, bytes. A larger chunk goes alone. Recorders write
/// chunks of up to 4 MiB.
const MAX_AHEAD: u64 = 32 << 20;
/// Maximum number of chunks in the pipeline.
const AHEAD_COUNT: usize = 4;

/// A chunk; its memory is reused for later chunks.
#[derive(Default)]
pub(crate) struct Chunk {
    /// Its first byte in the file.
    offset: u64,
    /// The record's body.
    pub body: Vec<u8>,
    decoder: Option<zstd::bulk::Decompressor<'static>>,
    unpacked: Vec<u8>,
}

/// Where the records of a chunk are.
enum RecordsAt {
    Body(Range<usize>),
    Unpacked,
    /// In a compression that is left to the `mcap` crate.
    Foreign,
}

/// The fields of a chunk before its records.
struct Head<'a> {
    size: u64,
    checksum: u32,
    compression: &'a str,
    packed: u64,
    /// Where the records begin in the body.
    start: usize,
}

impl<'a> Head<'a> {
    fn parse(body: &'a [u8]) -> Option<Self> {
        let mut rest = Body(body);
        rest.take(8 + 8)?; // First and last time.
        let (size, checksum, compression, packed) = (rest.u64()?, rest.u32()?, rest.text()?, rest.u64()?);
        Some(Self { size, checksum, compression, packed, start: body.len() - rest.0.len() })
    }
}

fn short() -> String {
    "the chunk ends too early".to_string()
}

impl Chunk {
    /// Finds the records; unpacks and checks them. `whole`: all of the chunk is there.
    fn unpack(&mut self, whole: bool) -> Result<RecordsAt, String> {
        let Head { size, checksum, compression, packed, start } = Head::parse(&self.body).ok_or_else(short)?;
        if size > MAX_CHUNK {
            return Err(format!("expected a chunk of at most {MAX_CHUNK} bytes, got {size}"));
        }
        let there = (self.body.len() - start) as u64;
        if whole && packed > there {
            return Err(short());
        }
        let range = start..start + if whole { packed as usize } else { there as usize };
        let (place, records) = match compression {
            "" => (RecordsAt::Body(range.clone()), &self.body[range]),
            "zstd" => {
                decompress(&self.body[range], size as usize, whole, &mut self.decoder, &mut self.unpacked)?;
                (RecordsAt::Unpacked, &self.unpacked[..])
            }
            _ => return Ok(RecordsAt::Foreign),
        };
        let got = if whole && checksum != 0 { crc32fast::hash(records) } else { checksum };
        if got != checksum {
            return Err(format!("expected the checksum {checksum:08x} of the chunk, got {got:08x}"));
        }
        Ok(place)
    }

    /// Gives the records. `length`: what the prefix of the chunk's record says.
    fn give(&self, place: RecordsAt, length: u64, whole: bool, each: OnRecord) -> Result<(), String> {
        let records = match place {
            RecordsAt::Body(range) => &self.body[range],
            RecordsAt::Unpacked => &self.unpacked[..],
            RecordsAt::Foreign => return foreign(&self.body, length, whole, each),
        };
        let mut records = Body(records);
        while !records.0.is_empty() {
            let (opcode, length) = records.u8().zip(records.u64()).ok_or_else(short)?;
            let length = usize::try_from(length).map_err(|_| short())?;
            give(opcode, records.take(length).ok_or_else(short)?, each)?;
        }
        Ok(())
    }

    /// Gives what is there of a chunk that was cut off. `length`: what it should have had.
    pub(crate) fn give_cut(&mut self, length: u64, each: OnRecord) -> Result<(), String> {
        let place = self.unpack(false)?;
        self.give(place, length, false, each)
    }
}

/// A chunk with the location of its records, or why it is invalid.
type Unpacked = (Chunk, Result<RecordsAt, String>);

/// Unpacks chunks on other threads and gives them in the order of the file.
#[derive(Default)]
pub(crate) struct UnpackPipeline {
    /// The memory of each chunk, bytes, and where its thread returns it.
    chunks: VecDeque<(u64, Receiver<Unpacked>)>,
    spare: Vec<Chunk>,
}

impl UnpackPipeline {
    /// A chunk to be filled.
    pub(crate) fn spare(&mut self) -> Chunk {
        self.spare.pop().unwrap_or_default()
    }

    /// Takes a chunk whose body was read. Gives earlier chunks first if the pipeline is full.
    ///
    /// # Errors
    /// The first invalid chunk; later chunks are dropped.
    pub(crate) fn push(&mut self, mut chunk: Chunk, offset: u64, each: OnRecord) -> Result<(), RecordError> {
        chunk.offset = offset;
        let size = Head::parse(&chunk.body).map_or(0, |head| head.size.min(MAX_CHUNK));
        let takes = chunk.body.capacity() as u64 + size;
        while self.chunks.len() >= AHEAD_COUNT || (!self.chunks.is_empty() && self.takes() + takes > MAX_AHEAD) {
            self.give_first(each)?;
        }
        let (sender, receiver) = channel();
        self.chunks.push_back((takes, receiver));
        let work = move || {
            let place = chunk.unpack(true);
            // The receiver is gone after an error.
            let _ = sender.send((chunk, place));
        };
        // A pool thread that waits for its own pool could deadlock.
        if rayon::current_thread_index().is_some() {
            work()
        } else {
            rayon::spawn(work)
        }
        Ok(())
    }

    /// Gives every chunk in the pipeline.
    ///
    /// # Errors
    /// As [`UnpackPipeline::push`].
    pub(crate) fn give_all(&mut self, each: OnRecord) -> Result<(), RecordError> {
        while !self.chunks.is_empty() {
            self.give_first(each)?;
        }
        Ok(())
    }

    fn takes(&self) -> u64 {
        self.chunks.iter().map(|(takes, _)| takes).sum()
    }

    fn give_first(&mut self, each: OnRecord) -> Result<(), RecordError> {
        let Some((_, first)) = self.chunks.pop_front() else { return Ok(()) };
        let lost = |_| RecordError::Io(std::io::Error::other("a thread that unpacked a chunk has ended"));
        let (chunk, place) = first.recv().map_err(lost)?;
        let outcome = place.and_then(|place| chunk.give(place, chunk.body.len() as u64, true, each));
        let offset = chunk.offset;
        self.spare.push(chunk);
        outcome.map_err(|reason| {
            // Records behind damage are not given.
            self.chunks.clear();
            RecordError::Damaged { offset, reason }
        })
    }
}

/// Unpacks zstd data; of a chunk that was cut off, as much as possible.
fn decompress(
    packed: &[u8],
    size: usize,
    whole: bool,
    decoder: &mut Option<zstd::bulk::Decompressor<'static>>,
    unpacked: &mut Vec<u8>,
) -> Result<(), String> {
    unpacked.clear();
    if !whole {
        let _ = zstd::Decoder::with_buffer(packed).and_then(|decoder| decoder.take(size as u64).read_to_end(unpacked));
        return Ok(());
    }
    unpacked.reserve(size);
    let decoder = match decoder {
        Some(decoder) => decoder,
        none => none.insert(zstd::bulk::Decompressor::new().map_err(|error| error.to_string())?),
    };
    match decoder.decompress_to_buffer(packed, unpacked) {
        Ok(got) if got == size => Ok(()),
        Ok(got) => Err(format!("expected a chunk of {size} bytes, got {got}")),
        Err(error) => Err(format!("a packed chunk: {error}")),
    }
}

/// Gives the records of a chunk in another compression (lz4). The `mcap` crate's reader is shown a file that is this
/// one chunk.
fn foreign(body: &[u8], length: u64, whole: bool, each: OnRecord) -> Result<(), String> {
    let options = LinearReaderOptions::default()
        .with_skip_start_magic(true)
        .with_skip_end_magic(true)
        .with_prevalidate_chunk_crcs(whole)
        .with_record_length_limit(MAX_CHUNK as usize);
    let mut reader = LinearReader::new_with_options(options);
    let mut prefix = [CHUNK; PREFIX_LENGTH];
    prefix[1..].copy_from_slice(&length.to_le_bytes());
    let mut source = prefix.chain(body);
    while let Some(event) = reader.next_event() {
        match event.map_err(|error| error.to_string())? {
            LinearReadEvent::ReadRequest(wanted) => {
                let max = wanted.min(PREFIX_LENGTH + body.len());
                let read = source.read(reader.insert(max)).map_err(|error| error.to_string())?;
                reader.notify_read(read);
            }
            LinearReadEvent::Record { data, opcode } => give(opcode, data, each)?,
        }
    }
    Ok(())
}
