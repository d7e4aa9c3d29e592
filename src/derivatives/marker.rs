//! The success marker: written last, removed first, so that its presence means that all outputs of a participant-session
//! are there and were made by this version from these inputs.

use super::save::remove_if_there;
use super::summary::unit_file;
use super::{DerivativeError, atomic};
use crate::run::event::UnitId;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// What the marker says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// Always `success`: the file exists only then.
    pub status: String,
    /// With `sub-`.
    pub participant_id: String,
    /// With `ses-`, as the caller named it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session_id: Option<String>,
    /// Version of the program.
    pub version: String,
    /// What the outputs were made from.
    pub inputs: Vec<Input>,
    /// The outputs, relative to the output folder.
    pub outputs: Vec<PathBuf>,
}

/// An input as it was when it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Path relative to the dataset.
    pub path: PathBuf,
    /// Size in bytes.
    pub bytes: u64,
    /// Modification time, seconds since 1970; 0 for generated volumes.
    pub modified: u64,
}

impl Input {
    /// Takes note of a file as it is now; a file that is not there has size 0.
    #[must_use]
    pub fn of(path: PathBuf, file: Option<&Path>) -> Self {
        let meta = file.and_then(|f| std::fs::metadata(f).ok());
        let modified = meta.as_ref().and_then(|m| m.modified().ok()?.duration_since(UNIX_EPOCH).ok());
        Self { path, bytes: meta.map_or(0, |m| m.len()), modified: modified.map_or(0, |d| d.as_secs()) }
    }
}

impl Marker {
    /// Writes the marker whole, and lets it survive a loss of power. What it stands for must do so already.
    ///
    /// # Errors
    /// [`DerivativeError::Write`].
    pub fn write(&self, output: &Path, unit: &UnitId, session: Option<&str>) -> Result<(), DerivativeError> {
        let file = unit_file(unit, session, "success");
        atomic::write_json(output.join(&file), self)?;
        atomic::sync_folder(&output.join(file.parent().unwrap_or(Path::new(""))))
    }

    /// Removes the marker, before anything it stands for is touched, so that a loss of power does not bring it back.
    ///
    /// # Errors
    /// [`DerivativeError::Access`].
    pub fn remove(output: &Path, unit: &UnitId, session: Option<&str>) -> Result<(), DerivativeError> {
        let file = output.join(unit_file(unit, session, "success"));
        if remove_if_there(&file)? { atomic::sync_folder(file.parent().unwrap_or(output)) } else { Ok(()) }
    }

    /// Whether an earlier run of this version did all of this from the same inputs, and its outputs are still there.
    #[must_use]
    pub fn covers(output: &Path, unit: &UnitId, session: Option<&str>, inputs: &[Input], outputs: &[PathBuf]) -> bool {
        let Ok(text) = std::fs::read(output.join(unit_file(unit, session, "success"))) else { return false };
        let Ok(marker) = serde_json::from_slice::<Self>(&text) else { return false };
        marker.version == env!("CARGO_PKG_VERSION")
            && inputs.iter().all(|i| marker.inputs.contains(i))
            && outputs.iter().all(|o| marker.outputs.contains(o) && output.join(o).exists())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_covers_only_what_it_was_written_for() {
        let dir = tempfile::tempdir().unwrap();
        let unit = UnitId { participant: "01".into(), session: None };
        let input = Input { path: "a.nii".into(), bytes: 3, modified: 7 };
        let out = PathBuf::from("sub-01/x.txt");
        let marker = Marker {
            status: "success".into(),
            participant_id: "sub-01".into(),
            session_id: None,
            version: env!("CARGO_PKG_VERSION").into(),
            inputs: vec![input.clone()],
            outputs: vec![out.clone()],
        };
        let covers =
            |i: &Input| Marker::covers(dir.path(), &unit, None, std::slice::from_ref(i), std::slice::from_ref(&out));
        assert!(!covers(&input));
        marker.write(dir.path(), &unit, None).unwrap();
        assert!(!covers(&input), "the output is missing");
        std::fs::write(dir.path().join(&out), "").unwrap();
        assert!(covers(&input));
        assert!(!covers(&Input { bytes: 4, ..input.clone() }));
        Marker::remove(dir.path(), &unit, None).unwrap();
        assert!(!covers(&input));
    }
}
