//! The verb `verify`: whether outputs are what was written.

use super::say;
use crate::cli::exit::ExitStatus;
use crate::cli::{Format, VerifyConfig};
use crate::derivatives::DerivativeError;
use crate::derivatives::verify::{Fault, FaultKind, Verified, verify};
use crate::error::{Coded, ErrorCode};
use crate::printable;
use crate::run::pool::{self, PoolError};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Why nothing was verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Nothing was processed there.
    #[error("{}: no ledger of a run is there; name the folder with dataset_description.json and sub-*", path.display())]
    Nothing {
        /// The folder.
        path: PathBuf,
    },
    /// The folder cannot be listed.
    #[error(transparent)]
    Files(#[from] DerivativeError),
    /// The threads cannot be started.
    #[error(transparent)]
    Pool(#[from] PoolError),
}

impl Coded for VerifyError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Nothing { .. } => ErrorCode::InputMissing,
            // Nothing was to be written.
            Self::Files(_) => ErrorCode::ReadFailed,
            Self::Pool(_) => ErrorCode::OutOfMemory,
        }
    }
}

/// Reads every output and names those that are not as they were written.
///
/// # Errors
/// [`VerifyError`].
pub fn run(config: &VerifyConfig) -> Result<ExitStatus, VerifyError> {
    let found = pool::within(config.threads, || verify(&config.derivatives))??;
    if found.sessions == 0 && found.faults.is_empty() {
        return Err(VerifyError::Nothing { path: config.derivatives.clone() });
    }
    say(&match config.format {
        Format::Json => format!("{:#}\n", as_json(&found)),
        Format::Text => as_text(&found),
    });
    Ok(if found.faults.is_empty() { ExitStatus::Success } else { ExitStatus::ScanFailed })
}

fn counts(found: &Verified) -> impl Iterator<Item = (FaultKind, usize)> {
    FaultKind::ALL.into_iter().map(|kind| (kind, found.faults.iter().filter(|fault| fault.kind == kind).count()))
}

fn as_text(found: &Verified) -> String {
    let line = |fault: &Fault| {
        format!("{}: {}: {}\n", fault.kind.as_str(), printable::path(&fault.path), printable::line(&fault.why))
    };
    let mut text: String = found.faults.iter().map(line).collect();
    #[expect(clippy::cast_precision_loss, reason = "shown with a few digits")]
    let megabytes = found.bytes as f64 / 1e6;
    let Verified { files, sessions, .. } = found;
    let counts: Vec<String> =
        counts(found).filter(|(_, n)| *n > 0).map(|(kind, n)| format!("{n} {}", kind.as_str())).collect();
    let outcome = if counts.is_empty() { "all as they were written".to_owned() } else { counts.join(", ") };
    text.push_str(&format!("{files} outputs of {sessions} participant-sessions, {megabytes:.1} MB: {outcome}\n"));
    if found.faults.iter().any(|fault| fault.kind != FaultKind::Extra) {
        text.push_str("what to do: the command of the run with --resume verify makes missing and changed ones again\n");
    }
    text
}

fn as_json(found: &Verified) -> Value {
    let faults = found.faults.iter();
    let fault =
        |fault: &Fault| json!({ "path": fault.path.to_string_lossy(), "kind": fault.kind.as_str(), "why": fault.why });
    let counts: serde_json::Map<String, Value> =
        counts(found).map(|(kind, n)| (kind.as_str().to_owned(), n.into())).collect();
    json!({
        "sessions": found.sessions,
        "files": found.files,
        "bytes": found.bytes,
        "ok": found.faults.is_empty(),
        "counts": counts,
        "faults": faults.map(fault).collect::<Vec<_>>(),
    })
}
