//! What reports are made from: the outputs of a folder and nothing else, so that separate jobs can be gathered after the
//! fact, on any machine that has the folder.

use super::places::Places;
use crate::bids::Label;
use crate::derivatives::DerivativeError;
use crate::derivatives::summary::{SessionSummary, read_all, read_participant};
use crate::files;
use crate::trace_view::{self, Archive, Subject, ViewError};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// Everything that reports show of an output folder.
#[derive(Clone, Debug, PartialEq)]
pub struct Gathered {
    /// The folder.
    pub output: PathBuf,
    /// `dataset_description.json`; null when it cannot be read.
    pub description: Value,
    /// The name in it; that of the folder where there is none.
    pub name: String,
    /// The last summary of each participant-session, those of a participant together.
    pub units: Vec<SessionSummary>,
    /// Where each value stands among those of the others.
    pub places: Places,
    /// The telemetry.
    pub archive: Archive,
    /// Why there is no telemetry although there should be.
    pub note: Option<String>,
}

impl Gathered {
    /// Reads the summaries below `output`, and the telemetry of every run in `logs/`. Telemetry that cannot be read costs a
    /// note, not the report.
    ///
    /// # Errors
    /// [`DerivativeError::Access`] when the folder cannot be listed.
    pub fn read(output: &Path) -> Result<Self, DerivativeError> {
        let units: Vec<SessionSummary> = read_all(output)?.into_iter().filter(is_of_a_participant).collect();
        let logs = output.join("logs");
        let archive = if logs.is_dir() { trace_view::read(&[logs]) } else { Ok(Archive::default()) };
        let gathered = Self::of(output, units, archive);
        Ok(Self { places: Places::of(&gathered.units), ..gathered })
    }

    /// Reads the summaries of some participants, and the telemetry of one process, by the part of its files' names that
    /// tells it: what costs the same however many others share the folder. Nothing has a place then.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_some(
        output: &Path,
        participants: &BTreeSet<String>,
        process: Option<&str>,
    ) -> Result<Self, DerivativeError> {
        let mut units = Vec::new();
        for participant in participants {
            units.extend(read_participant(output, participant)?.into_iter().filter(is_of_a_participant));
        }
        let logs = output.join("logs");
        let archive = process.map_or_else(|| Ok(Archive::default()), |stem| trace_view::read_process(&logs, stem));
        Ok(Self::of(output, units, archive))
    }

    fn of(output: &Path, mut units: Vec<SessionSummary>, archive: Result<Archive, ViewError>) -> Self {
        units.sort_by(|a, b| a.participant_id.cmp(&b.participant_id));
        let (archive, note) = match archive {
            Ok(archive) => (archive, None),
            Err(ViewError::NoTraces(_)) => (Archive::default(), None),
            Err(e) => (Archive::default(), Some(e.to_string())),
        };
        let text = files::read(&output.join("dataset_description.json"), files::SMALL).unwrap_or_default();
        let description: Value = serde_json::from_slice(&text).unwrap_or_default();
        let name = name_of(&description, output);
        Self { output: output.to_owned(), description, name, units, places: Places::default(), archive, note }
    }

    /// The participant-sessions of each participant.
    pub fn participants(&self) -> impl Iterator<Item = &[SessionSummary]> {
        self.units.chunk_by(|a, b| a.participant_id == b.participant_id)
    }

    /// The traces by their ids.
    #[must_use]
    pub fn subjects(&self) -> HashMap<&str, &Subject> {
        self.archive.runs.iter().flat_map(|run| &run.subjects).map(|s| (s.trace_id.as_str(), s)).collect()
    }
}

/// Names of pages are made of the participant's: what is no label never becomes part of a path.
fn is_of_a_participant(unit: &SessionSummary) -> bool {
    unit.participant_id.strip_prefix("sub-").is_some_and(|label| Label::new(label).is_ok())
}

/// The name of the page of a participant, by its id with `sub-`.
pub(super) fn page_of(participant: &str) -> String {
    format!("{participant}.html")
}

fn name_of(description: &Value, output: &Path) -> String {
    let told = description["Name"].as_str().map(str::to_owned);
    let folder = || {
        let whole = std::path::absolute(output).unwrap_or_else(|_| output.to_owned());
        whole.file_name().unwrap_or_default().to_string_lossy().into_owned()
    };
    told.filter(|name| !name.trim().is_empty()).unwrap_or_else(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_no_label_and_what_is_no_telemetry_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("sub-01");
        std::fs::create_dir_all(dir.path().join("logs")).unwrap();
        std::fs::create_dir(&folder).unwrap();
        for (file, participant) in [("a_summary.json", "sub-01"), ("b_summary.json", "sub-../../x")] {
            let summary = json!({
                "participant_id": participant, "status": "success", "run_id": "r", "version": "1", "seconds": 1.0,
                "started": "2026-01-01T00:00:00Z", "peak_memory_mb": 1.0, "scans": []
            });
            std::fs::write(folder.join(file), summary.to_string()).unwrap();
        }
        let gathered = Gathered::read(dir.path()).unwrap();
        assert_eq!(
            gathered.participants().map(|units| units[0].participant_id.as_str()).collect::<Vec<_>>(),
            ["sub-01"]
        );
        let some = |who: &str| Gathered::read_some(dir.path(), &BTreeSet::from([who.to_owned()]), None).unwrap();
        assert_eq!((some("sub-01").units.len(), some("sub-02").units.len()), (1, 0));
        assert_eq!((gathered.archive.runs.len(), gathered.note), (0, None));
        assert_eq!(gathered.name, dir.path().file_name().unwrap().to_string_lossy());
        std::fs::write(dir.path().join("dataset_description.json"), r#"{"Name":"heads"}"#).unwrap();
        assert_eq!(Gathered::read(dir.path()).unwrap().name, "heads");
    }
}
