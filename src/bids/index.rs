//! Everything a dataset holds for this tool, found in one read-only walk.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::dataset::{Check, DatasetDescription, describe};
use super::error::BidsError;
use super::label::without_sub;
use super::other::Other;
use super::participants;
use super::scan::{ScanFile, Suffix};
use super::sidecar::Sidecars;
use super::skip::Skipped;
use super::walk::{self, Found};
use serde_json::{Map, Value};

/// A participant's folder, whether or not it holds scans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    /// Without `sub-`.
    pub label: String,
    /// Without `ses-`; `None` for datatype folders that lie in the participant's folder itself.
    pub sessions: Vec<Option<String>>,
}

/// What a dataset holds.
#[derive(Debug)]
pub struct Index {
    /// The dataset's folder as given.
    pub root: PathBuf,
    /// Its own description.
    pub description: DatasetDescription,
    /// Participants by label.
    pub participants: Vec<Participant>,
    /// Scans by participant, session, datatype and name.
    pub scans: Vec<ScanFile>,
    /// Images that are there to correct the distortion of others: those of `fmap/`, and single-band references.
    pub of_fields: Vec<ScanFile>,
    /// Masks of lesions.
    pub lesions: Vec<ScanFile>,
    /// What looks as if it was meant to be a scan, or a folder of scans, and was left out.
    pub skipped: Vec<Skipped>,
    /// Images of other suffixes (`sbref`) beside the scans, and folders of other datatypes (`dwi/`).
    pub others: Vec<Other>,
    /// What was tolerated.
    pub warnings: Vec<String>,
    pub(super) sidecars: Sidecars,
}

/// Finds the scans of the dataset at `root`. Reads names only, changes nothing, and resolves no link in a path.
///
/// Datasets whose `DatasetType` is `derivative` have no scans. Nothing outside `sub-*` folders is looked at.
///
/// # Errors
/// [`BidsError::Missing`], [`BidsError::NotBids`], [`BidsError::BadDescription`] as `check` demands;
/// [`BidsError::Unreadable`] when the root cannot be listed; [`BidsError::CaseCollision`] when two participants, or two
/// sessions of one, differ only in case.
pub fn index(root: &Path, check: Check) -> Result<Index, BidsError> {
    index_of(root, check, &|_| true)
}

/// As [`index`], but looks only into the folders of those participants, by their labels, that are `wanted`. The others are
/// known by name and nothing more: each of 10,000 jobs looks at its own participant and not at all of them.
///
/// # Errors
/// As [`index`].
pub fn index_of(root: &Path, check: Check, wanted: &(dyn Fn(&str) -> bool + Sync)) -> Result<Index, BidsError> {
    let (description, mut warnings) = describe(root, check)?;
    let mut top = if description.derivative {
        warnings
            .push("DatasetType is derivative: this dataset holds results, so none of its images is taken".to_owned());
        Found::default()
    } else {
        walk::root(root).map_err(|e| BidsError::Unreadable { path: root.to_owned(), reason: e.to_string() })?
    };
    let names = std::mem::take(&mut top.participants);
    refuse_case_collisions(Path::new(""), names.iter().map(String::as_str))?;
    // Nothing is reported about folders that are not read.
    if !description.derivative {
        warnings.extend(participants::oddities(root, &names));
    }
    let look = |name: &String| match wanted(without_sub(name)) {
        true => walk::participant(root, name),
        false => Found::default(),
    };
    let walked: Vec<Found> = names.par_iter().map(look).collect();
    let mut index = Index {
        root: root.to_owned(),
        description,
        participants: Vec::with_capacity(names.len()),
        scans: Vec::new(),
        of_fields: Vec::new(),
        lesions: Vec::new(),
        skipped: Vec::new(),
        others: Vec::new(),
        warnings,
        sidecars: Sidecars::default(),
    };
    index.scans.reserve_exact(walked.iter().map(|found| found.scans.len()).sum());
    index.take(top);
    for (name, mut found) in names.into_iter().zip(walked) {
        let sessions = std::mem::take(&mut found.sessions);
        refuse_case_collisions(Path::new(&name), sessions.iter().flatten().map(String::as_str))?;
        index.participants.push(Participant { label: without_sub(&name).to_owned(), sessions });
        index.take(found);
    }
    Ok(index)
}

impl Index {
    /// The metadata of a scan: every sidecar that applies to it, merged, the deeper one winning key by key.
    ///
    /// BIDS allows one applying sidecar per folder. Where there are more, the one with more entities wins if it is the
    /// more specific; otherwise they must agree.
    ///
    /// # Errors
    /// [`BidsError::BadSidecar`] when an applying sidecar is not one JSON object in UTF-8, and
    /// [`BidsError::SidecarConflict`] when two in one folder contradict each other. Other scans are not affected.
    pub fn metadata(&self, scan: &ScanFile) -> Result<Map<String, Value>, BidsError> {
        self.sidecars.merged(&self.root, scan)
    }

    fn take(&mut self, found: Found) {
        for scan in found.scans {
            match scan.suffix {
                Suffix::Roi if is_lesion(&scan) => {
                    self.lesions.push(scan);
                    continue;
                }
                Suffix::Roi => {
                    self.others.push(Other::of(&scan));
                    continue;
                }
                // Nothing is made of it alone.
                Suffix::Sbref => self.others.push(Other::of(&scan)),
                _ if scan.suffix.is_of_field() => {}
                _ => {
                    self.scans.push(scan);
                    continue;
                }
            }
            self.of_fields.push(scan);
        }
        self.skipped.extend(found.skipped);
        for (folder, sidecar) in found.sidecars {
            self.sidecars.add(&folder, sidecar);
        }
        self.others.extend(found.others);
    }
}

/// Whether a region is a lesion: it says so, or nothing else.
fn is_lesion(file: &ScanFile) -> bool {
    file.entities.get("label").is_none_or(|label| label.eq_ignore_ascii_case("lesion"))
}

/// BIDS forbids names in one folder that differ only in case: on many disks they are one file.
fn refuse_case_collisions<'a>(folder: &Path, names: impl Iterator<Item = &'a str>) -> Result<(), BidsError> {
    let mut seen: HashMap<String, &str> = HashMap::new();
    for name in names {
        if let Some(earlier) = seen.insert(name.to_ascii_lowercase(), name) {
            let whole =
                |n: &str| if folder.as_os_str().is_empty() { n.into() } else { folder.join(format!("ses-{n}")) };
            return Err(BidsError::CaseCollision { first: whole(earlier), second: whole(name) });
        }
    }
    Ok(())
}
