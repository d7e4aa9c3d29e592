//! What there is to do: units of work (a participant-session), their scans, and what each scan needs.

use super::memory::Need;
use crate::bids::{Entities, Modality};
use crate::derivatives::outputs::Output;
use crate::run::event::{StageName, UnitId};
use crate::run::reason::{Reason, State};
use std::path::PathBuf;

/// Where a scan's voxels come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A NIfTI file.
    File(PathBuf),
    /// A volume generated from the labels (`--synthetic`).
    Synthetic {
        /// Participant label.
        participant: String,
        /// Session label.
        session: Option<String>,
        /// Seed of the run.
        seed: u64,
    },
}

/// One scan and everything that is known of it before it is read.
#[derive(Clone, Debug)]
pub struct ScanPlan {
    /// The file's name without extension, unique in its unit.
    pub id: String,
    /// What kind of image it is.
    pub modality: Modality,
    /// Where its voxels come from.
    pub source: Source,
    /// Its path relative to the dataset, for provenance.
    pub relative: PathBuf,
    /// The entities of its name.
    pub entities: Entities,
    /// The metadata after sidecar inheritance, as far as it is used ([`crate::derivatives::sidecar::used`]).
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// What is known to be wrong with it already; it will fail alone.
    pub problem: Option<Problem>,
    /// Size of the file in bytes; 0 when there is none to read.
    pub bytes: u64,
    /// The memory it takes at most.
    pub memory: Need,
    /// The files it will leave.
    pub outputs: Vec<Output>,
}

/// A reason, found while planning, why a scan will fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The code of the failure.
    pub code: crate::error::ErrorCode,
    /// What is wrong and where.
    pub message: String,
}

impl ScanPlan {
    /// `nifti` or `synthetic`: the `scan.format` attribute and `format` label.
    #[must_use]
    pub const fn format(&self) -> &'static str {
        match self.source {
            Source::File(_) => "nifti",
            Source::Synthetic { .. } => "synthetic",
        }
    }

    /// The size of the input in MB (10⁶ bytes).
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "file sizes are far below 2^52")]
    pub fn size_mb(&self) -> f64 {
        self.bytes as f64 / 1e6
    }

    /// The stages it will go through, in order.
    pub fn stages(&self) -> impl Iterator<Item = StageName> + '_ {
        StageName::ALL.into_iter().filter(|s| s.applies_to(self.modality))
    }
}

/// A participant-session: the unit that is run, marked and traced as one.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Participant and session.
    pub id: UnitId,
    /// The session label the caller used, kept in the marker's name (`unnamed` for data without sessions).
    pub marker_session: Option<String>,
    /// Its scans.
    pub scans: Vec<ScanPlan>,
    /// Whether an earlier run did it, and if so why it is or is not done again.
    pub state: State,
}

impl Unit {
    /// A unit that was never done.
    #[must_use]
    pub const fn new(marker_session: Option<String>, id: UnitId, scans: Vec<ScanPlan>) -> Self {
        Self { id, marker_session, scans, state: State::ToDo(Reason::NeverDone) }
    }

    /// Whether nothing is to be done.
    #[must_use]
    pub const fn done(&self) -> bool {
        self.state.is_kept()
    }

    /// The memory its scans take at most, in bytes, besides what threads have at hand: they run one after the other, and
    /// those that will fail are not read.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.scans.iter().filter(|s| s.problem.is_none()).map(|s| s.memory.bytes).max().unwrap_or(0)
    }
}

/// A whole run, ready to be done or shown.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The folder the scans are in.
    pub root: PathBuf,
    /// The folder everything is written to.
    pub output: PathBuf,
    /// The name of the dataset, for people and for provenance.
    pub name: String,
    /// What to do.
    pub units: Vec<Unit>,
    /// Every image of the dataset, also those not processed, for `--dry-run`.
    pub index: Vec<Indexed>,
    /// Files left out, and why.
    pub skipped: Vec<(PathBuf, String)>,
    /// What a person should know before the run.
    pub warnings: Vec<String>,
}

/// An image of the dataset as the index sees it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Indexed {
    /// Path relative to the dataset.
    pub path: PathBuf,
    /// `anat` or `func`.
    pub datatype: String,
    /// BIDS suffix.
    pub suffix: String,
    /// `.nii` or `.nii.gz`.
    pub extension: String,
    /// Entities in the order of the name.
    pub entities: serde_json::Map<String, serde_json::Value>,
    /// Metadata after inheritance; empty when a sidecar is broken.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// Whether this run will process it.
    pub selected: bool,
}

impl Plan {
    /// The number of scans to process, without those already done.
    #[must_use]
    pub fn scans_to_do(&self) -> usize {
        self.units.iter().filter(|u| !u.done()).map(|u| u.scans.len()).sum()
    }
}
