//! The cache key of an input: a hash of everything that decides its frames.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::DataConfig;
use crate::Input;
use df_core::{Action, Contract, Goal, ObservationGroup};
use df_message::{AmentDefinitions, Definitions};

/// Version of the reading code. Increase it when the same recording gives other frames than before.
const READING: u32 = 1;

/// The keys of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    /// Of an input whose own message definitions say all that the contract needs.
    pub alone: String,
    /// Of one that needs those of the other inputs or of the sourced ROS installation.
    pub with_others: String,
}

impl Keys {
    /// The keys of every input. Files are looked at (path, size, time of change), not read.
    ///
    /// # Errors
    /// The path that cannot be looked at.
    pub(crate) fn of(config: &DataConfig, inputs: &[Input]) -> Result<Vec<Self>, (PathBuf, io::Error)> {
        let files = |input: &Input| files(&input.path).map_err(|error| (input.path.clone(), error));
        let files = inputs.iter().map(files).collect::<Result<Vec<_>, _>>()?;
        let (contract, installed) = (contract(config), installed(config, &AmentDefinitions::from_env()));
        let keys = |(i, own): (usize, &String)| {
            let others: Vec<&String> =
                files.iter().enumerate().filter(|(other, _)| *other != i).map(|(_, f)| f).collect();
            Self {
                alone: digest(&format!("{contract}\n{own}")),
                with_others: digest(&format!("{contract}\n{own}\n{others:?}\n{installed}")),
            }
        };
        Ok(files.iter().enumerate().map(keys).collect())
    }
}

fn digest(text: &str) -> String {
    format!("{:x}", Sha256::digest(text))
}

/// The part of the configuration that decides frames. Every field is named, so that the compiler asks about a new one.
fn contract(config: &DataConfig) -> String {
    let Contract { period_s: _, frame_stack: _, observations, action, goal, document: _ } = &config.contract;
    let group = |group: &ObservationGroup| {
        let ObservationGroup {
            name,
            topic,
            message_type,
            fields,
            units: _,
            qos: _,
            frame_id,
            max_age_s,
            uncertainty,
            required,
        } = group;
        format!("{:?}", (name, topic, message_type, fields, frame_id, max_age_s, &uncertainty.variances, required))
    };
    let Action {
        topic,
        message_type,
        fields,
        units: _,
        qos: _,
        min,
        max,
        safe,
        max_rate: _,
        max_acceleration: _,
        max_age_s,
    } = action;
    // Limits do not change frames, but their number is checked where the contract is bound.
    let action = (topic, message_type, fields, [min.len(), max.len(), safe.len()], max_age_s);
    let goal = goal.as_ref().map(|goal| {
        let Goal { topic: _, message_type, fields, qos: _, frame_id, group, rate: _, tolerance: _ } = goal;
        (message_type, fields, frame_id, group)
    });
    let program = (env!("CARGO_PKG_VERSION"), READING, cfg!(target_endian = "big"));
    let times = (config.contract.period_ns(), config.max_gap_s, config.max_skew_s);
    let groups: Vec<String> = observations.iter().map(group).collect();
    format!("{:?}", (program, times, groups, action, goal, &config.columns))
}

/// The installed definitions of the contract's types.
fn installed(config: &DataConfig, installed: &AmentDefinitions) -> String {
    let types = config.contract.observations.iter().map(|group| &group.message_type);
    let types =
        types.chain([&config.contract.action.message_type]).chain(config.contract.goal.iter().map(|g| &g.message_type));
    format!("{:?}", types.map(|message_type| installed.text(message_type).ok()).collect::<Vec<_>>())
}

/// Every file of an input with its size and the time of its last change.
fn files(path: &Path) -> io::Result<String> {
    let path = fs::canonicalize(path)?;
    let mut found = Vec::new();
    if path.is_dir() {
        below(&path, &mut HashSet::new(), &mut found)?;
    } else {
        // What sqlite3 writes beside a file belongs to it.
        let beside = ["", "-wal", "-journal"].map(|ending| {
            let mut path = path.clone().into_os_string();
            path.push(ending);
            PathBuf::from(path)
        });
        beside.iter().for_each(|path| look_at(path, &mut found));
    }
    found.sort();
    Ok(format!("{path:?} {found:?}"))
}

/// Path, size, seconds, nanoseconds.
type Found = (PathBuf, u64, i64, i64);

fn look_at(path: &Path, found: &mut Vec<Found>) {
    // A link that leads nowhere is no file.
    if let Ok(about) = fs::metadata(path) {
        found.push((path.into(), about.len(), about.mtime(), about.mtime_nsec()));
    }
}

/// `seen`: the directories that were entered, so that links in a circle end.
fn below(directory: &Path, seen: &mut HashSet<(u64, u64)>, found: &mut Vec<Found>) -> io::Result<()> {
    let about = fs::metadata(directory)?;
    if !seen.insert((about.dev(), about.ino())) {
        return Ok(());
    }
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() { below(&path, seen, found)? } else { look_at(&path, found) }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    const SHIPPED: &str = include_str!("../../../../config/point_maze.yaml");

    fn parsed(text: &str) -> DataConfig {
        DataConfig::parse(text, Path::new("c.yaml")).unwrap()
    }

    #[test]
    fn the_cache_key_depends_on_exactly_what_decides_frames() {
        let key = |from: &str, to: &str| {
            assert!(SHIPPED.contains(from), "{from}");
            contract(&parsed(&SHIPPED.replacen(from, to, 1)))
        };
        let shipped = contract(&parsed(SHIPPED));
        for (from, to) in [
            ("period_s: 0.05", "period_s: 0.1"),
            ("topic: odom", "topic: odometry"),
            ("velocity:", "speed:"),
            ("pose.pose.position.y]", "pose.pose.position.z]"),
            ("max_age_s: 0.1", "max_age_s: 0.2"),
            ("required: true", "required: false"),
            ("max_gap_s: 0.5", "max_gap_s: 0.6"),
            ("window: 16", "max_skew_s: 3\n  window: 16"),
            ("# --- settings", "columns: {lerobot: {action: [a]}}\n# --- settings"),
        ] {
            assert_ne!(key(from, to), shipped, "{from} -> {to}");
        }
        for (from, to) in [
            ("max: [4.0, 4.0]", "max: [5.0, 4.0]"),
            ("depth: 5", "depth: 6"),
            ("units: [m, m]", "units: [km, km]"),
            ("frame_stack: 8", "frame_stack: 4"),
            ("batch: 64", "batch: 32"),
            ("tolerance: 0.3            #", "tolerance: 0.4            #"),
        ] {
            assert_eq!(key(from, to), shipped, "{from} -> {to}");
        }
    }

    #[test]
    fn cache_keys_use_name_size_and_time_and_circular_links_end() {
        let folder = tempfile::tempdir().unwrap();
        let bag = folder.path().join("bag");
        fs::create_dir_all(bag.join("data")).unwrap();
        let file = bag.join("data/a.mcap");
        fs::write(&file, "12").unwrap();
        let set_time = |s| {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(s);
            fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
        };
        set_time(5);
        let first = files(&bag).unwrap();
        assert_eq!(first, files(&bag.join("data/..")).unwrap(), "the same folder by another path");
        set_time(6);
        let later = files(&bag).unwrap();
        fs::write(&file, "123").unwrap();
        set_time(5);
        let longer = files(&bag).unwrap();
        fs::write(&file, "12").unwrap();
        set_time(5);
        assert_eq!(files(&bag).unwrap(), first);
        fs::write(bag.join("b.mcap"), "").unwrap();
        let more = files(&bag).unwrap();
        assert_eq!(HashSet::from([&first, &later, &longer, &more]).len(), 4);
        std::os::unix::fs::symlink(&bag, bag.join("data/circle")).unwrap();
        std::os::unix::fs::symlink("nowhere", bag.join("lost")).unwrap();
        assert_eq!(files(&bag).unwrap(), more);
        // A file on its own, with what sqlite3 keeps beside it.
        let alone = files(&file).unwrap();
        fs::write(bag.join("data/a.mcap-wal"), "x").unwrap();
        assert_ne!(files(&file).unwrap(), alone);
        assert!(files(&bag.join("none")).is_err());
    }

    #[test]
    fn the_cache_key_depends_on_installed_definitions_of_the_contract() {
        let folder = tempfile::tempdir().unwrap();
        let messages = folder.path().join("share/geometry_msgs/msg");
        fs::create_dir_all(&messages).unwrap();
        let installed = |name: &str, text: &str| {
            fs::write(messages.join(name), text).unwrap();
            super::installed(&parsed(SHIPPED), &AmentDefinitions::new([folder.path().into()]))
        };
        let first = installed("WrenchStamped.msg", "float64 x\n");
        assert_eq!(installed("Other.msg", "float64 x\n"), first);
        assert_ne!(installed("WrenchStamped.msg", "float32 x\n"), first);
    }
}
