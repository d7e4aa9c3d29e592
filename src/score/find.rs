//! Which scans can be scored, and where their files lie: derivatives, truth and raw images.

use super::{Problem, ScoreError};
use crate::bids::{Datatype, Entities, Modality, derivative_name, participant_dir};
use crate::derivatives::outputs::{OutputKind, outputs_of};
use crate::vocabulary::Wanted;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// Where the truth lies in a raw dataset.
const TRUTH: &str = "derivatives/ground-truth";
/// How the names of brain masks end, which every scan with a truth or a derivative has.
const BRAIN: &str = "_desc-brain_mask.nii.gz";

/// One scan to score.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Scan {
    pub modality: Modality,
    pub entities: Entities,
}

/// The folders that are compared.
pub(super) struct Roots {
    derivatives: PathBuf,
    truth: PathBuf,
    /// The dataset the truth is about, where a description leads to it.
    raw: Option<PathBuf>,
}

impl Roots {
    pub fn new(derivatives: &Path, truth: &Path) -> Self {
        let raw = source_of(truth).or_else(|| source_of(derivatives));
        Self { derivatives: derivatives.to_owned(), truth: truth.to_owned(), raw }
    }

    /// An output of the scan, by the name BIDS gives derivatives.
    pub fn derivative(&self, scan: &Scan, kind: OutputKind) -> Result<PathBuf, Problem> {
        let outputs = outputs_of(scan.modality, &scan.entities, &Wanted::default())?;
        let found = outputs.into_iter().find(|o| o.kind == kind).map(|o| self.derivatives.join(o.path));
        match found {
            Some(path) if path.exists() => Ok(path),
            found => Err(Problem::NoDerivative(found.unwrap_or_default())),
        }
    }

    /// A file of the truth.
    pub fn truth(&self, scan: &Scan, desc: Option<&str>, suffix: &str, extension: &str) -> Result<PathBuf, Problem> {
        let set: Vec<_> = desc.map(|d| ("desc", d)).into_iter().collect();
        let name = derivative_name(&scan.entities, &set, suffix, extension)?;
        let path = self.truth.join(scan.folder()?).join(name);
        if path.exists() { Ok(path) } else { Err(Problem::NoTruth(path)) }
    }

    /// The scan itself.
    pub fn raw(&self, scan: &Scan) -> Result<PathBuf, Problem> {
        let name = derivative_name(&scan.entities, &[], scan.modality.as_str(), ".nii.gz")?;
        let path = self.raw.clone().unwrap_or_default().join(scan.folder()?).join(name);
        if path.exists() { Ok(path) } else { Err(Problem::NoRaw(path)) }
    }
}

impl Scan {
    /// `sub-01_task-rest_bold`.
    pub fn name(&self) -> String {
        format!("{}_{}", self.entities.as_str(), self.modality.as_str())
    }

    fn folder(&self) -> Result<PathBuf, Problem> {
        let datatype = match self.modality {
            Modality::T1w => Datatype::Anat,
            Modality::Bold => Datatype::Func,
        };
        Ok(participant_dir(&self.entities, datatype)?)
    }
}

/// Every scan with a brain mask in the truth or the derivatives, T1w first.
pub(super) fn scans(roots: &Roots) -> BTreeSet<Scan> {
    let masks = |root| WalkDir::new(root).max_depth(4).into_iter().flatten();
    masks(&roots.truth).chain(masks(&roots.derivatives)).filter_map(|entry| scan_of(entry.path())).collect()
}

/// The scan that a brain mask is of; `None` for other files, and for masks in a space that is not the scan's.
fn scan_of(path: &Path) -> Option<Scan> {
    let stem = path.file_name()?.to_str()?.strip_suffix(BRAIN)?;
    let modality = match path.parent()?.file_name()?.to_str()? {
        "anat" => Modality::T1w,
        "func" => Modality::Bold,
        _ => return None,
    };
    let entities = Entities::parse(stem).ok()?;
    let native = ["space", "res"].iter().all(|key| entities.get(key).is_none());
    native.then_some(Scan { modality, entities })
}

/// The truth of the dataset that the derivatives were made from.
pub(super) fn truth_of(derivatives: &Path) -> Result<PathBuf, ScoreError> {
    let refuse = |why| ScoreError::NoTruth { derivatives: derivatives.to_owned(), why };
    let raw = source_of(derivatives).ok_or_else(|| {
        refuse("no DatasetLinks.raw or SourceDatasets in its dataset_description.json leads to a folder".to_owned())
    })?;
    let truth = raw.join(TRUTH);
    if truth.is_dir() { Ok(truth) } else { Err(refuse(format!("{} does not exist", truth.display()))) }
}

/// The dataset that another was made from: the first of `DatasetLinks.raw` and the `SourceDatasets` that is a folder.
fn source_of(dataset: &Path) -> Option<PathBuf> {
    let text = std::fs::read(dataset.join("dataset_description.json")).ok()?;
    let description: Value = serde_json::from_slice(&text).ok()?;
    let sources = description["SourceDatasets"].as_array().into_iter().flatten().map(|s| &s["URL"]);
    let links = std::iter::once(&description["DatasetLinks"]["raw"]).chain(sources);
    links.filter_map(Value::as_str).map(|link| folder_of(link, dataset)).find(|folder| folder.is_dir())
}

/// The folder that a `file://` URI, a `bids::` URI or a path relative to the dataset means.
fn folder_of(link: &str, dataset: &Path) -> PathBuf {
    match (link.strip_prefix("file://"), link.strip_prefix("bids::")) {
        (Some(path), _) => PathBuf::from(percent_decoded(path)),
        (None, Some(path)) => dataset.join(path),
        (None, None) => dataset.join(link),
    }
}

fn percent_decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match code.filter(|_| *first == b'%') {
            Some(byte) => (bytes.push(byte), rest = &tail[2..]).1,
            None => (bytes.push(*first), rest = tail).1,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_every_form_lead_to_the_folder() {
        let dataset = Path::new("/d/out");
        assert_eq!(folder_of("file:///data/my%20study", dataset), Path::new("/data/my study"));
        assert_eq!(folder_of("file:///data/50%25%C3%BC", dataset), Path::new("/data/50%ü"));
        assert_eq!(folder_of("bids::../..", dataset), Path::new("/d/out/../.."));
        assert_eq!(folder_of("../raw", dataset), Path::new("/d/out/../raw"));
        assert_eq!(folder_of("/raw%zz", dataset), Path::new("/raw%zz"));
    }

    #[test]
    fn masks_name_their_scan() {
        let name = |path: &str| scan_of(Path::new(path)).map(|s| s.name());
        assert_eq!(name("d/sub-01/anat/sub-01_desc-brain_mask.nii.gz").as_deref(), Some("sub-01_T1w"));
        let bold = "d/sub-01/ses-1/func/sub-01_ses-1_task-rest_desc-brain_mask.nii.gz";
        assert_eq!(name(bold).as_deref(), Some("sub-01_ses-1_task-rest_bold"));
        assert_eq!(name("sub-01/anat/sub-01_space-MNI152NLin6Asym_desc-brain_mask.nii.gz"), None);
        assert_eq!(name("sub-01/anat/sub-01_desc-brain_mask.json"), None);
        assert_eq!(name("sub-01/dwi/sub-01_desc-brain_mask.nii.gz"), None);
    }

    #[test]
    fn a_truth_that_is_nowhere_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        assert!(truth_of(dir.path()).unwrap_err().to_string().contains("--truth"));
        let links = r#"{"DatasetLinks": {"raw": "raw"}, "SourceDatasets": [{"URL": "other"}, {"DOI": "x"}]}"#;
        std::fs::write(dir.path().join("dataset_description.json"), links).unwrap();
        std::fs::create_dir_all(dir.path().join("other")).unwrap();
        let error = truth_of(dir.path()).unwrap_err().to_string();
        assert!(error.contains("other/derivatives/ground-truth does not exist"), "{error}");
        std::fs::create_dir_all(dir.path().join("other").join(TRUTH)).unwrap();
        assert_eq!(truth_of(dir.path()).unwrap(), dir.path().join("other").join(TRUTH));
    }
}
