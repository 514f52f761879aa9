//! What identifies a checkpoint: a hash of its files.

use std::fs::File;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::checkpoint::{CONTRACT, DESCRIPTION, WEIGHTS};
use crate::checkpoint_error::CheckpointError;

/// SHA-256 of a checkpoint's files one after the other, in hexadecimal digits: what
/// `cat checkpoint.json contract.yaml weights.bpk | sha256sum` prints.
///
/// # Errors
/// [`CheckpointError::File`]: one of the files cannot be read.
pub fn checkpoint_digest(directory: &Path) -> Result<String, CheckpointError> {
    let mut hasher = Sha256::new();
    for name in [DESCRIPTION, CONTRACT, WEIGHTS] {
        let path = directory.join(name);
        let read = File::open(&path).and_then(|mut file| io::copy(&mut file, &mut hasher));
        read.map_err(|cause| CheckpointError::File { path, cause })?;
    }
    Ok(format!("{:x}", hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_the_sha256_of_all_files_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write(DESCRIPTION, "a");
        write(CONTRACT, "b");
        let missing = checkpoint_digest(folder.path()).unwrap_err();
        assert!(missing.to_string().contains(WEIGHTS), "{missing}");
        write(WEIGHTS, "c");
        // SHA-256 of "abc": FIPS 180-4, example B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(checkpoint_digest(folder.path()).unwrap(), abc);
        write(WEIGHTS, "d");
        assert_ne!(checkpoint_digest(folder.path()).unwrap(), abc);
    }
}
