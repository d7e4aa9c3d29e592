//! What can be wrong with a study folder.

use std::path::PathBuf;

use crate::error::{Coded, ErrorCode};

/// A failure of reading a study.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NipoppyError {
    /// The folder has no `.nipoppy/`.
    #[error("{}: not a Nipoppy study: it has no folder .nipoppy", root.display())]
    NotAStudy {
        /// The folder as given.
        root: PathBuf,
    },
    /// No layout of Nipoppy fits.
    #[error("{}: the study has no manifest; looked for {}", root.display(), places.join(", "))]
    NoManifest {
        /// The study.
        root: PathBuf,
        /// Where it could have been.
        places: Vec<&'static str>,
    },
    /// A table cannot be read as tab-separated text.
    #[error("{}: {reason}", path.display())]
    BadTable {
        /// The table.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// A column is missing.
    #[error("{}: the column {column} is missing; there are: {}", path.display(), present.join(", "))]
    NoColumn {
        /// The table.
        path: PathBuf,
        /// The column.
        column: &'static str,
        /// The columns that are there.
        present: Vec<String>,
    },
    /// A value of a row cannot be used.
    #[error("{}, line {line}: {column} is {value:?}: {rule}", path.display())]
    BadValue {
        /// The table.
        path: PathBuf,
        /// Counted from 1, the header included.
        line: u64,
        /// The column.
        column: &'static str,
        /// The value as it stands there.
        value: String,
        /// What it should be.
        rule: String,
    },
    /// The tables are right and name nothing to process.
    #[error("{}: {reason}", path.display())]
    Nothing {
        /// The table that decided.
        path: PathBuf,
        /// What to do about it.
        reason: &'static str,
    },
}

impl Coded for NipoppyError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Nothing { .. } => ErrorCode::NothingMatches,
            _ => ErrorCode::NipoppyInvalid,
        }
    }
}
