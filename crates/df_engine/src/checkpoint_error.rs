//! Why a checkpoint cannot be read, written or used.

use std::path::PathBuf;

use df_core::ConfigError;

/// Why a checkpoint cannot be read, written or used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A file or directory cannot be read or written.
    #[error("{}: {cause}", path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        cause: std::io::Error,
    },
    /// A file is damaged, of another format, or does not fit the others.
    #[error("{}: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The contract in the checkpoint cannot be read.
    #[error("the checkpoint's own configuration: {0}")]
    Config(ConfigError),
    /// Under the configuration the weights would be misread.
    #[error("{}: trained under another contract: {key} is {trained} in the checkpoint and {configured} in the configuration", path.display())]
    OtherContract {
        /// The checkpoint.
        path: PathBuf,
        /// The first key that differs.
        key: String,
        /// Its value in the checkpoint.
        trained: String,
        /// Its value in the configuration.
        configured: String,
    },
    /// The engine does not evaluate networks of this architecture.
    #[error("{}: holds a network of the reference architecture, which device `cpu` does not evaluate: use another device", path.display())]
    Architecture {
        /// The checkpoint.
        path: PathBuf,
    },
}
