//! The fieldmap of a bold run: which files it is in, and what their sidecars say.

use imaging::distortion::PhaseEncoding;
use imaging::distortion::readout::ReadoutFields;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

/// The key under which a run's metadata have its fieldmap, to be compared by later runs.
pub(super) const FIELDMAP: &str = "Fieldmap";

/// What is planned about the distortion of a scan.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum FieldmapPlan {
    /// It is no bold run, or it was not looked for a fieldmap.
    #[default]
    NotNeeded,
    /// It stays as distorted as it is.
    Without {
        /// Why, in words that follow a colon.
        why: Arc<str>,
        /// Whether the participant has fieldmaps, so that it is worth a note.
        there: bool,
        /// Whether one is for it, and something about that is wrong.
        wrong: bool,
    },
    /// It is corrected.
    With(Arc<Fieldmap>),
}

/// A fieldmap and the run it is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Fieldmap {
    /// `B0FieldIdentifier`, or `auto` and a number: letters and digits, for names of files.
    pub id: String,
    /// The key of the sidecars that says it is for this run.
    pub by: &'static str,
    /// What it is made from.
    pub kind: FieldKind,
    /// The phase encoding of the run.
    pub direction: PhaseEncoding,
    /// What the run's sidecar says of its readout.
    pub readout: ReadoutFields,
    /// Whether it was made in another session, in which the head lay elsewhere.
    pub other_session: bool,
    /// Other fieldmaps that are for this run as well, by their first files, and what is wrong with them, if something is.
    pub others: Vec<(String, Option<String>)>,
}

/// What a field is made from.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldKind {
    /// The phase difference of two echoes.
    PhaseDifference {
        /// The difference.
        phase: FieldImage,
        /// The magnitude of either echo.
        magnitude: FieldImage,
        /// Seconds from the first echo to the second.
        seconds: f64,
    },
    /// The phases of two echoes, the shorter echo time first.
    TwoPhases {
        /// Both phases.
        phases: [FieldImage; 2],
        /// The magnitude of either echo.
        magnitude: FieldImage,
        /// Seconds from the first echo to the second.
        seconds: f64,
    },
    /// The field as such.
    Direct {
        /// The field.
        field: FieldImage,
        /// Its magnitude.
        magnitude: FieldImage,
        /// Hz that one of its units is.
        hz: f64,
    },
    /// Two EPI images with opposite phase encoding along one axis; the first is encoded as the run is, where one is.
    Opposite([EpiImage; 2]),
}

/// A file of a fieldmap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldImage {
    /// The file.
    pub path: PathBuf,
    /// The same relative to the dataset.
    pub relative: PathBuf,
}

/// An EPI image of a pair.
#[derive(Clone, Debug, PartialEq)]
pub struct EpiImage {
    /// Its file; `None` for the run itself, of which the mean is taken.
    pub image: Option<FieldImage>,
    /// Its phase encoding.
    pub direction: PhaseEncoding,
    /// What its sidecar says of its readout.
    pub readout: ReadoutFields,
}

impl FieldKind {
    /// Its name in summaries and sidecars.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::PhaseDifference { .. } => "phase difference",
            Self::TwoPhases { .. } => "two phases",
            Self::Direct { .. } => "fieldmap",
            Self::Opposite(_) => "opposite phase encoding",
        }
    }

    /// Its files, without the run itself.
    #[must_use]
    pub fn images(&self) -> Vec<&FieldImage> {
        match self {
            Self::PhaseDifference { phase, magnitude, .. } => vec![phase, magnitude],
            Self::TwoPhases { phases: [first, second], magnitude, .. } => vec![first, second, magnitude],
            Self::Direct { field, magnitude, .. } => vec![field, magnitude],
            Self::Opposite(pair) => pair.iter().filter_map(|epi| epi.image.as_ref()).collect(),
        }
    }
}

impl Fieldmap {
    /// What it is, and what of its sidecars has a part in the outputs.
    #[must_use]
    pub fn json(&self) -> Value {
        let files: Vec<_> = self.kind.images().into_iter().map(|image| &image.relative).collect();
        let facts = match &self.kind {
            FieldKind::PhaseDifference { seconds, .. } | FieldKind::TwoPhases { seconds, .. } => {
                json!({ "EchoTimeDifference": seconds })
            }
            FieldKind::Direct { hz, .. } => json!({ "HzPerUnit": hz }),
            FieldKind::Opposite(pair) => json!(pair.each_ref().map(|epi| {
                let ReadoutFields { total_readout_time: total, effective_echo_spacing: spacing, .. } = epi.readout;
                json!([epi.direction.to_string(), total, spacing, epi.readout.estimated_total_readout_time])
            })),
        };
        json!({ "id": self.id, "by": self.by, "kind": self.kind.as_str(), "files": files, "facts": facts,
                "other_session": self.other_session, "others": self.others.iter().map(|(name, _)| name).collect::<Vec<_>>() })
    }
}

impl FieldmapPlan {
    /// What is planned, for lists and summaries; null for what is no bold run.
    #[must_use]
    pub fn json(&self) -> Value {
        match self {
            Self::NotNeeded => Value::Null,
            Self::Without { why, .. } => json!({ "kind": null, "why": why.as_ref() }),
            Self::With(fieldmap) => fieldmap.json(),
        }
    }

    /// What is planned, as a line of a list; nothing where there is no fieldmap to tell of.
    #[must_use]
    pub fn told(&self, scan: &str) -> Option<String> {
        match self {
            Self::NotNeeded | Self::Without { there: false, wrong: false, .. } => None,
            Self::Without { why, .. } => Some(format!("{scan}: no fieldmap: {why}")),
            Self::With(fieldmap) => {
                let first = fieldmap.kind.images().first().map(|image| image.relative.display().to_string());
                let first = first.unwrap_or_default();
                let other = if fieldmap.other_session { ", of another session" } else { "" };
                let more = match fieldmap.others.len() {
                    0 => String::new(),
                    n => format!("; {n} more for it"),
                };
                Some(format!("{scan}: fieldmap {first} ({}, by {}{other}{more})", fieldmap.kind.as_str(), fieldmap.by))
            }
        }
    }

    /// The fieldmap that is used.
    #[must_use]
    pub fn used(&self) -> Option<&Arc<Fieldmap>> {
        if let Self::With(fieldmap) = self { Some(fieldmap) } else { None }
    }
}
