//! The files at the root of the derivative dataset. Written first, whole, and the same by every process that shares the
//! folder, so that the tasks of a job array do not disturb each other.

use super::{DerivativeError, atomic, temporary};
use crate::files;
use crate::printable;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Files of ours that the BIDS validator has no rule for. Lines without slashes match at any depth.
const IGNORED: &str = "*.html\nfigures\nlogs\n*_xfm.*\n*_boldref.*\n*_T2starmap.*\n*_S0map.*\n*_fieldmap.*\n*_timeseries.*\n*_ledger.json\n*_success.json\n*_summary.json\ngroup_*.tsv\n";

/// What the derivative dataset says about where it came from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The raw dataset's folder.
    pub raw: PathBuf,
    /// The raw dataset's name.
    pub name: String,
    /// The raw dataset's DOI, when it has one.
    pub doi: Option<String>,
    /// The container the program runs in.
    pub container: Option<Container>,
}

/// A container, as BIDS' `GeneratedBy.Container` describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// `apptainer` or `docker`.
    pub kind: &'static str,
    /// The image, when it is known.
    pub tag: Option<String>,
}

impl Container {
    /// The container this process is in, from what Apptainer and Docker leave behind.
    #[must_use]
    pub fn current() -> Option<Self> {
        let image = |name| std::env::var(name).ok().filter(|v: &String| !v.is_empty());
        if let Some(tag) = image("APPTAINER_CONTAINER").or_else(|| image("SINGULARITY_CONTAINER")) {
            return Some(Self {
                kind: "apptainer",
                tag: Path::new(&tag).file_name().map(|n| n.to_string_lossy().into()),
            });
        }
        Path::new("/.dockerenv").exists().then_some(Self { kind: "docker", tag: None })
    }
}

/// Makes the output folder, finds out whether it can be written to, and writes `dataset_description.json` and `.bidsignore`
/// where they are missing or differ.
///
/// # Errors
/// [`DerivativeError::Write`] when the output folder refuses.
pub fn prepare(output: &Path, origin: &Origin) -> Result<(), DerivativeError> {
    make_folder(output)?;
    let description = serde_json::to_string_pretty(&description(origin)).unwrap_or_default() + "\n";
    write_if_different(output.join("dataset_description.json"), &printable::text(&description))?;
    write_if_different(output.join(".bidsignore"), IGNORED)
}

/// Makes a folder so that it survives a loss of power, and tries whether files can be made in it.
fn make_folder(folder: &Path) -> Result<(), DerivativeError> {
    let failed = |e: std::io::Error| DerivativeError::Write { path: folder.to_owned(), source: e.into() };
    let absolute = std::path::absolute(folder).map_err(failed)?;
    let new: Vec<&Path> = absolute.ancestors().take_while(|f| !f.exists()).collect();
    std::fs::create_dir_all(&absolute).map_err(failed)?;
    new.into_iter().filter_map(Path::parent).try_for_each(atomic::sync_folder)?;
    temporary::create(folder).map(drop).map_err(failed)
}

fn write_if_different(path: PathBuf, text: &str) -> Result<(), DerivativeError> {
    if files::read(&path, files::SMALL).is_ok_and(|old| old == text.as_bytes()) {
        return Ok(());
    }
    atomic::write_text(path, text).map(|_| ())
}

fn description(origin: &Origin) -> Value {
    let mut generated = json!({
        "Name": "neuro-preprocess",
        "Version": env!("CARGO_PKG_VERSION"),
        "Description": concat!("commit ", env!("NEURO_PREPROCESS_COMMIT")),
    });
    if let Some(container) = &origin.container {
        let mut c = json!({ "Type": container.kind });
        if let Some(tag) = &container.tag {
            c["Tag"] = json!(tag);
        }
        generated["Container"] = c;
    }
    let mut source = json!({ "URL": file_uri(&origin.raw) });
    if let Some(doi) = &origin.doi {
        source["DOI"] = json!(doi);
    }
    json!({
        "Name": format!("neuro-preprocess derivatives of {}", origin.name),
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [generated],
        "SourceDatasets": [source],
        "DatasetLinks": { "raw": file_uri(&origin.raw) },
    })
}

/// The folder as a `file://` URI (RFC 8089), made absolute without following links.
fn file_uri(folder: &Path) -> String {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    format!("file://{}", uri_path(&absolute))
}

/// A path as it stands in a URI: every byte that has a meaning there is written as its number (RFC 3986).
#[must_use]
pub fn uri_path(path: &Path) -> String {
    let mut uri = String::new();
    for byte in path.to_string_lossy().bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' | b'+' => uri.push(char::from(byte)),
            b if b.is_ascii_alphanumeric() => uri.push(char::from(b)),
            b => uri.push_str(&format!("%{b:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_hold_nothing_a_browser_would_take_for_something_else() {
        assert_eq!(uri_path(Path::new("sub-1/a b#c?d%\"<é.jpg")), "sub-1/a%20b%23c%3Fd%25%22%3C%C3%A9.jpg");
    }

    #[test]
    fn description_has_what_bids_asks_of_a_derivative() {
        let dir = tempfile::tempdir().unwrap();
        let container = Some(Container { kind: "apptainer", tag: Some("x.sif".into()) });
        let origin =
            Origin { raw: "/data/my study".into(), name: "study".into(), doi: Some("doi:10.1/x".into()), container };
        prepare(dir.path(), &origin).unwrap();
        let text = std::fs::read_to_string(dir.path().join("dataset_description.json")).unwrap();
        let v: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(v["DatasetType"], "derivative");
        assert_eq!(v["GeneratedBy"][0]["Name"], "neuro-preprocess");
        assert_eq!(v["GeneratedBy"][0]["Container"]["Tag"], "x.sif");
        assert_eq!(v["DatasetLinks"]["raw"], "file:///data/my%20study");
        let source = json!([{ "URL": "file:///data/my%20study", "DOI": "doi:10.1/x" }]);
        assert_eq!(v["SourceDatasets"], source);
    }

    #[test]
    fn preparing_twice_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let origin = Origin { raw: "/d".into(), name: "d".into(), doi: None, container: None };
        prepare(dir.path(), &origin).unwrap();
        let before = std::fs::metadata(dir.path().join(".bidsignore")).unwrap().modified().unwrap();
        prepare(dir.path(), &origin).unwrap();
        assert_eq!(std::fs::metadata(dir.path().join(".bidsignore")).unwrap().modified().unwrap(), before);
    }
}
