//! The ledger of a participant-session: one entry for each scan that is done, written after each scan, so that a run that is
//! killed or has a scan that fails keeps the others. It says what the outputs were made from and what they were then, for
//! later runs to compare (`plan`), and holds the scan's part of the summary.

use super::save::SavedFile;
use super::summary::{ScanSummary, session_file};
use super::{DerivativeError, atomic};
use crate::files::{self, NotRead};
use crate::vocabulary::SessionId;
use jiff::Timestamp;
use nifti::Fingerprint;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// What the ledger holds; a change of the fields is a new form.
const FORM: u32 = 6;

/// One scan: what its outputs were made from, and what they were when they were written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DoneScan {
    /// Path relative to the dataset.
    pub path: PathBuf,
    /// Where the voxels came from.
    pub input: Input,
    /// What the sidecars said, as far as it is used.
    pub metadata: Map<String, Value>,
    /// The options that shaped the outputs ([`crate::vocabulary::Wanted::shaping`]).
    #[serde(skip_serializing_if = "Map::is_empty", default)]
    pub options: Map<String, Value>,
    /// Whether something was odd about it, which `--strict` refuses.
    pub odd: bool,
    /// Whether its tissues could not be told apart, so that it has no maps of them.
    pub without_tissues: bool,
    /// Whether it was to be brought to other spaces and there was no anatomy for that.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub without_anatomy: bool,
    /// The T1w image that a run was laid onto.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub anatomy: Option<UsedAnatomy>,
    /// Other files that had a part in it (those of its fieldmap, masks of lesions), as they were when they were read, each with
    /// its path in the dataset.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub beside: Vec<(PathBuf, Fingerprint)>,
    /// Whether a run has a fieldmap that was left out.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub without_field: bool,
    /// The outputs, relative to the output folder.
    pub outputs: Vec<SavedFile>,
}

/// The T1w image that a run was laid onto, as its own entry told then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedAnatomy {
    /// Path relative to the dataset.
    pub path: PathBuf,
    /// When it was done.
    pub finished: Timestamp,
}

/// Where the voxels of a scan came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Input {
    /// A file, as it was when it was read.
    File(Fingerprint),
    /// The echoes of a run, each with its path in the dataset.
    Echoes(Vec<(PathBuf, Fingerprint)>),
}

/// One scan that is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// What was made of what.
    #[serde(flatten)]
    pub done: DoneScan,
    /// When its last output was there.
    pub finished: Timestamp,
    /// What the summary says of it.
    pub summary: ScanSummary,
}

/// What is done of a participant-session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// Which fields there are.
    form: u32,
    /// With `sub-`.
    participant_id: String,
    /// With `ses-`, as the caller named it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    session_id: Option<String>,
    /// Version of the program.
    version: String,
    /// What is done, in the order of the paths.
    pub scans: Vec<Entry>,
}

/// Why a ledger says nothing.
#[derive(Debug, Error)]
pub enum NoLedger {
    /// The file is not there or cannot be read.
    #[error("it {0}")]
    File(#[from] NotRead),
    /// It is no JSON of a ledger.
    #[error("it is damaged: {0}")]
    Damaged(#[from] serde_json::Error),
    /// Another version has written it, which says less or more.
    #[error("it has another format; this version processes the session again")]
    Form,
}

/// What ledgers of all forms have.
#[derive(Deserialize)]
struct Head {
    form: u32,
}

impl Ledger {
    /// One without entries.
    #[must_use]
    pub fn new(id: &SessionId, session: Option<&str>) -> Self {
        Self {
            form: FORM,
            participant_id: format!("sub-{}", id.participant),
            session_id: session.map(|s| format!("ses-{s}")),
            version: env!("CARGO_PKG_VERSION").into(),
            scans: Vec::new(),
        }
    }

    /// The ledger in a file, whichever version and session it is of.
    ///
    /// # Errors
    /// [`NoLedger`].
    pub fn load(file: &Path) -> Result<Self, NoLedger> {
        let bytes = files::read(file, files::TABLE)?;
        let head: Head = serde_json::from_slice(&bytes)?;
        if head.form != FORM { Err(NoLedger::Form) } else { Ok(serde_json::from_slice(&bytes)?) }
    }

    /// The ledger that this version has left for a session. One of another version or form, of another session, or that
    /// cannot be read counts as none: what it says is done again.
    #[must_use]
    pub fn read(output: &Path, id: &SessionId, session: Option<&str>) -> Option<Self> {
        let found = Self::load(&place(output, id, session)).ok()?;
        let Self { participant_id, session_id, version, .. } = Self::new(id, session);
        let head = (&participant_id, &session_id, &version);
        (head == (&found.participant_id, &found.session_id, &found.version)).then_some(found)
    }

    /// The entry of a scan by its path in the dataset.
    #[must_use]
    pub fn entry(&self, scan: &Path) -> Option<&Entry> {
        self.scans.iter().find(|entry| entry.done.path == scan)
    }

    /// Notes the times that inputs have now, their content being what it was, so that the next run need not read them.
    pub fn retime(&mut self, touched: &[(PathBuf, Option<Timestamp>)]) {
        retime(self.scans.iter_mut().map(|entry| &mut entry.done), touched);
    }

    /// Writes the ledger whole, and syncs it to disk. The outputs it lists must be synced already.
    ///
    /// # Errors
    /// [`DerivativeError::Write`].
    pub fn write(&self, output: &Path, id: &SessionId, session: Option<&str>) -> Result<(), DerivativeError> {
        let file = place(output, id, session);
        atomic::write_json(file.clone(), self)?;
        atomic::sync_folder(file.parent().unwrap_or(output))
    }
}

/// Sets the times of the inputs that were touched.
pub(super) fn retime<'s>(scans: impl Iterator<Item = &'s mut DoneScan>, touched: &[(PathBuf, Option<Timestamp>)]) {
    for scan in scans {
        let now = |file: &Path| touched.iter().find(|(path, _)| path == file).map(|(_, modified)| *modified);
        match &mut scan.input {
            Input::File(print) => print.modified = now(&scan.path).unwrap_or(print.modified),
            Input::Echoes(prints) => {
                prints.iter_mut().for_each(|(path, print)| print.modified = now(path).unwrap_or(print.modified));
            }
        }
    }
}

fn place(output: &Path, id: &SessionId, session: Option<&str>) -> PathBuf {
    output.join(session_file(id, session, "ledger"))
}
