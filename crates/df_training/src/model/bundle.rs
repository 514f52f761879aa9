//! A directory that is whole or not there: filled beside its place, put on the disk, and put in its place in one step.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::CheckpointError;

/// Fills a new directory with `fill` and puts it in the place of `directory`. A process that is killed at any moment, a full
/// disk or an error of `fill` leave what was there.
///
/// # Errors
/// Those of `fill` and of the file system.
pub fn replace<E: From<CheckpointError>>(directory: &Path, fill: impl FnOnce(&Path) -> Result<(), E>) -> Result<(), E> {
    let at = |path: &Path| {
        let path = path.to_path_buf();
        move |cause| CheckpointError::File { path, cause }
    };
    remove_abandoned(directory);
    let new = beside(directory, std::process::id());
    let _ = fs::remove_dir_all(&new);
    fs::create_dir_all(&new).map_err(at(&new))?;
    let filled = fill(&new)
        .and_then(|()| Ok(sync(&new).map_err(at(&new))?))
        .and_then(|()| Ok(exchange(&new, directory).map_err(at(directory))?));
    // The old one by now, or what could not be finished.
    let _ = fs::remove_dir_all(&new);
    filled
}

fn beside(directory: &Path, process: u32) -> PathBuf {
    let mut name = directory.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".new-{process}"));
    directory.with_file_name(name)
}

/// What a process that was killed has left.
fn remove_abandoned(directory: &Path) {
    let Some(entries) = directory.parent().and_then(|parent| fs::read_dir(parent).ok()) else { return };
    for entry in entries.flatten() {
        let process = directory.file_name().and_then(|of| {
            entry.file_name().to_str()?.strip_prefix(of.to_str()?)?.strip_prefix(".new-")?.parse::<u32>().ok()
        });
        if process.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn sync(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        File::open(entry?.path())?.sync_all()?;
    }
    File::open(directory)?.sync_all()
}

fn exchange(new: &Path, directory: &Path) -> io::Result<()> {
    if !directory.exists() {
        return fs::rename(new, directory);
    }
    if renameat_with(CWD, new, CWD, directory, RenameFlags::EXCHANGE).is_ok() {
        return Ok(());
    }
    // A file system that cannot exchange: for a moment neither is there.
    let old = beside(directory, 0);
    let _ = fs::remove_dir_all(&old);
    fs::rename(directory, &old)?;
    fs::rename(new, directory)?;
    fs::remove_dir_all(&old)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_new_takes_the_place_of_the_old_only_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("model");
        let write = |text: &'static str| {
            move |new: &Path| {
                fs::write(new.join("a"), text).unwrap();
                Ok::<_, CheckpointError>(())
            }
        };
        replace(&place, write("one")).unwrap();
        replace(&place, write("two")).unwrap();
        assert_eq!(fs::read_to_string(place.join("a")).unwrap(), "two");
        let broken = replace(&place, |new| {
            fs::write(new.join("a"), "half").unwrap();
            Err(CheckpointError::File { path: new.into(), cause: io::ErrorKind::StorageFull.into() })
        });
        assert!(broken.is_err());
        assert_eq!(fs::read_to_string(place.join("a")).unwrap(), "two");
        assert_eq!(names(folder.path()), ["model"]);
    }

    #[test]
    fn what_a_killed_process_has_left_is_removed_and_what_others_are_at_stays() {
        let folder = tempfile::tempdir().unwrap();
        // Beyond the largest process number of Linux (4194304); and the number of a process that is there.
        for name in ["model.new-4194305", "model.new-1", "model.newer", "other.new-4194305"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        replace(&folder.path().join("model"), |_| Ok::<_, CheckpointError>(())).unwrap();
        assert_eq!(names(folder.path()), ["model", "model.new-1", "model.newer", "other.new-4194305"]);
    }
}
