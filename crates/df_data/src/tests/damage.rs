//! Damaged recordings: refused or read in part, never a panic.

use super::*;

/// One small bag for every case of damage: the bytes of its file, in three layouts.
fn small_files() -> Vec<Vec<u8>> {
    use mcap::{Compression, WriteOptions};
    let options = [
        WriteOptions::new().compression(Some(Compression::Zstd)).chunk_size(Some(2048)),
        WriteOptions::new().compression(Some(Compression::Lz4)).chunk_size(Some(2048)),
        WriteOptions::new().compression(None).chunk_size(Some(2048)).calculate_chunk_crcs(false),
    ];
    let messages = drive(40);
    let folder = tempfile::tempdir().unwrap();
    options.map(|options| std::fs::read(bare(folder.path(), options, &messages)).unwrap()).into()
}

#[test]
fn damaged_files_never_panic() {
    let (files, contract, folder) = (small_files(), Contract::new(&[]), tempfile::tempdir().unwrap());
    let path = folder.path().join("damaged.mcap");
    let damage = (
        0..files.len(),
        prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        prop::option::weighted(0.3, any::<prop::sample::Index>()),
    );
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(150));
    runner
        .run(&damage, |(file, hits, cut)| {
            let mut bytes = files[file].clone();
            for (place, value) in hits {
                let place = place.index(bytes.len());
                bytes[place] = value;
            }
            bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
            std::fs::write(&path, &bytes).unwrap();
            if let Ok(bag) = open_bag(&path) {
                let (messages, _) = read(&*bag);
                prop_assert!(messages.len() <= 80);
                if let Ok((episodes, _)) = contract.episodes(&*bag) {
                    let mut values = episodes.iter().flat_map(|e| &e.frames).flat_map(|f| &f.values);
                    prop_assert!(values.all(|v| v.is_finite()));
                }
            }
            Ok(())
        })
        .unwrap();
}

/// Chunks are unpacked ahead of the reader; what is given, and what is said, is as if they were not.
#[test]
fn a_damaged_chunk_and_later_chunks_give_no_messages() {
    use mcap::{Compression, WriteOptions};
    for compression in [Some(Compression::Zstd), Some(Compression::Lz4), None] {
        let folder = tempfile::tempdir().unwrap();
        let path =
            bare(folder.path(), WriteOptions::new().compression(compression).chunk_size(Some(2048)), &drive(100));
        let whole = std::fs::read(&path).unwrap();
        // Where the chunks begin: records of one byte of opcode and eight of length, behind eight bytes of magic.
        let (mut at, mut chunks) = (8, Vec::new());
        while whole[at] != 0x0F {
            let length = u64::from_le_bytes(whole[at + 1..at + 9].try_into().unwrap()) as usize;
            chunks.extend((whole[at] == 6).then_some((at, length)));
            at += 9 + length;
        }
        assert!(chunks.len() > 8, "{} chunks", chunks.len());
        for (at, length) in chunks {
            std::fs::write(&path, &whole[..at]).unwrap();
            // Cut before the first chunk it is refused: it has not one topic.
            let before = open_bag(&path).map_or(Vec::new(), |bag| read(&*bag).0);
            let mut damaged = whole.clone();
            damaged[at + 9 + length / 2] ^= 0x55;
            std::fs::write(&path, damaged).unwrap();
            let (got, outcome) = read(&*open_bag(&path).unwrap());
            assert!(
                matches!(outcome, Err(BagError::Damaged { at: Location::Byte(place), .. }) if place == at as u64),
                "{outcome:?}"
            );
            assert_eq!(got.len(), before.len());
            assert_eq!(got, before);
        }
    }
}
