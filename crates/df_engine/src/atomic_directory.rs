//! Replaces a directory in one step: it is filled beside its place, synchronised to the disk, and exchanged with the
//! old one.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::checkpoint_error::CheckpointError;

/// Fills a new directory with `fill` and puts it in the place of `directory`. If the process is killed, the disk is
/// full or `fill` fails, the old directory stays.
///
/// # Errors
/// Those of `fill` and of the file system.
pub fn replace_directory<E: From<CheckpointError>>(
    directory: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
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
    // By now this is the old directory, or one that could not be finished.
    let _ = fs::remove_dir_all(&new);
    filled
}

/// The name of a new directory beside `directory` while a process fills it.
fn beside(directory: &Path, process: u32) -> PathBuf {
    let mut name = directory.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".new-{process}"));
    directory.with_file_name(name)
}

/// Removes the unfinished directories of processes that were killed.
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
    // This file system cannot exchange: for a moment there is neither directory.
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
    fn the_new_directory_replaces_the_old_one_only_when_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("model");
        let write = |text: &'static str| {
            move |new: &Path| {
                fs::write(new.join("a"), text).unwrap();
                Ok::<_, CheckpointError>(())
            }
        };
        replace_directory(&place, write("one")).unwrap();
        replace_directory(&place, write("two")).unwrap();
        assert_eq!(fs::read_to_string(place.join("a")).unwrap(), "two");
        let broken = replace_directory(&place, |new| {
            fs::write(new.join("a"), "half").unwrap();
            Err(CheckpointError::File { path: new.into(), cause: io::ErrorKind::StorageFull.into() })
        });
        assert!(broken.is_err());
        assert_eq!(fs::read_to_string(place.join("a")).unwrap(), "two");
        assert_eq!(names(folder.path()), ["model"]);
    }

    #[test]
    fn unfinished_directories_of_killed_processes_are_removed_and_those_of_running_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        // A process number beyond the largest of Linux (4194304), and that of a running process.
        for name in ["model.new-4194305", "model.new-1", "model.newer", "other.new-4194305"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        replace_directory(&folder.path().join("model"), |_| Ok::<_, CheckpointError>(())).unwrap();
        assert_eq!(names(folder.path()), ["model", "model.new-1", "model.newer", "other.new-4194305"]);
    }
}
