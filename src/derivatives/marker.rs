//! The success marker: written last, removed first, so that its presence means that all outputs of a participant-session
//! are there. It says what they were made from and what they were then, for later runs to compare (`plan`).

use super::ledger::{self, DoneScan, Ledger};
use super::save::remove_if_there;
use super::summary::session_file;
use super::{DerivativeError, atomic};
use crate::files::{self, NotRead};
use crate::vocabulary::SessionId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What the marker holds: 1 had sizes and times of inputs only, 2 did not say what was odd, 3 had no ledger beside it, 4 knew no
/// scans without tissue maps, 5 no anatomy, 6 no content of outputs. A change of the fields is a new form.
const FORM: u32 = 7;

/// What the marker says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Marker {
    /// Always `success`: the file exists only then.
    pub status: String,
    /// Which fields there are.
    pub form: u32,
    /// With `sub-`.
    pub participant_id: String,
    /// With `ses-`, as the caller named it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session_id: Option<String>,
    /// Version of the program.
    pub version: String,
    /// When the last output was there.
    pub finished: Timestamp,
    /// What was made of what.
    pub scans: Vec<DoneScan>,
}

/// What there is in place of a marker that can be compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoMarker {
    /// There is none.
    Absent,
    /// Another version has written it.
    Version(String),
    /// Of another form.
    Form,
    /// Not to be read; why not.
    Unreadable(String),
}

/// What markers of all forms have.
#[derive(Deserialize)]
struct Head {
    version: String,
    #[serde(default)]
    form: u32,
}

impl Marker {
    /// The marker of a unit that has just been finished.
    #[must_use]
    pub fn new(unit: &SessionId, session: Option<&str>, scans: Vec<DoneScan>) -> Self {
        Self {
            status: "success".into(),
            form: FORM,
            participant_id: format!("sub-{}", unit.participant),
            session_id: session.map(|s| format!("ses-{s}")),
            version: env!("CARGO_PKG_VERSION").into(),
            finished: Timestamp::now(),
            scans,
        }
    }

    /// Writes the marker whole, and syncs it to disk. The outputs it stands for must be synced already.
    ///
    /// # Errors
    /// [`DerivativeError::Write`].
    pub fn write(&self, output: &Path, unit: &SessionId, session: Option<&str>) -> Result<(), DerivativeError> {
        let file = place(output, unit, session);
        atomic::write_json(file.clone(), self)?;
        atomic::sync_folder(file.parent().unwrap_or(output))
    }

    /// Removes the marker, before anything it stands for is touched, so that a loss of power does not bring it back.
    ///
    /// # Errors
    /// [`DerivativeError::Access`].
    pub fn remove(output: &Path, unit: &SessionId, session: Option<&str>) -> Result<(), DerivativeError> {
        let file = place(output, unit, session);
        if remove_if_there(&file)? { atomic::sync_folder(file.parent().unwrap_or(output)) } else { Ok(()) }
    }

    /// The marker this version has left for a unit.
    ///
    /// # Errors
    /// [`NoMarker`] says what there is instead; none of it is a fault of this run.
    pub fn read(output: &Path, unit: &SessionId, session: Option<&str>) -> Result<Self, NoMarker> {
        let bytes = files::read(&place(output, unit, session), files::SMALL).map_err(|e| match e {
            NotRead::Io(e) if e.kind() == ErrorKind::NotFound => NoMarker::Absent,
            e => NoMarker::Unreadable(format!("it {e}")),
        })?;
        let unreadable = |e: serde_json::Error| NoMarker::Unreadable(e.to_string());
        let head: Head = serde_json::from_slice(&bytes).map_err(unreadable)?;
        if head.version != env!("CARGO_PKG_VERSION") {
            return Err(NoMarker::Version(head.version));
        }
        if head.form != FORM {
            return Err(NoMarker::Form);
        }
        let found: Self = serde_json::from_slice(&bytes).map_err(unreadable)?;
        if found.participant_id != format!("sub-{}", unit.participant) {
            return Err(NoMarker::Unreadable(format!("it is of {}", found.participant_id)));
        }
        Ok(found)
    }

    /// Notes the times that inputs have now, their content being what it was, here and in the ledger, so that the next run need
    /// not read them. A marker that is not there any more is left so.
    ///
    /// # Errors
    /// [`DerivativeError::Write`].
    pub fn retime(
        output: &Path,
        unit: &SessionId,
        session: Option<&str>,
        touched: &[(PathBuf, Option<Timestamp>)],
    ) -> Result<(), DerivativeError> {
        if let Some(mut ledger) = Ledger::read(output, unit, session) {
            ledger.retime(touched);
            ledger.write(output, unit, session)?;
        }
        let Ok(mut marker) = Self::read(output, unit, session) else { return Ok(()) };
        ledger::retime(marker.scans.iter_mut(), touched);
        marker.write(output, unit, session)
    }
}

fn place(output: &Path, unit: &SessionId, session: Option<&str>) -> PathBuf {
    output.join(session_file(unit, session, "success"))
}

#[cfg(test)]
mod tests {
    use super::super::ledger::Input;
    use super::super::save::SavedFile;
    use super::*;
    use nifti::Fingerprint;

    #[test]
    fn what_is_written_is_read_and_what_is_not_a_marker_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let unit = SessionId { participant: "01".into(), session: None };
        let read = || Marker::read(dir.path(), &unit, None);
        assert_eq!(read(), Err(NoMarker::Absent));
        let print = Fingerprint { bytes: 3, modified: Some(Timestamp::now()), xxh3: "0".repeat(32) };
        let metadata = serde_json::from_str(r#"{"RepetitionTime": 2.0, "B": [1, {"c": null}]}"#).unwrap();
        let outputs = vec![SavedFile { path: "sub-01/x.txt".into(), bytes: 7, xxh3: "1".repeat(32) }];
        let file = DoneScan {
            path: "a.nii".into(),
            input: Input::File(print),
            metadata,
            odd: false,
            options: serde_json::Map::new(),
            without_tissues: false,
            without_anatomy: false,
            beside: Vec::new(),
            without_field: false,
            anatomy: None,
            outputs,
        };
        let made = DoneScan { path: "b.nii".into(), ..file.clone() };
        let marker = Marker::new(&unit, None, vec![file, made]);
        marker.write(dir.path(), &unit, None).unwrap();
        assert_eq!(read(), Ok(marker.clone()));
        Marker::retime(dir.path(), &unit, None, &[("a.nii".into(), None)]).unwrap();
        assert!(matches!(&read().unwrap().scans[0].input, Input::File(p) if p.modified.is_none() && p.bytes == 3));

        let path = dir.path().join("sub-01/sub-01_success.json");
        let text = std::fs::read_to_string(&path).unwrap();
        let as_it_was =
            r#"{"status":"success","participant_id":"sub-01","version":"VERSION","inputs":[],"outputs":[]}"#;
        for (content, expected) in [
            (as_it_was.replace("VERSION", &marker.version), NoMarker::Form),
            (as_it_was.replace("VERSION", "0.0.9"), NoMarker::Version("0.0.9".into())),
            (text.replace("\"form\": 7", "\"form\": 6"), NoMarker::Form),
        ] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(read(), Err(expected));
        }
        for bad in [&text[..text.len() / 2], "", "[1]", "\u{0}", &text.replace("\"bytes\": 7", "\"bytes\": \"7\"")] {
            std::fs::write(&path, bad).unwrap();
            assert!(matches!(read(), Err(NoMarker::Unreadable(_))), "{bad}");
        }
        std::fs::File::create(&path).unwrap().set_len(files::SMALL + 1).unwrap();
        assert!(matches!(read(), Err(NoMarker::Unreadable(why)) if why.contains("16777217 bytes")));
        Marker::remove(dir.path(), &unit, None).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(matches!(read(), Err(NoMarker::Unreadable(why)) if why.contains("regular")));
    }
}
