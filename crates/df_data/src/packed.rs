//! rosbag2's compression: whole files (`bag_0.db3.zstd`) or single messages, recognised by zstd's first bytes.
//! `metadata.yaml` is not asked, so that bags without one are read too.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// A larger message is refused: images and point clouds stay far below.
pub(crate) const MAX_MESSAGE: usize = 64 << 20;
/// The first bytes of what zstd packed. A serialized message starts with 00.
const ZSTD: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
/// What a file is read in.
const BUFFER: usize = 1 << 16;

/// Is this file packed as a whole?
pub(crate) fn is_packed(path: &Path) -> io::Result<bool> {
    let mut first = Vec::with_capacity(ZSTD.len());
    File::open(path)?.take(ZSTD.len() as u64).read_to_end(&mut first)?;
    Ok(first == ZSTD)
}

/// Unpacks a file while it is read.
pub(crate) fn unpacking(file: File) -> io::Result<impl Read> {
    let decoder = zstd::Decoder::with_buffer(BufReader::with_capacity(BUFFER, file))?;
    Ok(BufReader::with_capacity(BUFFER, decoder))
}

/// Unpacks messages, into memory that is used again.
#[derive(Default)]
pub(crate) struct Unpacker {
    decoder: Option<zstd::bulk::Decompressor<'static>>,
}

impl Unpacker {
    /// Puts the serialized message into `into`, unpacked if it is packed.
    ///
    /// # Errors
    /// Damage; more than [`MAX_MESSAGE`].
    pub(crate) fn unpack(&mut self, data: &[u8], into: &mut Vec<u8>) -> Result<(), String> {
        into.clear();
        if !data.starts_with(&ZSTD) {
            into.extend_from_slice(data);
            return Ok(());
        }
        let stated = zstd::zstd_safe::get_frame_content_size(data).ok().flatten();
        let size = stated.and_then(|size| usize::try_from(size).ok()).filter(|size| *size <= MAX_MESSAGE);
        let Some(size) = size else {
            return Err(format!("expected a packed message of at most {MAX_MESSAGE} bytes, got {stated:?}"));
        };
        into.reserve(size);
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            none => none.insert(zstd::bulk::Decompressor::new().map_err(|error| error.to_string())?),
        };
        decoder.decompress_to_buffer(data, into).map(|_| ()).map_err(|error| format!("a packed message: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_unpacked_only_where_they_are_packed() {
        let (mut unpacker, mut into) = (Unpacker::default(), Vec::new());
        let message: Vec<u8> = (0..1000u32).map(|i| (i % 7) as u8).collect();
        let packed = zstd::bulk::compress(&message, 1).unwrap();
        assert!(packed.len() < 200);
        for data in [&message, &packed, &message] {
            unpacker.unpack(data, &mut into).unwrap();
            assert_eq!(into, message);
        }
        assert!(unpacker.unpack(&packed[..packed.len() - 1], &mut into).unwrap_err().contains("a packed message"));
        // A frame that says it holds 2^40 bytes is refused before memory is taken: single segment, 8 bytes of size.
        let absurd = [&ZSTD[..], &[0xE0], &(1u64 << 40).to_le_bytes()].concat();
        assert!(unpacker.unpack(&absurd, &mut into).unwrap_err().contains("got Some(1099511627776)"));
        unpacker.unpack(&message, &mut into).unwrap();
    }
}
