//! Why a synthetic dataset could not be written.

use nifti::NiftiError;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// A synthetic dataset that could not be written.
#[derive(Debug, Error)]
pub enum SynthError {
    /// What was asked for makes no dataset.
    #[error("no dataset can be made: {problem}; correct the option")]
    Request {
        /// What is wrong.
        problem: String,
    },
    /// The folder already holds something.
    #[error("{}: the folder is not empty; choose a new one, nothing is overwritten", dir.display())]
    NotEmpty {
        /// The folder asked for.
        dir: PathBuf,
    },
    /// A folder could not be made or listed.
    #[error("{}: the folder cannot be used ({source}); choose one that you may write to", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("{}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: NiftiError,
    },
}
