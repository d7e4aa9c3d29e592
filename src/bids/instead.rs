//! What a folder that is no dataset is instead, so that the refusal can name the folder that was meant, or the way to one.
//!
//! Only names, descriptions and the first bytes of files are read, and of a large tree only a part: this is about the folder
//! that somebody named by mistake.

use super::error::BidsError;
use super::json::read_object;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// The file that makes a folder a dataset.
pub(super) const FILE: &str = "dataset_description.json";
/// Names that are looked at before the search ends.
const MOST_NAMES: usize = 5000;
/// Files that are opened before the search ends.
const MOST_FILES: usize = 500;
/// Datasets that are named.
const MOST_DATASETS: usize = 3;
/// What DICOM files have after 128 bytes (DICOM PS3.10).
const DICOM: &[u8; 4] = b"DICM";

/// The refusal of `root`, a folder without `dataset_description.json`.
pub(super) fn refusal(root: &Path) -> BidsError {
    let root_of = || root.to_owned();
    if has_participants(root) {
        return BidsError::NotBids { root: root_of(), reason: format!("it has no {FILE}") };
    }
    if let Some((dataset, options)) = dataset_around(root).filter(|(_, options)| !options.is_empty()) {
        let meant = format!("it is a part of a dataset; give {}, with {options}", dataset.display());
        return BidsError::NotTheRoot { root: root_of(), meant };
    }
    let below = datasets_below(root);
    if !below.is_empty() {
        let names: Vec<String> = below.iter().map(|path| path.display().to_string()).collect();
        return BidsError::NotTheRoot {
            root: root_of(),
            meant: format!("a dataset lies in it; give {}", names.join(" or ")),
        };
    }
    if let Some(example) = dicom_below(root) {
        return BidsError::Dicom { root: root_of(), example };
    }
    if let Some((dataset, _)) = dataset_around(root) {
        let meant = format!("it is a part of a dataset; give {}", dataset.display());
        return BidsError::NotTheRoot { root: root_of(), meant };
    }
    BidsError::NotBids { root: root_of(), reason: format!("it has no {FILE}") }
}

/// A DICOM file in a folder, at any depth, below that folder as it was given.
#[must_use]
pub(crate) fn dicom_below(root: &Path) -> Option<PathBuf> {
    let entries = WalkDir::new(root).sort_by_file_name().into_iter().take(MOST_NAMES);
    // Other than plain files are not opened: reading a pipe may never end.
    let files = entries.filter_map(Result::ok).filter(|entry| entry.file_type().is_file());
    files.map(walkdir::DirEntry::into_path).take(MOST_FILES).find(|path| is_dicom(path))
}

fn is_dicom(path: &Path) -> bool {
    let mut start = [0_u8; 132];
    File::open(path).is_ok_and(|mut file| file.read_exact(&mut start).is_ok()) && start.ends_with(DICOM)
}

fn has_participants(root: &Path) -> bool {
    let folders = WalkDir::new(root).min_depth(1).max_depth(1).into_iter().take(MOST_NAMES).filter_map(Result::ok);
    folders.filter(|entry| entry.path().is_dir()).any(|entry| entry.file_name().to_string_lossy().starts_with("sub-"))
}

/// The nearest dataset that the folder lies in, with the options that name the part of it that the folder is.
fn dataset_around(root: &Path) -> Option<(PathBuf, String)> {
    let whole = std::path::absolute(root).ok()?;
    let dataset = whole.ancestors().skip(1).find(|folder| folder.join(FILE).exists())?;
    let parts = whole.strip_prefix(dataset).ok()?.components();
    let options = parts.filter_map(|part| {
        let name = part.as_os_str().to_str()?;
        let of = |prefix: &str, option: &str| name.strip_prefix(prefix).map(|label| format!("{option} {label}"));
        of("sub-", "--participant-label").or_else(|| of("ses-", "--session-label"))
    });
    Some((dataset.to_owned(), options.collect::<Vec<_>>().join(" ")))
}

/// The datasets of scans, and the Nipoppy studies, at most two folders below.
fn datasets_below(root: &Path) -> Vec<PathBuf> {
    let of_scans = |folder: &Path| {
        let description = read_object(&folder.join(FILE));
        let results = description.is_ok_and(|d| d.get("DatasetType").is_some_and(|kind| kind == "derivative"));
        folder.join(FILE).exists() && !results || folder.join(".nipoppy").is_dir()
    };
    let walk = WalkDir::new(root).min_depth(1).max_depth(2).sort_by_file_name().into_iter();
    let folders = walk.take(MOST_NAMES).filter_map(Result::ok).filter(|entry| entry.file_type().is_dir());
    folders.map(walkdir::DirEntry::into_path).filter(|folder| of_scans(folder)).take(MOST_DATASETS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Coded, ErrorCode};
    use std::fs;

    fn dataset(folder: &Path, description: &str) {
        fs::create_dir_all(folder.join("sub-01/ses-A/anat")).unwrap();
        fs::write(folder.join(FILE), description).unwrap();
    }

    fn dicom(file: &Path) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, [&[0; 128], &DICOM[..], b"more"].concat()).unwrap();
    }

    fn refused(folder: &Path) -> (ErrorCode, String) {
        let error = refusal(folder);
        (error.code(), error.to_string())
    }

    #[test]
    fn a_part_of_a_dataset_leads_to_the_dataset() {
        let tmp = tempfile::tempdir().unwrap();
        let bids = tmp.path().join("bids");
        dataset(&bids, "{}");
        let (code, text) = refused(&bids.join("sub-01"));
        assert_eq!(code, ErrorCode::NotTheRoot);
        assert!(text.ends_with(&format!("give {}, with --participant-label 01", bids.display())), "{text}");
        let (_, text) = refused(&bids.join("sub-01/ses-A/anat"));
        assert!(text.ends_with("with --participant-label 01 --session-label A"), "{text}");
        fs::create_dir(bids.join("code")).unwrap();
        let (code, text) = refused(&bids.join("code"));
        assert!(code == ErrorCode::NotTheRoot && text.ends_with(&format!("give {}", bids.display())), "{text}");
    }

    #[test]
    fn a_folder_above_leads_to_the_datasets_of_scans_in_it() {
        let tmp = tempfile::tempdir().unwrap();
        dataset(&tmp.path().join("a/raw"), "{}");
        dataset(&tmp.path().join("results"), r#"{"DatasetType": "derivative"}"#);
        fs::create_dir_all(tmp.path().join("study/.nipoppy")).unwrap();
        let (code, text) = refused(tmp.path());
        let [raw, study] = ["a/raw", "study"].map(|name| tmp.path().join(name).display().to_string());
        assert!(code == ErrorCode::NotTheRoot && text.ends_with(&format!("give {raw} or {study}")), "{text}");
    }

    #[test]
    fn dicom_files_are_known_by_their_content() {
        let tmp = tempfile::tempdir().unwrap();
        fs::write(tmp.path().join("notes.dcm"), "none").unwrap();
        assert_eq!(refused(tmp.path()).0, ErrorCode::NotBids);
        dicom(&tmp.path().join("visit/series 1/IM0001"));
        let (code, text) = refused(tmp.path());
        assert!(code == ErrorCode::Dicom && text.contains("visit/series 1/IM0001"), "{text}");
    }

    /// In a dataset DICOM files lie in `sourcedata`, and derivatives are described: neither is what is wrong with it.
    #[test]
    fn what_has_participants_is_a_dataset_without_its_description() {
        let tmp = tempfile::tempdir().unwrap();
        dataset(tmp.path(), "{}");
        fs::remove_file(tmp.path().join(FILE)).unwrap();
        dicom(&tmp.path().join("sourcedata/1.dcm"));
        dataset(&tmp.path().join("derivatives/x"), "{}");
        assert_eq!(refused(tmp.path()).0, ErrorCode::NotBids);
        dataset(tmp.path(), "{}");
        assert_eq!(refused(&tmp.path().join("sourcedata")).0, ErrorCode::Dicom);
    }
}
