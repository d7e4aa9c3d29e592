//! Errors of a dataset or of a selection from it.

use std::fmt;
use std::path::PathBuf;

use super::label::LabelError;
use crate::error::{Coded, ErrorCode};

/// A failure of reading, selecting from, or inheriting within a dataset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BidsError {
    /// There is nothing under that path.
    #[error("{}: no such folder", root.display())]
    Missing {
        /// The dataset's folder as given.
        root: PathBuf,
    },
    /// The path is a file, or has no `dataset_description.json`.
    #[error("{}: not a BIDS dataset: {reason}", root.display())]
    NotBids {
        /// The dataset's folder as given.
        root: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// The folder lies in a dataset, or datasets lie in it.
    #[error("{}: not a BIDS dataset: {meant}", root.display())]
    NotTheRoot {
        /// The folder as given.
        root: PathBuf,
        /// Where the datasets are and what to give.
        meant: String,
    },
    /// The folder holds what a scanner sends.
    #[error("{}: not a BIDS dataset: it holds DICOM files, such as {}", root.display(), example.display())]
    Dicom {
        /// The folder as given.
        root: PathBuf,
        /// One of the files.
        example: PathBuf,
    },
    /// `dataset_description.json` breaks a rule.
    #[error("{}: {reason}", path.display())]
    BadDescription {
        /// The file.
        path: PathBuf,
        /// The rule.
        reason: String,
    },
    /// Two folders differ only in case, so outputs would overwrite each other on many disks.
    #[error("{} and {} differ only in upper and lower case; rename one of them", first.display(), second.display())]
    CaseCollision {
        /// One folder, relative to the dataset.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// The dataset's folder cannot be listed.
    #[error("{}: cannot be listed: {reason}", path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// A sidecar that applies to a scan is not a JSON object.
    #[error("{}: {reason}", path.display())]
    BadSidecar {
        /// The sidecar, below the dataset as given.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Two sidecars in one folder apply to a scan, neither is more specific, and they disagree.
    #[error("{} and {} both apply to one scan and disagree about {key}; keep one value", first.display(), second.display())]
    SidecarConflict {
        /// One sidecar, relative to the dataset.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// The metadata key.
        key: String,
    },
    /// Two files have the name of one scan.
    #[error("{} and {} claim to be the same scan", path.display(), other.display())]
    DuplicateScan {
        /// The scan, relative to the dataset.
        path: PathBuf,
        /// The file it collides with.
        other: PathBuf,
    },
    /// A selected label is not a valid label.
    #[error(transparent)]
    BadLabel(#[from] LabelError),
    /// Selected labels are not in the dataset.
    #[error("{}", describe(*kind, unknown, *more))]
    UnknownLabels {
        /// Of what.
        kind: LabelKind,
        /// The first few labels, each with the nearest that exist.
        unknown: Vec<UnknownLabel>,
        /// How many more there are.
        more: usize,
    },
    /// The filter file cannot be used.
    #[error("{}: {reason}", path.display())]
    BadFilter {
        /// The file.
        path: PathBuf,
        /// The key and value that are wrong, and what would be right.
        reason: String,
    },
    /// The selection is valid and empty.
    #[error("nothing to process: {reason}")]
    NothingMatches {
        /// Which step left nothing.
        reason: String,
    },
}

/// What an unknown label should have named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelKind {
    /// A participant.
    Participant,
    /// A session of the selected participants.
    Session,
    /// A task of a bold run.
    Task,
}

impl fmt::Display for LabelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Participant => "participant",
            Self::Session => "session",
            Self::Task => "task",
        })
    }
}

/// A label that is not in the dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownLabel {
    /// As selected, without `sub-` or `ses-`.
    pub label: String,
    /// The nearest that exist, closest first; empty when there are none at all.
    pub nearest: Vec<String>,
}

fn describe(kind: LabelKind, unknown: &[UnknownLabel], more: usize) -> String {
    let place = match kind {
        LabelKind::Participant | LabelKind::Task => "not in the dataset",
        LabelKind::Session => "not in the dataset for any selected participant",
    };
    let one = |u: &UnknownLabel| match u.nearest.as_slice() {
        [] => format!("{kind} {} is {place}, which has no {kind}s", u.label),
        // What people get wrong most: leading zeros and case.
        [meant, ..] if super::nearest::alike(&u.label, meant) => {
            format!("{kind} {} is {place}, but {meant} is", u.label)
        }
        nearest => format!("{kind} {} is {place} (nearest: {})", u.label, nearest.join(", ")),
    };
    let mut text = unknown.iter().map(one).collect::<Vec<_>>().join("; ");
    if more > 0 {
        text.push_str(&format!("; and {more} more"));
    }
    text
}

impl Coded for BidsError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Missing { .. } => ErrorCode::InputMissing,
            Self::NotBids { .. } => ErrorCode::NotBids,
            Self::NotTheRoot { .. } => ErrorCode::NotTheRoot,
            Self::Dicom { .. } => ErrorCode::Dicom,
            Self::BadDescription { .. } | Self::CaseCollision { .. } => ErrorCode::DatasetInvalid,
            Self::Unreadable { .. } => ErrorCode::ReadFailed,
            Self::BadSidecar { .. } | Self::SidecarConflict { .. } => ErrorCode::BadSidecar,
            Self::DuplicateScan { .. } => ErrorCode::DuplicateScan,
            Self::BadLabel(error) => error.code(),
            Self::UnknownLabels { .. } => ErrorCode::UnknownLabel,
            Self::BadFilter { .. } => ErrorCode::ConfigInvalid,
            Self::NothingMatches { .. } => ErrorCode::NothingMatches,
        }
    }
}
