//! The extraction: one table of what runs measured and used, from the derivatives alone.

use super::say;
use crate::cli::ExtractConfig;
use crate::cli::exit::ExitStatus;
use crate::derivatives::DerivativeError;
use crate::error::{Coded, ErrorCode};
use crate::tables::idps::write_idps;
use std::path::PathBuf;

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// Nothing was processed there.
    #[error("{}: no summary of a run is there; name the folder with dataset_description.json and sub-*", path.display())]
    Nothing {
        /// The folder.
        path: PathBuf,
    },
    /// The derivatives cannot be read or the table not be written.
    #[error(transparent)]
    Files(#[from] DerivativeError),
}

impl Coded for ExtractError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Nothing { .. } => ErrorCode::InputMissing,
            Self::Files(e) => e.code(),
        }
    }
}

/// Writes the table and says what is in it. Failed participant-sessions are rows of it, not a failure of the table.
///
/// # Errors
/// [`ExtractError`].
pub fn run(config: &ExtractConfig) -> Result<ExitStatus, ExtractError> {
    let made = write_idps(&config.derivatives, &config.table)?;
    if made.units == 0 {
        return Err(ExtractError::Nothing { path: config.derivatives.clone() });
    }
    say(&format!("{}: {} participant-sessions, {} failed\n", config.table.display(), made.units, made.failed));
    Ok(ExitStatus::Success)
}
