//! What a run leaves behind: BIDS derivatives with their sidecars, the dataset's description, markers and summaries.

pub mod atomic;
pub mod claim;
pub mod dataset;
mod field_sidecar;
mod hint;
pub mod ledger;
pub mod links;
pub mod marker;
pub mod measured;
pub mod outputs;
pub mod save;
pub mod sidecar;
pub mod summary;
pub mod temporary;
pub mod verify;

use crate::error::{Coded, ErrorCode};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// An output that could not be written or read back.
#[derive(Debug, Error)]
pub enum DerivativeError {
    /// Writing failed; nothing partial is left under the name.
    #[error("cannot write {}: {source}{}", path.display(), hint::hint(path, source.as_ref()))]
    Write {
        /// The final path.
        path: PathBuf,
        /// What the system said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A folder cannot be listed or a file not removed.
    #[error("cannot use {}: {source}{}", path.display(), hint::hint(path, source))]
    Access {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Removes what killed runs left of the files of the whole dataset; a session's own go when it is done.
pub fn clear(output: &Path) {
    claim::Claim::sweep(output);
    temporary::sweep([output, &output.join("logs")]);
}

impl DerivativeError {
    /// Whether no other output can be written either: the disk is full or can only be read, say.
    #[must_use]
    pub fn is_hopeless(&self) -> bool {
        match self {
            Self::Write { source, .. } => hint::is_hopeless(source.as_ref()),
            Self::Access { source, .. } => hint::is_hopeless(source),
        }
    }
}

impl Coded for DerivativeError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Write { .. } | Self::Access { .. } => ErrorCode::WriteFailed,
        }
    }
}
