//! Keeps frames between runs: one file per input and contract, found by its key. The files used least recently are
//! removed when all together exceed `training.cache_gb`.
//!
//! A file is written as `KEY-*.part` and renamed when it is complete. Every file is checked before use: one that is
//! damaged or has another key is written again.

mod file;
mod key;

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

pub(crate) use file::{EpisodeRecord, FrameFile, FrameWriter};
pub(crate) use key::Keys;

/// Extensions: a complete file, a file that is being written, and the lock of its writer.
const FRAMES: &str = "frames";
const PART: &str = "part";
const LOCK: &str = "lock";
/// An unfinished file older than this is removed, unless its writer still holds the lock.
const ABANDONED: Duration = Duration::from_secs(60);

/// Where frames are kept between runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CachePlace {
    /// `$XDG_CACHE_HOME/df_planner` or `~/.cache/df_planner`.
    #[default]
    Standard,
    /// This directory.
    At(PathBuf),
    /// Unnamed files in the directory for temporary files; they vanish with the process.
    Temporary,
}

/// Why frames cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("the frames cannot be kept in {}: {cause}; another place: --cache DIR, or --no-cache for {}", directory.display(), std::env::temp_dir().display())]
pub struct CacheError {
    /// Where they were to be kept.
    pub directory: PathBuf,
    /// What the operating system says.
    pub cause: io::Error,
}

/// The files of frames of this user, or none.
pub(crate) struct Cache {
    directory: Option<PathBuf>,
    /// What was done beside reading and writing, for people.
    pub notices: Vec<String>,
}

impl Cache {
    /// # Errors
    /// The directory cannot be made.
    pub(crate) fn open(place: &CachePlace) -> Result<Self, CacheError> {
        let mut notices = Vec::new();
        let directory = match place {
            CachePlace::Temporary => None,
            CachePlace::At(directory) => Some(directory.clone()),
            CachePlace::Standard => {
                standard(std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from), std::env::home_dir())
            }
        };
        if directory.is_none() && *place == CachePlace::Standard {
            notices.push("neither XDG_CACHE_HOME nor HOME says where: frames are not kept for the next run".into());
        }
        if let Some(directory) = &directory {
            // XDG: for the user alone.
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
            made.map_err(|cause| CacheError { directory: directory.clone(), cause })?;
        }
        Ok(Self { directory, notices })
    }

    fn error(&self, cause: io::Error) -> CacheError {
        CacheError { directory: self.directory.clone().unwrap_or_else(std::env::temp_dir), cause }
    }

    /// The frames of a key, if they are there and whole.
    pub(crate) fn find(&mut self, key: &str) -> Option<FrameFile> {
        let path = self.directory.as_ref()?.join(key).with_extension(FRAMES);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                self.notices.push(format!("{}: cannot be read and is written anew: {error}", path.display()));
                return None;
            }
        };
        // The time of last use decides which file is removed first. If it cannot be set, the file is removed earlier.
        let _ = file.set_modified(SystemTime::now());
        let found = FrameFile::open(file, key);
        if !matches!(found, Ok(Some(_))) {
            let reason = found.as_ref().err().map_or("damaged".into(), ToString::to_string);
            self.notices.push(format!("{}: {reason}: the recording is read again", path.display()));
        }
        found.ok().flatten()
    }

    /// Writes the frames of a key by `fill`, which returns the report. A second writer of the same key waits for the
    /// first.
    ///
    /// # Errors
    /// Of `fill`; or the file cannot be written.
    pub(crate) fn write<E: From<CacheError>>(
        &mut self,
        key: &str,
        begin: impl FnOnce(File) -> FrameWriter,
        fill: impl FnOnce(&mut FrameWriter) -> Result<Vec<String>, E>,
    ) -> Result<FrameFile, E> {
        let Some(directory) = self.directory.clone() else {
            let mut writer = begin(tempfile::tempfile().map_err(|cause| self.error(cause))?);
            let report = fill(&mut writer)?;
            return Ok(writer.finish(report).map_err(|cause| self.error(cause))?);
        };
        let path = directory.join(key).with_extension(FRAMES);
        let lock = Lock::take(path.with_extension(LOCK));
        if lock.as_ref().is_some_and(|lock| lock.waited)
            && let Some(found) = self.find(key)
        {
            return Ok(found);
        }
        let part =
            tempfile::Builder::new().prefix(&format!("{key}-")).suffix(&format!(".{PART}")).tempfile_in(&directory);
        let (file, part) = part.map_err(|cause| self.error(cause))?.into_parts();
        // Marks the file as being written. Without file locks, abandoned files stay.
        let _ = file.try_lock();
        let mut writer = begin(file);
        let report = fill(&mut writer)?;
        let keep = || {
            let written = writer.finish(report)?;
            fs::set_permissions(&part, fs::Permissions::from_mode(0o400))?;
            part.persist(&path)?;
            Ok(written)
        };
        Ok(keep().map_err(|cause| self.error(cause))?)
    }

    /// Removes the files that were not used for longest until all together have at most `bytes_max`, but none of
    /// `keys`; and what was left unfinished.
    ///
    /// # Errors
    /// The directory cannot be read. A file that cannot be removed stays.
    pub(crate) fn limit(&mut self, bytes_max: u64, keys: &[Keys]) -> Result<(), CacheError> {
        let Some(directory) = self.directory.clone() else { return Ok(()) };
        let (mut kept, mut total, mut own) = (Vec::new(), 0u64, 0u64);
        for entry in fs::read_dir(&directory).map_err(|cause| self.error(cause))?.flatten() {
            let (path, Ok(about)) = (entry.path(), entry.metadata()) else { continue };
            let (extension, stem) = (path.extension(), path.file_stem().unwrap_or_default());
            let used = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            if extension.is_some_and(|e| e == PART || e == LOCK) && is_abandoned(&path, used) {
                // Another process may have removed it.
                let _ = fs::remove_file(&path);
            } else if extension.is_some_and(|e| e == FRAMES) {
                total += about.len();
                if keys.iter().any(|keys| stem == keys.alone.as_str() || stem == keys.with_others.as_str()) {
                    own += about.len();
                } else {
                    kept.push((used, about.len(), path));
                }
            }
        }
        kept.sort();
        for (_, size, path) in kept {
            if total > bytes_max && fs::remove_file(&path).is_ok() {
                total -= size;
                self.notices.push(format!("{}: removed to stay below training.cache_gb", path.display()));
            }
        }
        if own > bytes_max {
            let gb = |bytes: u64| bytes as f64 / 1e9;
            self.notices.push(format!(
                "the frames of this run take {:.3} GB, more than training.cache_gb: {:.3}",
                gb(own),
                gb(bytes_max)
            ));
        }
        Ok(())
    }
}

/// By the XDG base directory specification, in which a relative path does not count.
fn standard(xdg_cache_home: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    let cache = xdg_cache_home.filter(|path| path.is_absolute());
    let cache = cache.or_else(|| home.filter(|path| path.is_absolute()).map(|home| home.join(".cache")));
    cache.map(|cache| cache.join("df_planner"))
}

fn is_abandoned(part: &Path, last_written: SystemTime) -> bool {
    let old = last_written.elapsed().is_ok_and(|age| age > ABANDONED);
    old && File::open(part).is_ok_and(|file| file.try_lock().is_ok())
}

/// Marks a key as being written, so that two processes do not do the same work. It is only an optimisation: two writers
/// at once are correct. A file system without locks and a lock that is removed while another process waits therefore do
/// no harm.
struct Lock {
    path: PathBuf,
    waited: bool,
    _file: File,
}

impl Lock {
    fn take(path: PathBuf) -> Option<Self> {
        let file = File::create(&path).ok()?;
        let waited = match file.try_lock() {
            Ok(()) => false,
            Err(TryLockError::WouldBlock) => file.lock().is_ok(),
            Err(TryLockError::Error(_)) => return None,
        };
        Some(Self { path, waited, _file: file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A lock file that stays is empty and harmless.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_place_is_that_of_xdg() {
        let place = |xdg: Option<&str>, home: Option<&str>| {
            let place = standard(xdg.map(PathBuf::from), home.map(PathBuf::from));
            place.map(|place| place.display().to_string())
        };
        assert_eq!(place(Some("/c"), Some("/h")).unwrap(), "/c/df_planner");
        assert_eq!(place(Some("relative"), Some("/h")).unwrap(), "/h/.cache/df_planner");
        assert_eq!(place(None, Some("/h")).unwrap(), "/h/.cache/df_planner");
        assert_eq!((place(Some(""), None), place(None, Some(""))), (None, None));
    }
}
