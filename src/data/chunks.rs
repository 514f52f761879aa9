//! Chunks of an MCAP file: records that are packed together. The sizes that they state are not believed.

use std::io::Read;

use mcap::sans_io::{LinearReadEvent, LinearReader, LinearReaderOptions};

use super::records::{Body, CHUNK, CHUNK_MAX, Each, PREFIX_LENGTH, give};

/// Unpacks chunks, into memory that is used again.
#[derive(Default)]
pub struct Chunks {
    decoder: Option<zstd::bulk::Decompressor<'static>>,
    unpacked: Vec<u8>,
}

impl Chunks {
    /// Gives the records of a chunk. `length`: what the record's prefix says; `whole`: all of it is there.
    pub fn give(&mut self, body: &[u8], length: u64, whole: bool, each: Each) -> Result<(), String> {
        let short = || "the chunk ends too early".to_string();
        let mut header = Body(body);
        header.take(8 + 8).ok_or_else(short)?; // First and last time.
        let (size, checksum) = (header.u64().ok_or_else(short)?, header.u32().ok_or_else(short)?);
        let compression = header.text().ok_or_else(short)?;
        let packed = header.u64().ok_or_else(short)?;
        if size > CHUNK_MAX {
            return Err(format!("expected a chunk of at most {CHUNK_MAX} bytes, got {size}"));
        }
        let packed = if whole { header.take(packed as usize).ok_or_else(short)? } else { header.0 };
        let records = match compression {
            "" => packed,
            "zstd" => self.unpack(packed, size as usize, whole)?,
            _ => return decompress(body, length, whole, each),
        };
        let got = if whole && checksum != 0 { crc32fast::hash(records) } else { checksum };
        if got != checksum {
            return Err(format!("expected the checksum {checksum:08x} of the chunk, got {got:08x}"));
        }
        let mut records = Body(records);
        while !records.0.is_empty() {
            let (opcode, length) = records.u8().zip(records.u64()).ok_or_else(short)?;
            let length = usize::try_from(length).map_err(|_| short())?;
            give(opcode, records.take(length).ok_or_else(short)?, each)?;
        }
        Ok(())
    }

    /// What zstd packed; of a chunk that was cut off, as much as can be unpacked.
    fn unpack(&mut self, packed: &[u8], size: usize, whole: bool) -> Result<&[u8], String> {
        self.unpacked.clear();
        if !whole {
            let _ = zstd::Decoder::with_buffer(packed)
                .and_then(|decoder| decoder.take(size as u64).read_to_end(&mut self.unpacked));
            return Ok(&self.unpacked);
        }
        self.unpacked.reserve(size);
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            none => none.insert(zstd::bulk::Decompressor::new().map_err(|error| error.to_string())?),
        };
        match decoder.decompress_to_buffer(packed, &mut self.unpacked) {
            Ok(got) if got == size => Ok(&self.unpacked),
            Ok(got) => Err(format!("expected a chunk of {size} bytes, got {got}")),
            Err(error) => Err(format!("a packed chunk: {error}")),
        }
    }
}

/// Gives the records of a chunk in another compression (lz4). The `mcap` crate's reader is shown a file that is this one chunk.
fn decompress(body: &[u8], length: u64, whole: bool, each: Each) -> Result<(), String> {
    let options = LinearReaderOptions::default()
        .with_skip_start_magic(true)
        .with_skip_end_magic(true)
        .with_prevalidate_chunk_crcs(whole)
        .with_record_length_limit(CHUNK_MAX as usize);
    let mut reader = LinearReader::new_with_options(options);
    let mut prefix = [CHUNK; PREFIX_LENGTH];
    prefix[1..].copy_from_slice(&length.to_le_bytes());
    let mut source = prefix.chain(body);
    while let Some(event) = reader.next_event() {
        match event.map_err(|error| error.to_string())? {
            LinearReadEvent::ReadRequest(wanted) => {
                let most = wanted.min(PREFIX_LENGTH + body.len());
                let read = source.read(reader.insert(most)).map_err(|error| error.to_string())?;
                reader.notify_read(read);
            }
            LinearReadEvent::Record { data, opcode } => give(opcode, data, each)?,
        }
    }
    Ok(())
}
