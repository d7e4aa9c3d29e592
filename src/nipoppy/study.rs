//! A study folder: where its tables are, by the layouts Nipoppy ships, and what they say.

use std::path::{Path, PathBuf};

use super::error::NipoppyError;
use super::table::{Rows, participant_sessions};

/// Where a layout of Nipoppy keeps what is needed here, relative to the study.
struct Layout {
    manifest: &'static str,
    curation_status: &'static str,
    bids: &'static str,
}

const fn layout(manifest: &'static str, curation_status: &'static str, bids: &'static str) -> Layout {
    Layout { manifest, curation_status, bids }
}

/// Newest first: 0.4, 0.4 with the `bids-study` layout, 0.3, 0.2, 0.1.
static LAYOUTS: [Layout; 5] = [
    layout("manifest.tsv", "sourcedata/imaging/curation_status.tsv", "bids"),
    layout(".nipoppy/manifest.tsv", "sourcedata/imaging/curation_status.tsv", "sourcedata/imaging/raw"),
    layout("manifest.tsv", "sourcedata/imaging/doughnut.tsv", "bids"),
    layout("manifest.tsv", "scratch/raw_imaging/doughnut.tsv", "bids"),
    layout("tabular/manifest.tsv", "scratch/raw_dicom/doughnut.tsv", "bids"),
];

/// What a study asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Study {
    /// The study's folder as given.
    pub root: PathBuf,
    /// Its BIDS dataset; whether it exists is for [`crate::bids::index`] to say.
    pub bids_dir: PathBuf,
    /// Where Nipoppy expects this version's results: `derivatives/neuro-preprocess/VERSION/output`.
    pub output_dir: PathBuf,
    /// Participants without `sub-` and sessions without `ses-` (`None`: without session), in the table's order.
    pub participant_sessions: Vec<(String, Option<String>)>,
}

/// Whether a folder is the root of a Nipoppy study.
#[must_use]
pub fn is_study(path: &Path) -> bool {
    path.join(".nipoppy").is_dir()
}

/// Reads the study at `root` for this `version` of the pipeline. With a curation status its rows that are `in_bids`
/// count, without one the manifest's rows that have a session.
///
/// # Errors
/// [`NipoppyError`] when the folder is no study, has no manifest, when a table cannot be used, or when it names nothing.
pub fn read(root: &Path, version: &str) -> Result<Study, NipoppyError> {
    if !is_study(root) {
        return Err(NipoppyError::NotAStudy { root: root.to_owned() });
    }
    let manifests = || LAYOUTS.iter().filter(|layout| exists(root, layout.manifest));
    let layout = manifests().find(|layout| exists(root, layout.curation_status)).or_else(|| manifests().next());
    let Some(layout) = layout else {
        let mut places: Vec<&str> = LAYOUTS.iter().map(|layout| layout.manifest).collect();
        places.dedup();
        return Err(NipoppyError::NoManifest { root: root.to_owned(), places });
    };
    let (path, rows, reason) = if exists(root, layout.curation_status) {
        let reason = "no row is in_bids; after converting data to BIDS, run: nipoppy track-curation";
        (root.join(layout.curation_status), Rows::InBids, reason)
    } else {
        (root.join(layout.manifest), Rows::WithSession, "no row has a session, so there is no imaging to process")
    };
    let participant_sessions = participant_sessions(&path, rows)?;
    if participant_sessions.is_empty() {
        return Err(NipoppyError::Nothing { path, reason });
    }
    let output_dir = root.join("derivatives/neuro-preprocess").join(version).join("output");
    Ok(Study { root: root.to_owned(), bids_dir: root.join(layout.bids), output_dir, participant_sessions })
}

/// A table is there when its name is: one that cannot be followed or opened must be reported, not passed over.
fn exists(root: &Path, relative: &str) -> bool {
    root.join(relative).symlink_metadata().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Coded, ErrorCode};
    use std::fs;

    fn study(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(".nipoppy")).unwrap();
        for (path, content) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        dir
    }

    const MANIFEST: &str =
        "participant_id\tvisit_id\tsession_id\tdatatype\n01\tBL\tBL\t['anat']\n02\tBL\tBL\t['anat']\n";
    const STATUS: &str = "participant_id\tvisit_id\tsession_id\tdatatype\tparticipant_dicom_dir\tin_pre_reorg\t\
                          in_post_reorg\tin_bids\n01\tBL\tBL\t['anat']\t01/BL\tFalse\tFalse\tFalse\n\
                          02\tBL\tBL\t['anat']\t02/BL\tFalse\tFalse\tTrue\n";

    fn participants(files: &[(&str, &str)]) -> Vec<String> {
        let dir = study(files);
        read(dir.path(), "1.2.3").unwrap().participant_sessions.into_iter().map(|(p, _)| p).collect()
    }

    #[test]
    fn the_curation_status_decides_when_there_is_one() {
        assert_eq!(participants(&[("manifest.tsv", MANIFEST)]), ["01", "02"]);
        let status = "sourcedata/imaging/curation_status.tsv";
        assert_eq!(participants(&[("manifest.tsv", MANIFEST), (status, STATUS)]), ["02"]);
        assert_eq!(participants(&[("manifest.tsv", MANIFEST), ("sourcedata/imaging/doughnut.tsv", STATUS)]), ["02"]);
    }

    #[test]
    fn folders_follow_the_layout() {
        let dir = study(&[("manifest.tsv", MANIFEST)]);
        let study_read = read(dir.path(), "1.2.3").unwrap();
        assert_eq!(study_read.bids_dir, dir.path().join("bids"));
        assert_eq!(study_read.output_dir, dir.path().join("derivatives/neuro-preprocess/1.2.3/output"));
        assert_eq!(study_read.root, dir.path());
        let dir = study(&[(".nipoppy/manifest.tsv", MANIFEST)]);
        assert_eq!(read(dir.path(), "1.2.3").unwrap().bids_dir, dir.path().join("sourcedata/imaging/raw"));
    }

    #[test]
    fn what_is_no_study_or_names_nothing_is_refused() {
        let plain = tempfile::tempdir().unwrap();
        assert!(!is_study(plain.path()));
        assert_eq!(read(plain.path(), "1").unwrap_err().code(), ErrorCode::NipoppyInvalid);
        let error = read(study(&[]).path(), "1").unwrap_err();
        assert!(error.to_string().contains("looked for manifest.tsv, .nipoppy/manifest.tsv"), "{error}");
        let none = STATUS.replace("True", "False");
        let dir = study(&[("manifest.tsv", MANIFEST), ("sourcedata/imaging/curation_status.tsv", &none)]);
        let error = read(dir.path(), "1").unwrap_err();
        assert_eq!(error.code(), ErrorCode::NothingMatches);
        assert!(error.to_string().contains("nipoppy track-curation"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_status_link_that_leads_nowhere_is_reported_not_passed_over() {
        let dir = study(&[("manifest.tsv", MANIFEST), ("sourcedata/imaging/x", "")]);
        let link = dir.path().join("sourcedata/imaging/curation_status.tsv");
        std::os::unix::fs::symlink(".curation_statuses/gone.tsv", link).unwrap();
        assert!(read(dir.path(), "1").unwrap_err().to_string().contains("cannot be read"));
    }
}
