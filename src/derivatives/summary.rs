//! What a unit of work left to be read by people and programs: one JSON file per participant-session.

use super::measured::{Coregistered, Distortion, Located, Normalized, TissueVolumes};
use super::outputs::{Output, OutputKind};
use super::{DerivativeError, atomic};
use crate::files;
use crate::vocabulary::{SessionId, Status};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// A participant-session after a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionSummary {
    /// With `sub-`, as in `participants.tsv`.
    pub participant_id: String,
    /// With `ses-`; absent for data without sessions.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session_id: Option<String>,
    /// `success`, `failed` or `skipped`.
    pub status: String,
    /// Why it failed: the reasons of its scans, one sentence each.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The run it was part of.
    pub run_id: String,
    /// Its trace, to be looked up in the trace files or a backend.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trace_id: Option<String>,
    /// Version and commit of the program.
    pub version: String,
    /// RFC 3339, UTC.
    pub started: String,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Highest resident memory of the process so far, in MB (10⁶ bytes); units run at the same time share it.
    pub peak_memory_mb: f64,
    /// Its scans.
    pub scans: Vec<ScanSummary>,
}

/// A scan after a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScanSummary {
    /// File name without extension.
    pub scan_id: String,
    /// `T1w` or `bold`.
    pub modality: String,
    /// `success`, `failed` or `skipped`.
    pub status: String,
    /// `minimal` or `resampling`, where less than everything was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub level: Option<String>,
    /// Present when it failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<Failure>,
    /// What came in, when it failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub received: Option<Received>,
    /// The trace it is in, to be looked up in the trace files or a backend.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trace_id: Option<String>,
    /// Its span in the trace.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub span_id: Option<String>,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Wall-clock seconds of each stage that ran; `process` contains its steps.
    pub stages: BTreeMap<String, f64>,
    /// 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub quality_score: Option<f64>,
    /// Whether the subject moved more than the documented limit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub motion_detected: Option<bool>,
    /// Brain volume in ml.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub brain_volume_ml: Option<f64>,
    /// Volumes of the tissues in ml, of T1w scans whose tissues could be told apart.
    #[serde(flatten)]
    pub tissues: Option<TissueVolumes>,
    /// How the brain was found, and how far the mask is to be believed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub brain: Option<Located>,
    /// How well the brain was brought to each template.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub normalization: Vec<Normalized>,
    /// How well the run was laid onto a T1w image.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub coregistration: Option<Coregistered>,
    /// What is known of the distortion of a bold run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub distortion: Option<Distortion>,
    /// The measures of image quality.
    pub quality: BTreeMap<String, f64>,
    /// Files written, relative to the output folder.
    pub outputs: Vec<PathBuf>,
    /// What each of them is, sidecars aside.
    #[serde(default)]
    pub files: Vec<SummaryFile>,
    /// What was odd about the input and what was done about it.
    pub notes: Vec<String>,
}

/// What one output is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SummaryFile {
    /// `preproc`, `brain_mask`, …
    pub kind: String,
    /// The space it is in as `--output-spaces` names it, where that is not the scan's own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub space: Option<String>,
    /// Relative to the output folder.
    pub path: PathBuf,
}

impl SummaryFile {
    /// The entry of one output.
    #[must_use]
    pub fn of(output: &Output) -> Self {
        let space = output.space.as_ref().map(ToString::to_string);
        Self { kind: output.kind.as_str().into(), space, path: output.path.clone() }
    }
}

impl ScanSummary {
    /// The output of a kind in the scan's own space, relative to the output folder. A path out of the folder counts as none.
    #[must_use]
    pub fn file(&self, kind: OutputKind) -> Option<&Path> {
        self.file_in(kind, None)
    }

    /// The same in a space as `--output-spaces` names it.
    #[must_use]
    pub fn file_in(&self, kind: OutputKind, space: Option<&str>) -> Option<&Path> {
        let file = self.files.iter().find(|file| file.kind == kind.as_str() && file.space.as_deref() == space)?;
        file.path.components().all(|c| matches!(c, Component::Normal(_))).then_some(file.path.as_path())
    }
}

/// Why a scan failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Stable code, explained in `docs/errors.md`.
    pub code: String,
    /// `validation`, `processing`, `io`, …
    pub class: String,
    /// The stage it happened in.
    pub stage: String,
    /// What is wrong and where.
    pub message: String,
    /// What to do next.
    pub advice: String,
}

/// The file of a scan that failed, as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// Relative to the dataset.
    pub file: PathBuf,
    /// Its size; absent when it is not there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bytes: Option<u64>,
    /// The main fields of its header, unchecked; empty when there is no header.
    #[serde(default)]
    pub header: BTreeMap<String, String>,
}

impl SessionSummary {
    /// The status of the whole from the status of its parts: one failure fails it.
    #[must_use]
    pub fn status_of(scans: &[Status]) -> Status {
        let failed = scans.iter().find(|s| matches!(s, Status::Failed(_)));
        failed.copied().unwrap_or(if scans.contains(&Status::Skipped) { Status::Skipped } else { Status::Success })
    }

    /// The summary that the last run has left of a unit; `None` where there is none, or none that can be read.
    #[must_use]
    pub fn read(output: &Path, unit: &SessionId, session: Option<&str>) -> Option<Self> {
        read_file(&output.join(session_file(unit, session, "summary")))
    }

    /// Its place, relative to the output folder.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        file_of(&self.participant_id, self.session_id.as_deref(), "summary")
    }

    /// Writes the summary to its place below `output`.
    ///
    /// # Errors
    /// [`DerivativeError::Write`].
    pub fn write(&self, output: &Path, unit: &SessionId, session: Option<&str>) -> Result<(), DerivativeError> {
        atomic::write_json(output.join(session_file(unit, session, "summary")), self).map(|_| ())
    }
}

/// `sub-X/sub-X[_ses-Y]_KIND.json`: directly in the participant's folder, so that archiving a session's folder leaves it.
/// `session` is the label the caller used, which for data without sessions may be Nipoppy's `unnamed`.
#[must_use]
pub fn session_file(unit: &SessionId, session: Option<&str>, kind: &str) -> PathBuf {
    file_of(&format!("sub-{}", unit.participant), session.map(|s| format!("ses-{s}")).as_deref(), kind)
}

fn file_of(participant: &str, session: Option<&str>, kind: &str) -> PathBuf {
    let session = session.map(|s| format!("_{s}")).unwrap_or_default();
    PathBuf::from(participant).join(format!("{participant}{session}_{kind}.json"))
}

/// Every summary below an output folder, in the order of their paths. Files that are not summaries are left out.
///
/// # Errors
/// [`DerivativeError::Access`] when the folder cannot be listed.
pub fn read_all(output: &Path) -> Result<Vec<SessionSummary>, DerivativeError> {
    let mut units = Vec::new();
    for folder in participant_folders(output)? {
        units.extend(read_folder(&folder)?);
    }
    Ok(units)
}

/// The folders of the participants in an output folder, in the order of their names.
pub(super) fn participant_folders(output: &Path) -> Result<Vec<PathBuf>, DerivativeError> {
    let entries = std::fs::read_dir(output).map_err(|e| access(output, e))?.flatten();
    let is_participant = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("sub-")) && path.is_dir()
    };
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_participant).collect();
    folders.sort();
    Ok(folders)
}

/// The summaries of one participant, given with `sub-`, in the order of their paths; none when there is no such folder.
///
/// # Errors
/// As [`read_all`].
pub fn read_participant(output: &Path, participant: &str) -> Result<Vec<SessionSummary>, DerivativeError> {
    let folder = output.join(participant);
    if folder.is_dir() { read_folder(&folder) } else { Ok(Vec::new()) }
}

fn read_folder(folder: &Path) -> Result<Vec<SessionSummary>, DerivativeError> {
    let entries = std::fs::read_dir(folder).map_err(|e| access(folder, e))?.flatten();
    let mut paths: Vec<PathBuf> =
        entries.map(|f| f.path()).filter(|p| p.to_string_lossy().ends_with("_summary.json")).collect();
    paths.sort();
    Ok(paths.iter().filter_map(|path| read_file(path)).collect())
}

fn read_file(path: &Path) -> Option<SessionSummary> {
    serde_json::from_slice(&files::read(path, files::SMALL).ok()?).ok()
}

fn access(path: &Path, source: std::io::Error) -> DerivativeError {
    DerivativeError::Access { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    #[test]
    fn one_failure_fails_the_unit() {
        let failed = Status::Failed(ErrorCode::NoBrain);
        assert_eq!(SessionSummary::status_of(&[Status::Success, failed, Status::Skipped]), failed);
        assert_eq!(SessionSummary::status_of(&[Status::Success, Status::Skipped]), Status::Skipped);
        assert_eq!(SessionSummary::status_of(&[Status::Success]), Status::Success);
    }

    #[test]
    fn markers_stay_outside_the_session_folder() {
        let unit = SessionId { participant: "01".into(), session: Some("A".into()) };
        assert_eq!(session_file(&unit, Some("A"), "success"), PathBuf::from("sub-01/sub-01_ses-A_success.json"));
        assert_eq!(session_file(&unit, None, "success"), PathBuf::from("sub-01/sub-01_success.json"));
    }
}
