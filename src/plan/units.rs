//! What there is to do: units of work (a participant-session), their scans, and what each scan needs.

use super::PlanError;
use super::fieldmap::FieldmapPlan;
use super::images::Images;
use crate::bids::{Entities, Modality};
use crate::derivatives::outputs::{Output, outputs_of, outputs_of_echoes, outputs_of_field};
use crate::error::Coded;
use crate::vocabulary::{OutputLevel, Reason, SessionId, Stage, State, Wanted};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// The format of all scans: the `scan.format` attribute and `format` label.
pub const FORMAT: &str = "nifti";

/// One echo of a multi-echo run.
#[derive(Clone, Debug, PartialEq)]
pub struct Echo {
    /// Its file.
    pub path: PathBuf,
    /// The same relative to the dataset.
    pub relative: PathBuf,
    /// The number in its name.
    pub label: String,
    /// Echo time, s.
    pub seconds: f64,
}

/// A mask of a lesion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lesion {
    /// Its file.
    pub path: PathBuf,
    /// The same relative to the dataset.
    pub relative: PathBuf,
}

/// How large a scan is, with upper bounds of what it takes besides the program itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Bytes, whatever the number of threads.
    pub bytes: u64,
    /// Bytes for each thread that works on it.
    pub per_thread: u64,
    /// Voxels of all its volumes.
    pub voxels: u64,
}

/// One scan and everything that is known of it before it is read.
#[derive(Clone, Debug)]
pub struct ScanPlan {
    /// The file's name without extension, unique in its unit.
    pub id: String,
    /// What kind of image it is.
    pub modality: Modality,
    /// Its NIfTI file.
    pub file: PathBuf,
    /// The echoes of a multi-echo run, the shortest echo time, which is also the file, first; else none.
    pub echoes: Vec<Echo>,
    /// The fieldmap of a bold run.
    pub fieldmap: FieldmapPlan,
    /// The lesion masks of a T1w image.
    pub lesions: Vec<Lesion>,
    /// Its path relative to the dataset, for provenance.
    pub relative: PathBuf,
    /// The entities of its name.
    pub entities: Entities,
    /// The metadata after sidecar inheritance, as far as it is used ([`crate::derivatives::sidecar::used`]).
    pub metadata: Arc<Map<String, Value>>,
    /// What was odd about the metadata, and what was done about it.
    pub oddities: Vec<String>,
    /// What is known to be wrong with it already; it will fail alone.
    pub problem: Option<Problem>,
    /// Size of the file in bytes; 0 when there is none to read.
    pub bytes: u64,
    /// The memory it takes at most.
    pub memory: Need,
    /// What is wanted of it.
    pub wanted: Wanted,
    /// Whether an earlier run did it, and if so why it is or is not done again.
    pub state: State,
}

/// A reason, found while planning, why a scan will fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The code of the failure.
    pub code: crate::error::ErrorCode,
    /// What is wrong and where.
    pub message: String,
}

impl Problem {
    pub(super) fn of(error: &impl Coded) -> Self {
        Self { code: error.code(), message: error.to_string() }
    }

    pub(super) fn json(&self) -> Value {
        json!({ "code": self.code.as_str(), "message": self.message })
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} [{}]", self.message, self.code)
    }
}

impl ScanPlan {
    /// Whether it is an image of the anatomy, not a run.
    #[must_use]
    pub fn is_anatomical(&self) -> bool {
        self.modality == Modality::T1w
    }

    /// The files it will leave; none when they cannot be named, which is its [`problem`](Self::problem) then. Made when
    /// asked for: a plan of 50,000 scans would need a hundred megabytes to keep them.
    #[must_use]
    pub fn outputs(&self) -> Vec<Output> {
        let mut outputs = outputs_of(self.modality, &self.entities, &self.wanted).unwrap_or_default();
        if !self.echoes.is_empty() {
            let labels: Vec<&str> = self.echoes.iter().map(|echo| echo.label.as_str()).collect();
            outputs.extend(outputs_of_echoes(&self.entities, &self.wanted, &labels).unwrap_or_default());
        }
        if let Some(fieldmap) = self.fieldmap.used() {
            outputs.extend(outputs_of_field(&self.entities, &fieldmap.id).unwrap_or_default());
        }
        outputs
    }

    /// Whether its sidecar says when its slices were taken.
    #[must_use]
    pub fn has_slice_times(&self) -> bool {
        self.modality == Modality::Bold && self.metadata.contains_key("SliceTiming")
    }

    /// The options that change what its outputs hold, without those that are as usual.
    #[must_use]
    pub fn shaping(&self) -> Map<String, Value> {
        match self.modality {
            Modality::T1w => self.wanted.shaping_of_t1w(),
            Modality::Bold => self.wanted.shaping_of_bold(self.has_slice_times(), self.fieldmap.used().is_some()),
        }
    }

    /// The level it is made at; full where a lower one leaves nothing out.
    #[must_use]
    pub fn level(&self) -> OutputLevel {
        match (self.modality, self.wanted.level) {
            (Modality::T1w, OutputLevel::Minimal) if self.wanted.spaces.templates().is_empty() => OutputLevel::Full,
            (Modality::T1w, OutputLevel::Resampling) => OutputLevel::Full,
            (_, level) => level,
        }
    }

    /// The size of the input in MB (10⁶ bytes).
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "file sizes are far below 2^52")]
    pub fn size_mb(&self) -> f64 {
        self.bytes as f64 / 1e6
    }

    /// The stages it will go through, in order.
    pub fn stages(&self) -> impl Iterator<Item = Stage> + '_ {
        let elsewhere = match self.modality {
            Modality::T1w => !self.wanted.spaces.templates().is_empty(),
            Modality::Bold => self.wanted.spaces.need_anatomy(),
        };
        let asked = move |s: &Stage| match s {
            Stage::Normalization | Stage::Coregistration => elsewhere,
            Stage::Resampling => elsewhere && self.wanted.level > OutputLevel::Minimal,
            Stage::Distortion => self.fieldmap.used().is_some(),
            Stage::EchoCombination => !self.echoes.is_empty(),
            Stage::SliceTiming => self.has_slice_times() && self.wanted.slices.share().is_some(),
            _ => true,
        };
        Stage::ALL.iter().copied().filter(|s| s.applies_to(self.modality)).filter(asked)
    }
}

/// Metadata that many scans have in common, kept once: a dataset has few protocols and many scans.
#[derive(Debug, Default)]
pub(super) struct Common(Mutex<HashMap<String, Arc<Map<String, Value>>>>);

impl Common {
    /// The one copy of `metadata`.
    pub fn of(&self, metadata: Map<String, Value>) -> Arc<Map<String, Value>> {
        let value = Value::Object(metadata);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = known.entry(value.to_string()).or_insert_with(|| match value {
            // Collected anew, because a map that lost most of its keys keeps their room.
            Value::Object(map) => Arc::new(map.into_iter().collect()),
            _ => Arc::default(),
        });
        Arc::clone(shared)
    }
}

/// Where the anatomy of a session's bold runs comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AnatomyPlan {
    /// No bold run goes beyond its own space.
    #[default]
    NotNeeded,
    /// The participant has no T1w image.
    Absent,
    /// A T1w image.
    Of(AnatomySource),
}

/// A T1w image and the session it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnatomySource {
    /// The session.
    pub session: SessionId,
    /// The label in the names of its ledger.
    pub marker_session: Option<String>,
    /// Its path relative to the dataset.
    pub scan: PathBuf,
    /// How many T1w images the session has besides.
    pub others: usize,
}

/// A participant-session: what is run, marked and traced as one.
#[derive(Clone, Debug)]
pub struct SessionPlan {
    /// Participant and session.
    pub id: SessionId,
    /// The session label the caller used, kept in the marker's name (`unnamed` for data without sessions).
    pub marker_session: Option<String>,
    /// Its scans.
    pub scans: Vec<ScanPlan>,
    /// The T1w image that its bold runs are laid onto.
    pub anatomy: AnatomyPlan,
    /// Whether an earlier run did it, and if so why it is or is not done again.
    pub state: State,
    /// When the success marker was made that was there then, if there was one.
    pub found: Option<Timestamp>,
}

impl SessionPlan {
    /// A session that was never done.
    #[must_use]
    pub fn new(marker_session: Option<String>, id: SessionId, scans: Vec<ScanPlan>) -> Self {
        let (anatomy, state) = (AnatomyPlan::NotNeeded, State::ToDo(Reason::NeverDone));
        Self { id, marker_session, scans, anatomy, state, found: None }
    }

    /// Whether nothing is to be done.
    #[must_use]
    pub const fn done(&self) -> bool {
        self.state.is_kept()
    }

    /// The scans that are to be done.
    pub fn to_do(&self) -> impl Iterator<Item = &ScanPlan> {
        self.scans.iter().filter(|scan| !self.done() && !scan.state.is_kept())
    }

    /// The memory its scans take at most, in bytes, besides what threads have at hand: they run one after the other, and
    /// those that will fail are not read.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.read().map(|s| s.memory.bytes).max().unwrap_or(0)
    }

    /// What each thread that works on its scans has at hand at most, in bytes.
    #[must_use]
    pub fn at_hand(&self) -> u64 {
        self.read().map(|s| s.memory.per_thread).max().unwrap_or(0)
    }

    fn read(&self) -> impl Iterator<Item = &ScanPlan> {
        self.scans.iter().filter(|s| s.problem.is_none() && (self.done() || !s.state.is_kept()))
    }
}

/// A whole run, ready to be done or shown.
#[derive(Debug)]
pub struct Plan {
    /// The folder the scans are in.
    pub root: PathBuf,
    /// The folder everything is written to.
    pub output: PathBuf,
    /// The name of the dataset, for people and for provenance.
    pub name: String,
    /// The DOI of the dataset, when it has one.
    pub doi: Option<String>,
    /// What to do.
    pub units: Vec<SessionPlan>,
    /// Every image of the dataset, also those not processed, where they were asked for ([`super::PlanOptions::images`]).
    pub images: Option<Images>,
    /// Files left out, and why.
    pub skipped: Vec<(PathBuf, String)>,
    /// What a person should know before the run.
    pub warnings: Vec<String>,
}

impl Plan {
    /// Refuses a plan without scans, which is no run.
    ///
    /// # Errors
    /// [`PlanError::NoScans`].
    pub fn refuse_empty(&self) -> Result<(), PlanError> {
        if !self.units.is_empty() {
            return Ok(());
        }
        Err(PlanError::NoScans { root: self.root.clone(), why: self.warnings.join("; ") })
    }

    /// The number of scans, also of those already done.
    #[must_use]
    pub fn scans(&self) -> usize {
        self.units.iter().map(|u| u.scans.len()).sum()
    }

    /// The number of scans to process, without those already done.
    #[must_use]
    pub fn scans_to_do(&self) -> usize {
        self.units.iter().map(|u| u.to_do().count()).sum()
    }
}
