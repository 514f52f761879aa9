//! The cache of frames on whole inputs: what is found equals what is read, and what decides the frames decides what is
//! found.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use super::*;

/// A folder with bags and a cache.
struct Fixture {
    folder: TempDir,
    contract: Contract,
}

impl Fixture {
    fn new() -> Self {
        let fixture = Self { folder: tempfile::tempdir().unwrap(), contract: contract(&[]) };
        write(&fixture.path("a"), &drive(200));
        write(&fixture.path("b"), &drive(90));
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn cache(&self) -> PathBuf {
        self.path("cache")
    }

    /// The files of the cache, without its folder, by extension.
    fn kept(&self, extension: &str) -> Vec<PathBuf> {
        let files = fs::read_dir(self.cache()).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|e| e == extension)).collect()
    }

    fn load(&self, names: &[&str]) -> Recording {
        self.load_with(&self.contract.config, names, &CachePlace::At(self.cache())).unwrap()
    }

    fn load_with(&self, config: &DataConfig, names: &[&str], place: &CachePlace) -> Result<Recording, RecordingError> {
        let inputs: Vec<Input> = names.iter().map(|name| Input { path: self.path(name), weight: 1.0 }).collect();
        load_recording(config, &inputs, place)
    }

    /// Removes the messages of bags and leaves name, size and time: only who does not read them does not notice.
    fn empty(&self, names: &[&str]) {
        for name in names {
            let path = self.path(name).join(format!("{name}_0.mcap"));
            let about = fs::metadata(&path).unwrap();
            let file = File::create(&path).unwrap();
            file.set_len(about.len()).unwrap();
            file.set_modified(about.modified().unwrap()).unwrap();
        }
    }
}

/// Without a goal: the bags lack its type.
fn contract(changes: &[(&str, &str)]) -> Contract {
    let mut contract = Contract::new(changes);
    contract.config.contract.goal = None;
    contract
}

/// Start of an episode; the bits and the presence of every frame.
type Bits = (i64, Vec<(Vec<u32>, Vec<bool>)>);

fn bits(recording: &Recording) -> Vec<Bits> {
    let frame = |(values, present): (&[f32], &[u8])| {
        (values.iter().map(|v| v.to_bits()).collect(), present.iter().map(|&p| p != 0).collect())
    };
    let frames = |span: &EpisodeSpan| (0..span.frames).map(|k| frame(recording.frame(span, k))).collect();
    recording.episodes.iter().map(|span| (span.start_ns, frames(span))).collect()
}

fn bits_read(contract: &Contract, paths: &[PathBuf]) -> Vec<Bits> {
    let episodes = paths.iter().flat_map(|path| contract.episodes(&*open_bag(path).unwrap()).unwrap().0);
    let frame = |frame: df_core::Frame| (frame.values.iter().map(|v| v.to_bits()).collect(), frame.present.clone());
    episodes.map(|episode| (episode.start_ns, episode.frames.into_iter().map(frame).collect())).collect()
}

#[test]
fn cached_frames_equal_the_frames_read_bit_for_bit() {
    let fixture = Fixture::new();
    let expected = bits_read(&fixture.contract, &[fixture.path("a"), fixture.path("b")]);
    assert!(expected.len() == 2 && expected[0].1.len() > 70);
    let first = fixture.load(&["a", "b"]);
    assert_eq!(bits(&first), expected);
    assert_eq!(first.layout, fixture.contract.layout);
    assert_eq!((fixture.kept("frames").len(), fixture.kept("part").len(), fixture.kept("lock").len()), (2, 0, 0));
    fixture.empty(&["a", "b"]);
    let second = fixture.load(&["a", "b"]);
    assert_eq!((bits(&second), &second.layout, &second.report), (expected.clone(), &first.layout, &first.report));
    assert!(
        second.report[0].ends_with(
            "a: 400 messages or rows, 1 episodes, 82 frames (0.1 minutes), 0 splits at gaps, 0 at jumps of time"
        ),
        "{:?}",
        second.report
    );
    // Another order gives that order, from the same files; one input alone needs not the other.
    let turned: Vec<_> = expected.iter().rev().cloned().collect();
    assert_eq!(bits(&fixture.load(&["b", "a"])), turned);
    assert_eq!(bits(&fixture.load(&["b"])), turned[..1]);
    // Tokens are no matter of frames.
    let stacked = contract(&[("frame_stack: 8", "frame_stack: 4")]);
    let found = fixture.load_with(&stacked.config, &["a"], &CachePlace::At(fixture.cache())).unwrap();
    assert_eq!((bits(&found).as_slice(), found.layout), (&expected[..1], stacked.layout));
}

#[test]
fn without_a_cache_nothing_is_kept() {
    let fixture = Fixture::new();
    let read = fixture.load_with(&fixture.contract.config, &["a"], &CachePlace::Temporary).unwrap();
    assert_eq!(bits(&read), bits_read(&fixture.contract, &[fixture.path("a")]));
    assert!(!fixture.cache().exists());
    fixture.empty(&["a"]);
    assert!(fixture.load_with(&fixture.contract.config, &["a"], &CachePlace::Temporary).is_err());
}

#[test]
fn a_changed_contract_or_bag_is_read_again() {
    let fixture = Fixture::new();
    fixture.load(&["a"]);
    let other = contract(&[("max_age_s: 0.1", "max_age_s: 0.03")]);
    let found = fixture.load_with(&other.config, &["a"], &CachePlace::At(fixture.cache())).unwrap();
    assert_eq!(bits(&found), bits_read(&other, &[fixture.path("a")]));
    assert_ne!(bits(&found), bits(&fixture.load(&["a"])));
    assert_eq!(fixture.kept("frames").len(), 2);
    // Another recording in its place, as long and with other content.
    fs::remove_dir_all(fixture.path("a")).unwrap();
    write(&fixture.path("a"), &drive(150));
    assert_eq!(bits(&fixture.load(&["a"])), bits_read(&fixture.contract, &[fixture.path("a")]));
    // The same bytes, touched.
    let file = File::options().write(true).open(fixture.path("a/a_0.mcap")).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(5)).unwrap();
    fixture.load(&["a"]);
    assert_eq!(fixture.kept("frames").len(), 4);
}

#[test]
fn damaged_or_incomplete_cache_files_are_reported_and_rewritten() {
    let fixture = Fixture::new();
    let expected = bits(&fixture.load(&["a"]));
    let [file] = &fixture.kept("frames")[..] else { panic!() };
    let sound = fs::read(file).unwrap();
    let put = |bytes: &[u8]| {
        // Root may write what is read-only; others replace it.
        fs::remove_file(file).unwrap();
        fs::write(file, bytes).unwrap();
    };
    for at in [0, sound.len() / 2, sound.len() - 1] {
        let mut damaged = sound.clone();
        damaged[at] ^= 1;
        put(&damaged);
        let again = fixture.load(&["a"]);
        assert_eq!(bits(&again), expected);
        let said = again.report.last().unwrap();
        assert!(said.contains(".frames: damaged: the recording is read again"), "{said}");
        assert!(fs::read(file).unwrap() == sound, "byte {at}");
    }
    for half in [0, 1, sound.len() / 2, sound.len() - 1] {
        put(&sound[..half]);
        assert_eq!(bits(&fixture.load(&["a"])), expected);
        assert!(fs::read(file).unwrap() == sound, "cut at {half}");
    }
    assert_eq!(fixture.load(&["a"]).report.len(), 1);
    assert!(fs::metadata(file).unwrap().permissions().readonly());
}

#[test]
fn files_of_a_killed_cache_writer_are_removed() {
    let fixture = Fixture::new();
    fixture.load(&["a"]);
    let part = |name: &str, age_s: u64| {
        let file = File::create(fixture.cache().join(name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age_s)).unwrap();
        file
    };
    part("old.part", 100);
    part("old.lock", 100);
    part("new.part", 1);
    let written = part("written.part", 100);
    written.lock().unwrap();
    fixture.load(&["a"]);
    let mut left: Vec<_> = fixture.kept("part");
    left.sort();
    // The new one may just have been made, the other one is being written.
    assert_eq!(left, ["new.part", "written.part"].map(|name| fixture.cache().join(name)));
    assert!(fixture.kept("lock").is_empty());
}

#[test]
fn two_processes_at_once_read_a_recording_once() {
    let fixture = Fixture::new();
    write(&fixture.path("long"), &drive(20_000));
    let all = std::thread::scope(|scope| {
        let one = || bits(&fixture.load(&["long"]));
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(
        all[0] == bits_read(&fixture.contract, &[fixture.path("long")]) && all[1..].iter().all(|one| *one == all[0])
    );
    assert_eq!((fixture.kept("frames").len(), fixture.kept("part").len(), fixture.kept("lock").len()), (1, 0, 0));
}

#[test]
fn the_least_recently_used_files_are_removed_first() {
    let fixture = Fixture::new();
    fixture.load(&["a"]);
    let [a] = &fixture.kept("frames")[..] else { panic!() };
    fixture.load(&["b"]);
    let now = SystemTime::now();
    let used = |path: &Path, ago: u64| File::open(path).unwrap().set_modified(now - Duration::from_secs(ago)).unwrap();
    fixture.kept("frames").iter().for_each(|path| used(path, 200));
    used(a, 100);
    write(&fixture.path("c"), &drive(50));
    // Room for two, of which `c` is the smaller one: `b` was not used for longest.
    let sizes: u64 = fixture.kept("frames").iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    let mut config = fixture.contract.config.clone();
    config.cache_gb = sizes as f64 / 1e9;
    let loaded = fixture.load_with(&config, &["c"], &CachePlace::At(fixture.cache())).unwrap();
    assert!(loaded.report.last().unwrap().contains("removed to stay below training.cache_gb"), "{:?}", loaded.report);
    assert!(fixture.kept("frames").len() == 2 && a.exists());
    // No module at all: what is in use stays, and it is said; what was mapped before stays readable though its file is
    // gone.
    config.cache_gb = 0.0;
    let before = fixture.load(&["a"]);
    let loaded = fixture.load_with(&config, &["c"], &CachePlace::At(fixture.cache())).unwrap();
    assert!(loaded.report.last().unwrap().contains("more than training.cache_gb: 0.000"), "{:?}", loaded.report);
    assert!(fixture.kept("frames").len() == 1 && !a.exists());
    assert_eq!(bits(&before), bits_read(&fixture.contract, &[fixture.path("a")]));
}

#[test]
fn the_error_of_an_unwritable_cache_names_the_options() {
    let fixture = Fixture::new();
    fs::write(fixture.path("file"), "").unwrap();
    let place = CachePlace::At(fixture.path("file/cache"));
    let error = fixture.load_with(&fixture.contract.config, &["a"], &place).unwrap_err().to_string();
    assert!(error.contains("file/cache: Not a directory") && error.contains("--cache DIR, or --no-cache"), "{error}");
    let lost = fixture.load_with(&fixture.contract.config, &["none"], &CachePlace::Temporary).unwrap_err().to_string();
    assert!(lost.contains("none: cannot be read: No such file"), "{lost}");
}

/// A dataset without definitions of its own takes those of the bags beside it: they are a part of what decides its
/// frames.
#[cfg(feature = "formats")]
#[test]
fn cached_frames_of_a_dataset_are_used_only_with_the_same_other_inputs() {
    let fixture = Fixture::new();
    recordings::lerobot::write_dataset(&fixture.path("set"), "v3.0", &[rows(30, 0.0), rows(50, 1.0), rows(7, 2.0)]);
    let config = contract(&[COLUMNS]).config;
    let load = |names: &[&str]| fixture.load_with(&config, names, &CachePlace::At(fixture.cache()));
    let expected = bits(&load(&["set", "a"]).unwrap());
    assert_eq!(expected.iter().map(|episode| episode.1.len()).collect::<Vec<_>>(), [32, 52, 9, 82]);
    fixture.empty(&["a"]);
    assert_eq!(bits(&load(&["set", "a"]).unwrap()), expected);
    // The bag has definitions of its own, the dataset does not.
    assert_eq!(bits(&load(&["a"]).unwrap()), expected[3..]);
    match load(&["set"]) {
        // Where ROS is sourced, its definitions serve as well.
        Ok(alone) => assert!(std::env::var_os("AMENT_PREFIX_PATH").is_some() && bits(&alone) == expected[..3]),
        Err(refused) => {
            let refused = refused.to_string();
            assert!(refused.contains("message type nav_msgs/msg/Odometry is not known"), "{refused}");
        }
    }
}
