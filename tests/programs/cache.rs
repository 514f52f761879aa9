//! The frame cache of `df_train`: its memory, a killed process, and a full disk.

use super::support::point_maze;
use super::*;

/// The lines of a run's output about inputs and the cache.
fn printed(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().take_while(|line| !line.contains("training windows")).map(String::from).collect()
}

fn files(cache: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(cache.join("df_planner")).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "frames")).collect()
}

#[test]
fn a_run_killed_while_reading_leaves_no_cache_that_a_later_run_uses() {
    let folder = tempfile::tempdir().unwrap();
    let (bag, config) = (record(folder.path(), "4"), configure(folder.path(), &TINY));
    let cache = folder.path().join("cache");
    let mut while_reading = 0;
    for delay_ms in [10, 30, 60, 100, 150] {
        let out = folder.path().join(format!("killed_{delay_ms}"));
        let mut child = train(&config, &bag, &out, "1").spawn().unwrap();
        std::thread::sleep(Duration::from_millis(delay_ms));
        child.kill().unwrap();
        child.wait().unwrap();
        while_reading += usize::from(files(&cache).is_empty());
    }
    assert!(while_reading > 0, "every run had read its bag already");
    let run = |name| {
        let output = train(&config, &bag, &folder.path().join(name), "1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        printed(&output)
    };
    let first = run("first");
    assert!(first.len() == 1 && first[0].contains("demos: "), "{first:?}");
    // Reading from the cache prints the same lines as reading the bag.
    assert_eq!(first, run("second"));
    assert_eq!(files(&cache).len(), 1);
}

/// 102 channels at 1 kHz are 0.4 GB: twice the limit on the program's memory without mapped files. The program needs a
/// quarter of the limit, mostly for its threads.
#[test]
fn memory_of_training_does_not_grow_with_the_recording() {
    let folder = tempfile::tempdir().unwrap();
    let bag = record(folder.path(), "16");
    let fields = [vec!["pose.pose.position.y"], vec!["pose.pose.position.x"; 98]].concat().join(", ");
    let path = point_maze()
        .with_all(&TINY)
        .with("period_s", 0.001)
        .with("observations.position.fields", format!("[{fields}]"))
        .without("observations.position.units")
        .without("goal")
        .without("costs")
        .write_as(folder.path(), "wide.yaml");
    let limited = |kib: u32, name: &str| {
        let plain = train(&path, &bag, &folder.path().join(name), "2");
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("ulimit -d {kib} && exec \"$0\" \"$@\"")).arg(plain.get_program());
        command.args(plain.get_args()).envs(plain.get_envs().filter_map(|(key, value)| Some((key, value?))));
        command.env("RAYON_NUM_THREADS", "2").output().unwrap()
    };
    // First from the bag, then from the cache.
    for run in ["reading", "mapped"] {
        let output = limited(200_000, run);
        assert!(output.status.success(), "{run}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let size = fs::metadata(&files(&folder.path().join("cache"))[0]).unwrap().len();
    assert!(size > 390_000_000, "{size} bytes are no burden");
}

#[test]
fn a_full_disk_is_named_and_leaves_no_cache_file() {
    let folder = tempfile::tempdir().unwrap();
    let (bag, config) = (record(folder.path(), "1"), configure(folder.path(), &TINY));
    let plain = train(&config, &bag, &folder.path().join("model"), "1");
    // Limits files to 16 blocks of 512 bytes: writes fail as on a full disk.
    let mut command = Command::new("sh");
    command.arg("-c").arg("trap '' XFSZ; ulimit -f 16 && exec \"$0\" \"$@\"").arg(plain.get_program());
    command.args(plain.get_args()).envs(plain.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let output = command.output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    let place = folder.path().join("cache/df_planner");
    assert!(!output.status.success() && message.contains("File too large"), "{message}");
    assert!(
        message.contains(&place.display().to_string()) && message.contains("--cache DIR, or --no-cache"),
        "{message}"
    );
    assert_eq!(fs::read_dir(place).unwrap().count(), 0);
}
