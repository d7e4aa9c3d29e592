//! `dataset_description.json`: whether a folder is a BIDS dataset, and of which type.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde_json::{Map, Value};

use super::error::BidsError;
use super::instead::{self, FILE};
use super::json::read_object;

/// How much of the dataset's own description must be right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Check {
    /// Refuse a dataset whose description is missing or breaks a rule.
    #[default]
    Validate,
    /// Go on with a warning (`--skip-bids-validation`).
    Tolerate,
}

/// What `dataset_description.json` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatasetDescription {
    /// `Name`; empty when the description was tolerated without it.
    pub name: String,
    /// `BIDSVersion`; empty when the description was tolerated without it.
    pub bids_version: String,
    /// `DatasetDOI`, when there is one.
    pub doi: Option<String>,
    /// Whether `DatasetType` is `derivative`: such datasets hold results, not scans.
    pub derivative: bool,
}

/// Reads the description of the dataset at `root`; what was tolerated comes as warnings.
///
/// # Errors
/// [`BidsError::Missing`] or [`BidsError::NotBids`] when `root` is no folder, whatever `check` says; with
/// [`Check::Validate`] also [`BidsError::NotBids`], [`BidsError::NotTheRoot`] or [`BidsError::Dicom`] when there is no
/// description and [`BidsError::BadDescription`] when it breaks a rule.
pub(super) fn describe(root: &Path, check: Check) -> Result<(DatasetDescription, Vec<String>), BidsError> {
    let found = fs::metadata(root).map_err(|e| match e.kind() {
        ErrorKind::NotFound => BidsError::Missing { root: root.to_owned() },
        _ => BidsError::Unreadable { path: root.to_owned(), reason: e.to_string() },
    })?;
    if !found.is_dir() {
        return Err(BidsError::NotBids { root: root.to_owned(), reason: "it is not a folder".to_owned() });
    }
    let path = root.join(FILE);
    if fs::symlink_metadata(&path).is_err_and(|e| e.kind() == ErrorKind::NotFound) {
        return tolerate(check, instead::refusal(root), DatasetDescription::default());
    }
    match read_object(&path) {
        Err(reason) => tolerate(check, BidsError::BadDescription { path, reason }, DatasetDescription::default()),
        Ok(object) => {
            let (description, faults) = understand(&object);
            if faults.is_empty() {
                return Ok((description, Vec::new()));
            }
            tolerate(check, BidsError::BadDescription { path, reason: faults.join("; ") }, description)
        }
    }
}

fn tolerate(
    check: Check,
    error: BidsError,
    description: DatasetDescription,
) -> Result<(DatasetDescription, Vec<String>), BidsError> {
    match check {
        Check::Validate => Err(error),
        Check::Tolerate => Ok((description, vec![error.to_string()])),
    }
}

/// The description in an object, and the rules it breaks.
fn understand(object: &Map<String, Value>) -> (DatasetDescription, Vec<String>) {
    let mut faults = Vec::new();
    let mut required = |key: &str| match object.get(key) {
        Some(Value::String(text)) if !text.trim().is_empty() => text.clone(),
        Some(_) => {
            faults.push(format!("{key} must be a text that is not empty"));
            String::new()
        }
        None => {
            faults.push(format!("{key} is missing"));
            String::new()
        }
    };
    let (name, bids_version) = (required("Name"), required("BIDSVersion"));
    let derivative = match object.get("DatasetType") {
        None => false,
        Some(Value::String(t)) if t == "raw" || t == "study" => false,
        Some(Value::String(t)) if t == "derivative" => true,
        Some(other) => {
            faults.push(format!("DatasetType must be \"raw\", \"derivative\" or \"study\", not {other}"));
            false
        }
    };
    let doi = object.get("DatasetDOI").and_then(Value::as_str).map(str::to_owned);
    (DatasetDescription { name, bids_version, doi, derivative }, faults)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Coded, ErrorCode};

    fn with(text: &str, check: Check) -> Result<(DatasetDescription, Vec<String>), BidsError> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), text).unwrap();
        describe(dir.path(), check)
    }

    #[test]
    fn a_good_description_is_understood() {
        let (d, warnings) = with(r#"{"Name": "x", "BIDSVersion": "n/a"}"#, Check::Validate).unwrap();
        assert_eq!((d.name.as_str(), d.bids_version.as_str(), d.derivative, warnings.len()), ("x", "n/a", false, 0));
        let text = r#"{"Name": "x", "BIDSVersion": "1.10.1", "DatasetType": "derivative", "DatasetDOI": "doi:10.1/x"}"#;
        let (d, _) = with(text, Check::Validate).unwrap();
        assert!(d.derivative && d.doi.as_deref() == Some("doi:10.1/x"));
    }

    #[test]
    fn each_broken_rule_is_named_and_tolerated_only_when_asked() {
        let cases = [
            (r#"{"BIDSVersion": "1.8.0"}"#, "Name is missing"),
            (r#"{"Name": "x", "BIDSVersion": 1.8}"#, "BIDSVersion must be a text"),
            (r#"{"Name": "x", "BIDSVersion": "1", "DatasetType": "Raw"}"#, "not \"Raw\""),
            ("[]", "not an object"),
            ("", "not JSON"),
        ];
        for (text, says) in cases {
            let error = with(text, Check::Validate).unwrap_err();
            assert_eq!(error.code(), ErrorCode::DatasetInvalid);
            assert!(error.to_string().contains(says) && error.to_string().contains(FILE), "{error}");
            let (_, warnings) = with(text, Check::Tolerate).unwrap();
            assert!(warnings.len() == 1 && warnings[0].contains(says), "{warnings:?}");
        }
    }

    #[test]
    fn no_description_no_folder_no_dataset() {
        let dir = tempfile::tempdir().unwrap();
        let code = |path: &Path, check| describe(path, check).map_err(|e| e.code()).map(|(_, warnings)| warnings.len());
        assert_eq!(code(dir.path(), Check::Validate), Err(ErrorCode::NotBids));
        assert_eq!(code(dir.path(), Check::Tolerate), Ok(1));
        assert_eq!(code(&dir.path().join("none"), Check::Tolerate), Err(ErrorCode::InputMissing));
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(code(&file, Check::Tolerate), Err(ErrorCode::NotBids));
    }
}
