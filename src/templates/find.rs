//! Looks for a template's files under their TemplateFlow names, and reports what is there instead.
//!
//! What is found in practice: the archive as the client fetched it (files in `tpl-X/` or `tpl-X/cohort-N/`); its skeleton,
//! in which every file that was never asked for is empty; a DataLad clone, with links into an annex that was not fetched,
//! or pointers in their place.

use super::TemplateError;
use crate::vocabulary::TemplateId;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nothing.
    Nothing,
    /// A file with content.
    File,
    /// A stand-in for a file whose content was not fetched: what it is, and how to fetch it.
    StandIn(String),
}

/// The two files of a template in one resolution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    /// The number of the resolution; 1 where the names have none.
    pub resolution: u8,
    pub image: PathBuf,
    /// Not there where the image itself is brain only.
    pub mask: Option<PathBuf>,
}

/// What a search found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Search {
    pub pair: Option<Pair>,
    /// What stood where files should be, for the message; empty where there was nothing at all.
    pub instead: Vec<String>,
}

/// Resolutions in the order in which they are wanted, as they may be spelled; the last are names without one.
const SPELLINGS: [(u8, &str); 5] = [(1, "_res-01"), (1, "_res-1"), (2, "_res-02"), (2, "_res-2"), (1, "")];

/// Endings of an image: NIfTI, compressed or not.
const ENDINGS: [&str; 2] = [".nii.gz", ".nii"];

/// The first resolution of which a brain can be had: a brain-only image, or an image with its mask.
pub(super) fn search(home: &Path, id: &TemplateId) -> Search {
    let mut found = Search::default();
    let folders = folders(home, id);
    for (resolution, res) in SPELLINGS {
        for folder in &folders {
            let name = |rest: &str| folder.join(format!("{}{res}{rest}", stem(id)));
            let mut first = |rest: &str| first_file(&name(rest), &mut found.instead);
            let (brain, mask) = (first("_desc-brain_T1w"), first("_desc-brain_mask"));
            let pair = match (brain, mask) {
                (Some(image), mask) => Some(Pair { resolution, image, mask }),
                (None, mask) => match (first("_T1w"), mask) {
                    (Some(image), Some(mask)) => Some(Pair { resolution, image, mask: Some(mask) }),
                    (Some(image), None) => {
                        found.instead.push(format!("{} has no brain mask beside it", image.display()));
                        None
                    }
                    (None, _) => None,
                },
            };
            if pair.is_some() {
                return Search { pair, ..found };
            }
        }
    }
    found
}

/// Any image of a template in this resolution, for its grid.
pub(super) fn any_image(home: &Path, id: &TemplateId, number: u8) -> Option<PathBuf> {
    let spellings = [format!("_res-{number:02}"), format!("_res-{number}")];
    for folder in folders(home, id) {
        for res in &spellings {
            for rest in ["_T1w", "_desc-brain_T1w", "_desc-brain_mask", "_T2w"] {
                let file = first_file(&folder.join(format!("{}{res}{rest}", stem(id))), &mut Vec::new());
                if file.is_some() {
                    return file;
                }
            }
        }
    }
    None
}

/// The names of the templates a folder has, sorted: those of its folders `tpl-*`.
///
/// # Errors
/// [`TemplateError::Folder`] when it cannot be listed; a folder that is not there has none.
pub fn names(home: &Path) -> Result<Vec<String>, TemplateError> {
    let failed = |source| TemplateError::Folder { path: home.to_owned(), source };
    let entries = match fs::read_dir(home) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if let Some(name) = entry.file_name().to_str().and_then(|name| name.strip_prefix("tpl-"))
            && entry.path().is_dir()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+')
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Whether the folder of a template is there.
pub(super) fn has_folder(home: &Path, id: &TemplateId) -> bool {
    home.join(format!("tpl-{}", id.name())).is_dir()
}

fn folders(home: &Path, id: &TemplateId) -> Vec<PathBuf> {
    let main = home.join(format!("tpl-{}", id.name()));
    let own = id.cohort().map(|cohort| main.join(format!("cohort-{cohort}")));
    own.into_iter().chain([main]).collect()
}

/// What the names of a template's files begin with.
fn stem(id: &TemplateId) -> String {
    let cohort = id.cohort().map(|cohort| format!("_cohort-{cohort}")).unwrap_or_default();
    format!("tpl-{}{cohort}", id.name())
}

/// The file of this name with one of the endings; notes what stands in for it.
fn first_file(without_ending: &Path, instead: &mut Vec<String>) -> Option<PathBuf> {
    for ending in ENDINGS {
        let mut path = without_ending.to_owned().into_os_string();
        path.push(ending);
        let path = PathBuf::from(path);
        match look(&path) {
            Seen::File => return Some(path),
            Seen::StandIn(what) => instead.push(what),
            Seen::Nothing => {}
        }
    }
    None
}

/// Looks at a path without following what is not there.
pub(super) fn look(path: &Path) -> Seen {
    let shown = path.display();
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(_) => {
            let Ok(target) = fs::read_link(path) else { return Seen::Nothing };
            let annex = target.to_string_lossy().contains("annex/objects/");
            let what = if annex { "git-annex's content, which was not fetched (datalad get)" } else { "nothing" };
            return Seen::StandIn(format!("{shown} is a link to {what}"));
        }
    };
    if meta.is_dir() {
        Seen::StandIn(format!("{shown} is a folder"))
    } else if !meta.is_file() {
        Seen::StandIn(format!("{shown} is no file"))
    } else if meta.len() == 0 {
        Seen::StandIn(format!("{shown} is empty, as in TemplateFlow's skeleton before a file is fetched"))
    } else if is_pointer(path) {
        Seen::StandIn(format!(
            "{shown} is a pointer of git-annex or git-lfs, whose content was not fetched (datalad get)"
        ))
    } else {
        Seen::File
    }
}

/// Whether a file holds the text that stands for one in a repository. What cannot be read here, the reader will say.
fn is_pointer(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(64).read_to_end(&mut start));
    let begins = |text: &[u8]| start.starts_with(text);
    read.is_ok()
        && (begins(b"/annex/objects/")
            || begins(b".git/annex/objects/")
            || begins(b"version https://git-lfs.github.com/"))
}
