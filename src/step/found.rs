//! What a stage found, as plain data: attributes of its span and of its phase's, events, notes, the summary's part.

use super::error::StageError;
use crate::derivatives::ledger::{Input, UsedAnatomy};
use crate::derivatives::measured::{Coregistered, Distortion, Located, Normalized, Quality, TissueVolumes};
use nifti::Fingerprint;
use std::fmt;
use std::path::PathBuf;

/// The value of a fact.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A number.
    Float(f64),
    /// A count.
    Int(i64),
    /// A text.
    Text(String),
    /// Yes or no.
    Bool(bool),
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(v) => v.fmt(f),
            Self::Int(v) => v.fmt(f),
            Self::Text(v) => f.write_str(v),
            Self::Bool(v) => v.fmt(f),
        }
    }
}

impl From<f64> for Fact {
    fn from(v: f64) -> Self {
        Self::Float(v)
    }
}
impl From<usize> for Fact {
    fn from(v: usize) -> Self {
        Self::Int(i64::try_from(v).unwrap_or(i64::MAX))
    }
}
impl From<bool> for Fact {
    fn from(v: bool) -> Self {
        Self::Bool(v)
    }
}
impl From<&str> for Fact {
    fn from(v: &str) -> Self {
        Self::Text(v.to_owned())
    }
}
impl From<String> for Fact {
    fn from(v: String) -> Self {
        Self::Text(v)
    }
}

/// Attribute names and values.
pub type Attributes = Vec<(&'static str, Fact)>;

/// What is known of a scan whatever becomes of it: its summary has it also when a later stage fails.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// What was odd and what was done about it, for people.
    pub notes: Vec<String>,
    /// Whether something was odd about the input, which `--strict` refuses; known when it is validated.
    pub odd: bool,
    /// Where the voxels came from.
    pub input: Option<Input>,
    /// Volume of the brain mask in ml.
    pub brain_volume_ml: Option<f64>,
    /// How the brain was found.
    pub brain: Option<Located>,
    /// How well the brain was brought to each template.
    pub normalization: Vec<Normalized>,
    /// How well the run was laid onto a T1w image.
    pub coregistration: Option<Coregistered>,
    /// What is known of its distortion.
    pub distortion: Option<Distortion>,
    /// Other files that had a part in it, as they were read, for the ledger.
    pub beside: Vec<(PathBuf, Fingerprint)>,
    /// The T1w image it was laid onto, for the ledger.
    pub anatomy: Option<UsedAnatomy>,
    /// Whether it was to be brought to other spaces and there was no anatomy for that.
    pub without_anatomy: bool,
    /// Whether its tissues could not be told apart, so that it has no maps of them.
    pub without_tissues: bool,
    /// Volumes of the tissues, where they can be told apart.
    pub tissues: Option<TissueVolumes>,
    /// How good the scan is.
    pub quality: Option<Quality>,
}

/// What a stage wants to be known: attributes and events for its span and its phase's, notes, and the summary's part.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Attributes of the stage's own span.
    pub(super) own: Attributes,
    /// Attributes of the span of its phase.
    pub(super) phase: Attributes,
    /// Events on the stage's own span.
    pub(super) events: Vec<(&'static str, Attributes)>,
    /// Events on the span of its phase.
    pub(super) phase_events: Vec<(&'static str, Attributes)>,
    /// What this stage and those before it found for the summary.
    pub known: Known,
}

impl Found {
    /// Sets an attribute of the stage's span; the key must be in the stage's row of the table of stages.
    pub fn set(&mut self, key: &'static str, value: impl Into<Fact>) {
        self.own.push((key, value.into()));
    }

    /// Sets an attribute of the phase's span.
    pub fn set_phase(&mut self, key: &'static str, value: impl Into<Fact>) {
        self.phase.push((key, value.into()));
    }

    /// Adds an event to the stage's span.
    pub fn event(&mut self, name: &'static str, attributes: Attributes) {
        self.events.push((name, attributes));
    }

    /// Adds an event to the phase's span.
    pub fn phase_event(&mut self, name: &'static str) {
        self.phase_events.push((name, Vec::new()));
    }

    /// Notes what was odd about the input, which `strict` refuses.
    ///
    /// # Errors
    /// [`StageError::Strict`].
    pub fn odd(&mut self, text: String, scan: &str, strict: bool) -> Result<(), StageError> {
        self.known.odd = true;
        self.note(text.clone());
        if strict { Err(StageError::Strict { scan: scan.to_owned(), notes: text }) } else { Ok(()) }
    }

    /// Notes what was odd and what was done about it: in the log, the summary and the report.
    pub fn note(&mut self, text: impl Into<String>) {
        self.known.notes.push(text.into());
    }
}
