//! Randomly damaged copies of recordings of every format. Each copy is refused, or read with a notice, or read without
//! one. Where a format has no checksum, a damaged number is read as another number. The share of such copies is bounded
//! for each format. Reading never panics and never takes much more memory than the whole recording. The file has a
//! single test, because memory is measured for the whole process.
//!
//! `DF_DAMAGED=1000 cargo test --test damage -- --nocapture` tests a thousand copies of each format. The default is a
//! tenth.

#[path = "recordings/mod.rs"]
mod recordings;

use std::path::{Path, PathBuf};

use df_data::{BagError, open_source, read_episodes};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use recordings::{COLUMNS, Contract, drive, pack, write};

/// More memory than the whole recording takes, bytes.
const MAX_MEMORY: u64 = 32 << 20;
/// Copies of each format, unless `DF_DAMAGED` says otherwise.
const COPIES: usize = 100;
/// A reader that yields more messages or rows than the whole recording has invents them.
const MESSAGES: u64 = 2000;

/// The allowed shares of copies whose damage is read without a notice. Measured over 1000 copies of each format.
#[derive(Clone, Copy)]
struct Unnoticed {
    /// The number of messages is right; values differ.
    changed: f64,
    /// The number of messages differs.
    partial: f64,
}

/// For MCAP, whose chunks have checksums, and for JSON, which holds no numbers of a recording.
const NONE: Unnoticed = Unnoticed { changed: 0.0, partial: 0.0 };

/// The allowed shares of a format, with the reason.
fn unnoticed(format: &str) -> Unnoticed {
    match format {
        // SQLite has no checksums. Numbers are a small part of a file; SQLite checks the structure of the rest.
        "db3" => Unnoticed { changed: 0.024, partial: 0.0 },
        // Compressed messages have no checksum either, but most damage breaks the compression. One copy of 1000 lost
        // messages: another valid page replaced a page of the tree.
        "db3, packed messages" => Unnoticed { changed: 0.014, partial: 0.001 },
        "db3.zstd" => Unnoticed { changed: 0.006, partial: 0.0 },
        // Nearly the whole file is contiguous numbers without a checksum.
        "hdf5" => Unnoticed { changed: 0.292, partial: 0.0 },
        // Actions are contiguous. Observations are compressed, and most damage breaks the compression.
        "hdf5, packed chunks" => Unnoticed { changed: 0.078, partial: 0.0 },
        // Snappy pages have no checksum.
        "lerobot, parquet" => Unnoticed { changed: 0.129, partial: 0.0 },
        _ => NONE,
    }
}

/// The largest allowed count for a share: its mean plus three standard deviations; 0 for a share of 0.
fn allowed(share: f64, copies: usize) -> usize {
    let mean = share * copies as f64;
    (mean + 3.0 * mean.sqrt()).ceil() as usize
}

/// A recording of each format: its name, the path to open and the file to damage.
fn recordings(folder: &Path) -> Vec<(&'static str, PathBuf, PathBuf)> {
    let place = |name: &str| folder.join(name);
    let messages = drive(MESSAGES as i64 / 2);
    let mut all = Vec::new();
    let mut add = |name, file: PathBuf| all.push((name, file.clone(), file));
    write(&place("mcap"), &messages);
    add("mcap", place("mcap/mcap_0.mcap"));
    write(&place("packed"), &messages);
    add("mcap.zstd", pack(&place("packed/packed_0.mcap")));
    #[cfg(feature = "formats")]
    {
        use recordings::sqlite::write_sqlite;
        write_sqlite(&place("plain.db3"), &messages, true, false);
        add("db3", place("plain.db3"));
        write_sqlite(&place("messages.db3"), &messages, true, true);
        add("db3, packed messages", place("messages.db3"));
        write_sqlite(&place("whole.db3"), &messages, true, false);
        add("db3.zstd", pack(&place("whole.db3")));
    }
    #[cfg(feature = "formats")]
    {
        use recordings::hdf5::write_d4rl;
        use recordings::rows;
        let episodes = [rows(MESSAGES as usize / 2, 0.0), rows(MESSAGES as usize / 2, 1.0)];
        write_d4rl(&place("plain.hdf5"), &episodes, None);
        add("hdf5", place("plain.hdf5"));
        write_d4rl(&place("chunks.hdf5"), &episodes, Some(100));
        add("hdf5, packed chunks", place("chunks.hdf5"));
    }
    #[cfg(feature = "formats")]
    {
        let episodes: Vec<_> = (0..4).map(|i| recordings::rows(MESSAGES as usize / 4, i as f32)).collect();
        recordings::lerobot::write_dataset(&place("lerobot"), "v3.0", &episodes);
        let file = "lerobot/data/chunk-000/file-000.parquet";
        all.push(("lerobot, parquet", place("lerobot"), place(file)));
        all.push(("lerobot, info.json", place("lerobot"), place("lerobot/meta/info.json")));
    }
    all
}

/// Flips bits, cuts, swaps and repeats parts, and writes absurd lengths.
fn damage(whole: &[u8], rng: &mut impl Rng) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    for _ in 0..rng.random_range(1..4) {
        let length = bytes.len();
        if length < 64 {
            break;
        }
        let place = rng.random_range(0..length - 8);
        match rng.random_range(0..6) {
            0 => bytes[place] ^= 1 << rng.random_range(0..8),
            1 => bytes[place..place + 8].fill_with(|| rng.random()),
            2 => bytes.truncate(place),
            3 => {
                // Swaps two parts of up to a quarter of the file.
                let size = rng.random_range(1..length / 4);
                let (a, b) = (rng.random_range(0..length / 2 - size), rng.random_range(length / 2..length - size));
                let (head, tail) = bytes.split_at_mut(length / 2);
                head[a..a + size].swap_with_slice(&mut tail[b - length / 2..b - length / 2 + size]);
            }
            4 => {
                let absurd: [u64; 4] = [u64::MAX, i64::MAX as u64, u64::from(u32::MAX), 1 << 40];
                let absurd = absurd[rng.random_range(0..4)];
                let (little, big) = (absurd.to_le_bytes(), absurd.to_be_bytes());
                let width = [2, 4, 8][rng.random_range(0..3)];
                let written = if rng.random() { &little[..width] } else { &big[8 - width..] };
                bytes[place..place + width].copy_from_slice(written);
            }
            _ => {
                let size = rng.random_range(1..length / 4);
                let part = bytes[..size].to_vec();
                bytes.splice(place..place, part);
            }
        }
    }
    bytes
}

/// The result of reading a damaged copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// Identical to the whole recording: the damage hit bytes that do not matter.
    Intact,
    /// The same number of messages with other values, without a notice.
    Changed,
    /// Another number of messages, without a notice.
    Partial,
    /// Read with a notice.
    Noticed,
    Refused,
}

fn read(contract: &Contract, path: &Path) -> Result<(usize, u64, bool), BagError> {
    let source = open_source(path)?;
    let (episodes, report) = read_episodes(&*source, &contract.config, &contract.bound, &contract.layout)?;
    let values = episodes.iter().flat_map(|episode| &episode.frames).flat_map(|frame| &frame.values);
    assert!(values.clone().all(|value| value.is_finite()));
    let sum = values.map(|value| u64::from(value.to_bits())).fold(0, u64::wrapping_add);
    assert!(report.messages <= 2 * MESSAGES, "{} messages out of {MESSAGES}", report.messages);
    let notices = report.notices.iter().filter(|notice| !is_ordinary(notice)).count();
    Ok((sum as usize, report.messages, report.refused > 0 || notices > 0))
}

/// True for notices that an undamaged dataset gives too.
fn is_ordinary(notice: &str) -> bool {
    notice.contains("rows carry no time") || notice.contains("videos and images are left out")
}

/// The peak memory of the process since the last call, bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    // proc_pid_clear_refs(5): writing 5 resets the peak to the current use.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn damaged_recordings_are_refused_or_named_and_few_are_read_with_other_values() {
    // The measurement sees an allocation.
    drop(std::hint::black_box(vec![1u8; 64 << 20]));
    assert!(peak() > 64 << 20 && peak() < 64 << 20);
    let copies: usize = std::env::var("DF_DAMAGED").map_or(COPIES, |text| text.parse().unwrap());
    let contract = Contract::new(&[COLUMNS]);
    let folder = tempfile::tempdir().unwrap();
    for (name, path, file) in recordings(folder.path()) {
        // One generator for each format, so that counts do not depend on the enabled formats.
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let whole = std::fs::read(&file).unwrap();
        let expected = read(&contract, &path).unwrap();
        assert!(expected.1 >= MESSAGES / 2 && !expected.2, "{name}: {expected:?}");
        peak();
        read(&contract, &path).unwrap();
        let intact = peak();
        let mut outcomes = std::collections::BTreeMap::new();
        let mut peak_of_all = 0;
        for copy in 0..copies {
            std::fs::write(&file, damage(&whole, &mut rng)).unwrap();
            let outcome = match read(&contract, &path) {
                Ok(got) if got.0 == expected.0 && got.1 == expected.1 => Outcome::Intact,
                Ok(got) if got.2 => Outcome::Noticed,
                Ok(got) if got.1 == expected.1 => Outcome::Changed,
                Ok(_) => Outcome::Partial,
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    Outcome::Refused
                }
            };
            *outcomes.entry(outcome).or_insert(0) += 1;
            let taken = peak();
            peak_of_all = peak_of_all.max(taken);
            let kept = folder.path().display();
            assert!(taken < intact + MAX_MEMORY, "{name}, copy {copy} ({kept}): {taken} bytes, the whole one {intact}");
        }
        println!(
            "{name} ({} kB): {outcomes:?}; {} MB, at most {} MB",
            whole.len() >> 10,
            intact >> 20,
            peak_of_all >> 20
        );
        let count = |outcome| outcomes.get(&outcome).copied().unwrap_or(0);
        let shares = unnoticed(name);
        for (outcome, share) in [(Outcome::Changed, shares.changed), (Outcome::Partial, shares.partial)] {
            let (got, max) = (count(outcome), allowed(share, copies));
            assert!(got <= max, "{name}: {got} of {copies} copies, at most {max} allowed: {outcomes:?}");
        }
        // If most copies were read as whole, the damage would be too mild for this test.
        assert!(count(Outcome::Refused) + count(Outcome::Noticed) > copies / 2, "{name}: {outcomes:?}");
        std::fs::write(&file, whole).unwrap();
    }
}
