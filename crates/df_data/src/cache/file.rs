//! The file that holds the frames of one input: written once, checked and mapped thereafter.
//!
//! ```text
//! records:  frame 0, frame 1, ...    each: a value per channel (f32), a byte per modality (0: missing), zeros up to 4 bytes
//! footer:   JSON: key, modalities, labels, episodes, report, checksum (CRC-32) of every block of records
//! trailer:  length of the footer (u64), its checksum (u32), the checksum of these two (u32), MAGIC
//! ```
//! Numbers are in the byte order of the machine, which is part of the key; every byte is covered by a checksum. Values
//! are in the units of the contract, not normalised. The footer comes last because only then is known what it says:
//! frames go to the disk as they are read.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use memmap2::{Advice, Mmap};
use serde::{Deserialize, Serialize};

use crate::TickFrame;
use df_core::{Frame, Modality};

/// The end of a whole file; the number is that of the format.
const MAGIC: [u8; 8] = *b"DFframe1";
const TRAILER_BYTES: usize = 24;
/// Records are checked in blocks of about this size.
const BLOCK_BYTES: usize = 1 << 20;

/// What a file says about its frames.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Footer {
    /// Decides the frames, see `key`.
    pub key: String,
    pub modalities: Vec<Modality>,
    /// One per channel.
    pub labels: Vec<String>,
    pub episodes: Vec<EpisodeRecord>,
    /// What was read and what was left out, line by line.
    pub report: Vec<String>,
    checksums: Vec<u32>,
}

/// An episode: consecutive frames of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EpisodeRecord {
    /// The tick of the first frame, nanoseconds.
    pub start_ns: i64,
    /// Its first frame in the file.
    pub first: usize,
    pub frames: usize,
}

/// How the bytes of a frame lie.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Shape {
    channels: usize,
    modalities: usize,
}

impl Shape {
    fn of(footer: &Footer) -> Self {
        Self { channels: footer.labels.len(), modalities: footer.modalities.len() }
    }

    /// Whole words: values stay aligned.
    fn record_bytes(self) -> usize {
        4 * (self.channels + self.modalities.div_ceil(4))
    }

    /// Whole records.
    fn block_bytes(self) -> usize {
        self.record_bytes() * (BLOCK_BYTES / self.record_bytes().max(1)).max(1)
    }
}

/// Writes the frames of an input as they come.
pub(crate) struct FrameWriter {
    file: File,
    footer: Footer,
    shape: Shape,
    block: Vec<u8>,
    frames: usize,
    /// The first error of writing. It is returned at the end, because reading a source cannot be stopped by a frame.
    written: io::Result<()>,
}

impl FrameWriter {
    /// `file`: empty.
    pub(crate) fn new(file: File, key: &str, modalities: &[Modality], labels: &[String]) -> Self {
        let footer =
            Footer { key: key.into(), modalities: modalities.into(), labels: labels.into(), ..Footer::default() };
        let shape = Shape::of(&footer);
        Self { file, footer, shape, block: Vec::with_capacity(shape.block_bytes()), frames: 0, written: Ok(()) }
    }

    pub(crate) fn add(&mut self, step: &TickFrame) {
        if self.written.is_ok() {
            self.written = self.try_add(step.tick_ns, step.starts_episode, &step.frame);
        }
    }

    fn try_add(&mut self, tick_ns: i64, starts_episode: bool, frame: &Frame) -> io::Result<()> {
        match self.footer.episodes.last_mut() {
            Some(episode) if !starts_episode => episode.frames += 1,
            _ => self.footer.episodes.push(EpisodeRecord { start_ns: tick_ns, first: self.frames, frames: 1 }),
        }
        self.frames += 1;
        let end = self.block.len() + self.shape.record_bytes();
        frame.values.iter().for_each(|value| self.block.extend(value.to_ne_bytes()));
        self.block.extend(frame.present.iter().map(|&present| u8::from(present)));
        self.block.resize(end, 0);
        if end >= self.shape.block_bytes() { self.end_block() } else { Ok(()) }
    }

    fn end_block(&mut self) -> io::Result<()> {
        self.footer.checksums.push(crc32fast::hash(&self.block));
        self.file.write_all(&self.block)?;
        self.block.clear();
        Ok(())
    }

    /// How many episodes and frames were written.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.footer.episodes.len(), self.frames)
    }

    /// Ends the file and maps it.
    ///
    /// # Errors
    /// It could not be written, now or before.
    pub(crate) fn finish(mut self, report: Vec<String>) -> io::Result<FrameFile> {
        self.written?;
        self.written = Ok(());
        if !self.block.is_empty() {
            self.end_block()?;
        }
        self.footer.report = report;
        let text = serde_json::to_vec(&self.footer)?;
        self.file.write_all(&text)?;
        self.file.write_all(&trailer(&text))?;
        FrameFile::open(self.file, &self.footer.key)?.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "what was written is not what is there: is the disk sound?")
        })
    }
}

/// The frames of an input, mapped.
#[derive(Debug)]
pub(crate) struct FrameFile {
    /// None without frames.
    map: Option<Mmap>,
    shape: Shape,
    pub footer: Footer,
}

impl FrameFile {
    /// Checks every byte and maps the frames. `None`: not whole, damaged, or of another key.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn open(mut file: File, key: &str) -> io::Result<Option<Self>> {
        let size = file.metadata()?.len();
        let Some(footer) = read_footer(&mut file, size)? else { return Ok(None) };
        let shape = Shape::of(&footer);
        let frames = footer.episodes.iter().map(|episode| episode.first + episode.frames).max().unwrap_or(0);
        let bytes = frames.saturating_mul(shape.record_bytes());
        let blocks = bytes.div_ceil(shape.block_bytes().max(1));
        if footer.key != key || bytes as u64 >= size || footer.checksums.len() != blocks {
            return Ok(None);
        }
        file.seek(SeekFrom::Start(0))?;
        let mut block = vec![0; shape.block_bytes()];
        for (i, &checksum) in footer.checksums.iter().enumerate() {
            let block = &mut block[..shape.block_bytes().min(bytes - i * shape.block_bytes())];
            file.read_exact(block)?;
            if crc32fast::hash(block) != checksum {
                return Ok(None);
            }
        }
        let map = (bytes > 0).then(|| map(&file, bytes)).transpose()?;
        Ok(Some(Self { map, shape, footer }))
    }

    /// Frame `k` of the file: a value per channel in units, 0 where missing; a byte per modality, 0 where missing.
    pub(crate) fn frame(&self, k: usize) -> (&[f32], &[u8]) {
        let record = self.records(k, 1);
        let (values, present) = record.split_at(4 * self.shape.channels);
        // Pages and records are whole words, so a record is aligned and this cannot fail.
        (bytemuck::try_cast_slice(values).unwrap_or_default(), &present[..self.shape.modalities])
    }

    fn records(&self, k: usize, count: usize) -> &[u8] {
        let bytes = self.shape.record_bytes();
        &self.map.as_deref().unwrap_or_default()[k * bytes..(k + count) * bytes]
    }

    /// From now on frames are read here and there: pages beside those that are asked for are not read from the disk.
    pub(crate) fn read_at_random(&self) {
        // Advice changes speed only: whether it was taken does not matter.
        let _ = self.map.as_ref().map(|map| map.advise(Advice::Random));
    }

    /// Has these frames read from the disk, if they are not in memory, without waiting for them.
    pub(crate) fn fetch(&self, k: usize, count: usize) {
        let bytes = self.shape.record_bytes();
        let _ = self.map.as_ref().map(|map| map.advise_range(Advice::WillNeed, k * bytes, count * bytes));
    }
}

fn trailer(footer: &[u8]) -> [u8; TRAILER_BYTES] {
    let mut trailer = [0; TRAILER_BYTES];
    trailer[..8].copy_from_slice(&(footer.len() as u64).to_ne_bytes());
    trailer[8..12].copy_from_slice(&crc32fast::hash(footer).to_ne_bytes());
    let own = crc32fast::hash(&trailer[..12]);
    trailer[12..16].copy_from_slice(&own.to_ne_bytes());
    trailer[16..].copy_from_slice(&MAGIC);
    trailer
}

fn read_footer(file: &mut File, size: u64) -> io::Result<Option<Footer>> {
    let Some(end) = size.checked_sub(TRAILER_BYTES as u64) else { return Ok(None) };
    file.seek(SeekFrom::Start(end))?;
    let mut found = [0; TRAILER_BYTES];
    file.read_exact(&mut found)?;
    // A length is believed only when its checksum holds: it says how much is read into memory.
    let length = found.first_chunk().map_or(u64::MAX, |length| u64::from_ne_bytes(*length));
    let sound = found[12..16] == crc32fast::hash(&found[..12]).to_ne_bytes();
    let Some(start) = end.checked_sub(length).filter(|_| sound) else { return Ok(None) };
    file.seek(SeekFrom::Start(start))?;
    let mut text = Vec::new();
    file.take(length).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text).ok().filter(|_| trailer(&text) == found))
}

/// The first `bytes` of a file.
#[expect(unsafe_code, reason = "a map needs that nobody changes the file; why nobody does stands below")]
fn map(file: &File, bytes: usize) -> io::Result<Mmap> {
    // SAFETY: while it is mapped, the file must neither change nor become shorter (that would be SIGBUS).
    // - It is this program's own, and has no name at all or one that no other program uses.
    // - It is written under another name first and gets its own when it is whole; from then on it is read-only, and
    //   nothing here
    //   opens it for writing or makes it shorter. A newer file of the same name replaces the name, not the file;
    //   removing an old one removes its name: its bytes stay until nobody maps them any more.
    // - It has just been read to `bytes` and beyond: nothing is mapped that is not there.
    // What is left is a user who writes into the file on purpose, and a disk that fails.
    unsafe { memmap2::MmapOptions::new().len(bytes).map(file) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MODALITIES: usize = 5;

    fn frame(k: usize) -> Frame {
        let value = |c: usize| f32::from_bits(((k * 7 + c) as u32).wrapping_mul(0x0123_4567));
        let present = (0..MODALITIES).map(|m| (k >> m) & 1 == 0).collect();
        Frame { values: (0..7).map(value).collect(), present, std: Vec::new() }
    }

    /// A file of frames; an episode starts at each of `starts`.
    fn write(frames: usize, starts: &[usize]) -> FrameWriter {
        let modality = |m: usize| Modality { name: m.to_string(), channels: m..m + 1 };
        let modalities: Vec<Modality> = (0..MODALITIES).map(modality).collect();
        let labels: Vec<String> = (0..7).map(|c| c.to_string()).collect();
        let mut writer = FrameWriter::new(tempfile::tempfile().unwrap(), "key", &modalities, &labels);
        for k in 0..frames {
            writer.add(&TickFrame { tick_ns: 100 * k as i64, starts_episode: starts.contains(&k), frame: frame(k) });
        }
        writer
    }

    fn bytes(of: &FrameWriter) -> Vec<u8> {
        let (mut file, mut bytes) = (of.file.try_clone().unwrap(), Vec::new());
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn opened(bytes: &[u8], key: &str) -> Option<FrameFile> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        FrameFile::open(file, key).unwrap()
    }

    fn whole(frames: usize) -> Vec<u8> {
        let writer = write(frames, &[0, 3]);
        let file = writer.file.try_clone().unwrap();
        let shape = writer.shape;
        writer.finish(vec!["a line".into()]).unwrap();
        bytes(&FrameWriter { file, footer: Footer::default(), shape, block: Vec::new(), frames: 0, written: Ok(()) })
    }

    #[test]
    fn frames_come_back_bit_for_bit() {
        // 7 values and 5 bytes, in whole words: 36 bytes; a block is 29,127 of them, so there are four blocks.
        let frames = 100_000;
        let file = write(frames, &[0, 3, 70_000]).finish(vec!["a line".into()]).unwrap();
        let stretch = |start_ns, first, frames| EpisodeRecord { start_ns, first, frames };
        assert_eq!(
            file.footer.episodes,
            [stretch(0, 0, 3), stretch(300, 3, 69_997), stretch(7_000_000, 70_000, 30_000)]
        );
        assert_eq!((file.footer.report.as_slice(), file.footer.checksums.len()), (&["a line".to_string()][..], 4));
        file.read_at_random();
        for k in 0..frames {
            file.fetch(k, 1);
            let ((values, present), expected) = (file.frame(k), frame(k));
            assert!(values.iter().map(|v| v.to_bits()).eq(expected.values.iter().map(|v| v.to_bits())), "{k}");
            assert!(present.iter().map(|&p| p != 0).eq(expected.present.iter().copied()), "{k}");
        }
    }

    #[test]
    fn a_frame_file_without_frames_is_valid() {
        let empty = write(0, &[]).finish(Vec::new()).unwrap();
        assert!(empty.footer.episodes.is_empty() && empty.map.is_none());
    }

    #[test]
    fn every_damaged_byte_and_every_cut_is_detected() {
        let sound = whole(6);
        assert_eq!(opened(&sound, "key").unwrap().footer.episodes.len(), 2);
        assert!(opened(&sound, "another").is_none());
        for at in 0..sound.len() {
            for bit in [0x01, 0x80] {
                let mut damaged = sound.clone();
                damaged[at] ^= bit;
                assert!(opened(&damaged, "key").is_none(), "byte {at} of {}", sound.len());
            }
            assert!(opened(&sound[..at], "key").is_none(), "cut at {at} of {}", sound.len());
        }
        assert!(opened(&[sound.clone(), vec![0]].concat(), "key").is_none());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), length in any::<u64>()) {
            let mut wrong = trailer(&bytes);
            prop_assert!(opened(&[bytes.as_slice(), &wrong].concat(), "key").is_none());
            wrong[..8].copy_from_slice(&length.to_ne_bytes());
            let own = crc32fast::hash(&wrong[..12]).to_ne_bytes();
            wrong[12..16].copy_from_slice(&own);
            prop_assert!(opened(&[bytes.as_slice(), &wrong].concat(), "key").is_none());
        }
    }
}
