//! Compares outputs with their ledgers: what is missing, what has changed, what is in no ledger.
//!
//! Only reads. Looks at the folders of participants; what belongs to the whole dataset (pages, tables, logs) is made anew from
//! them and has no entry.

use super::DerivativeError;
use super::ledger::{Ledger, NoLedger};
use super::marker::Marker;
use super::save::SavedFile;
use super::summary::participant_folders;
use crate::files;
use nifti::Fingerprint;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use walkdir::WalkDir;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Participant-sessions with a ledger.
    pub sessions: usize,
    /// Outputs that their ledgers name.
    pub files: usize,
    /// The size of them all, as it was written.
    pub bytes: u64,
    /// What is not as it was written, in the order of the paths.
    pub faults: Vec<Fault>,
}

/// A file that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Relative to the output folder.
    pub path: PathBuf,
    /// In which way.
    pub kind: FaultKind,
    /// What there is instead.
    pub why: String,
}

/// In which way a file is not as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// It is not there.
    Missing,
    /// It has other content, or cannot be read.
    Changed,
    /// No ledger names it.
    Extra,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Missing, Self::Changed, Self::Extra];

    /// A word for people and programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Changed => "changed",
            Self::Extra => "extra",
        }
    }
}

/// Reads every output below `output` and compares it with its ledger.
///
/// # Errors
/// [`DerivativeError::Access`] when the folder cannot be listed.
pub fn verify(output: &Path) -> Result<Verified, DerivativeError> {
    let mut all = Verified::default();
    for folder in participant_folders(output)? {
        let mut found = participant(output, &folder);
        all.sessions += found.sessions;
        all.files += found.files;
        all.bytes += found.bytes;
        all.faults.append(&mut found.faults);
    }
    all.faults.sort();
    Ok(all)
}

/// Says of an output what is not as it was written; `None` when nothing is.
#[must_use]
pub fn compare(output: &Path, made: &SavedFile) -> Option<(FaultKind, String)> {
    let path = output.join(&made.path);
    let changed = |why: String| Some((FaultKind::Changed, why));
    match std::fs::metadata(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Some((FaultKind::Missing, "it is not there".to_owned())),
        Err(e) => return changed(format!("it cannot be accessed: {e}")),
        // A pipe would block.
        Ok(there) if !there.is_file() => return changed("it is no file".to_owned()),
        Ok(there) if there.len() != made.bytes => {
            return changed(format!("it has {} bytes, {} were written", there.len(), made.bytes));
        }
        Ok(_) => {}
    }
    match Fingerprint::of(&path) {
        Ok(now) if now.xxh3 == made.xxh3 => None,
        Ok(_) => changed(format!("its content differs from the {} bytes that were written", made.bytes)),
        Err(e) => changed(format!("it cannot be read: {e}")),
    }
}

/// What is in the folder of one participant.
fn participant(output: &Path, folder: &Path) -> Verified {
    let relative = |path: &Path| path.strip_prefix(output).unwrap_or(path).to_owned();
    let mut faults = Vec::new();
    let mut there = files_below(folder, &relative, &mut faults);
    let mut outputs: Vec<SavedFile> = Vec::new();
    let mut sessions = 0;
    for session in sessions_of(folder, &there) {
        let place = |kind: &str| folder.join(format!("{session}_{kind}.json"));
        for kind in ["ledger", "success", "summary"] {
            there.remove(&relative(&place(kind)));
        }
        let marker = place("success");
        let mut fault = |path: &Path, kind, why| faults.push(Fault { path: relative(path), kind, why });
        let ledger = match Ledger::load(&place("ledger")) {
            Ok(ledger) => ledger,
            Err(NoLedger::File(files::NotRead::Io(e))) if e.kind() == ErrorKind::NotFound => {
                // A session of which every scan failed has a summary only.
                if marker.exists() {
                    fault(&place("ledger"), FaultKind::Missing, "there is a success marker without it".to_owned());
                }
                continue;
            }
            Err(e) => {
                fault(&place("ledger"), FaultKind::Changed, e.to_string());
                continue;
            }
        };
        sessions += 1;
        if let Some(why) = disagreement(&marker, &ledger) {
            fault(&marker, FaultKind::Changed, why);
        }
        for made in ledger.scans.into_iter().flat_map(|scan| scan.done.outputs) {
            // A path out of the folder is none of this program's.
            if made.path.components().all(|part| matches!(part, Component::Normal(_))) {
                outputs.push(made);
            } else {
                let why = format!("it names {}, which is not in the output folder", made.path.display());
                fault(&place("ledger"), FaultKind::Changed, why);
            }
        }
    }
    for made in &outputs {
        there.remove(&made.path);
    }
    let differs =
        |made: &SavedFile| compare(output, made).map(|(kind, why)| Fault { path: made.path.clone(), kind, why });
    faults.extend(outputs.par_iter().filter_map(differs).collect::<Vec<_>>());
    let extra = |(path, why)| Fault { path, kind: FaultKind::Extra, why };
    faults.extend(there.into_iter().map(extra));
    Verified { sessions, files: outputs.len(), bytes: outputs.iter().map(|made| made.bytes).sum(), faults }
}

/// Every file below a folder, with what is to be said where it is in no ledger. What cannot be listed is a fault.
fn files_below(
    folder: &Path,
    relative: &impl Fn(&Path) -> PathBuf,
    faults: &mut Vec<Fault>,
) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in WalkDir::new(folder).follow_links(true) {
        match entry {
            Ok(entry) if entry.file_type().is_dir() => {}
            Ok(entry) => {
                let left = super::temporary::is_part(entry.file_name());
                let why = if left { "a run is writing it, or was killed" } else { "it is in no ledger" };
                found.insert(relative(entry.path()), why.to_owned());
            }
            Err(e) => {
                let path = e.path().map_or_else(|| relative(folder), relative);
                // A link to nowhere is not listed; if it is an output, it is missing.
                if e.io_error().is_some_and(|e| e.kind() == ErrorKind::NotFound) {
                    found.insert(path, "it is a link to nowhere".to_owned());
                } else {
                    faults.push(Fault { path, kind: FaultKind::Changed, why: format!("it cannot be listed: {e}") });
                }
            }
        }
    }
    found
}

/// The beginnings of the names of what is left of each session: `sub-01`, `sub-01_ses-A`.
fn sessions_of(folder: &Path, there: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let Some(participant) = folder.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
    let of = |path: &PathBuf| {
        let name = path.strip_prefix(participant).ok()?.to_str()?;
        let begin = ["_ledger.json", "_success.json", "_summary.json"].iter().find_map(|end| name.strip_suffix(end))?;
        let session = begin.strip_prefix(participant)?;
        (session.is_empty() || session.starts_with("_ses-") && !session.contains('/')).then(|| begin.to_owned())
    };
    let mut found: Vec<String> = there.keys().filter_map(of).collect();
    found.sort();
    found.dedup();
    found
}

/// What the success marker, where there is one, says otherwise than the ledger.
fn disagreement(marker: &Path, ledger: &Ledger) -> Option<String> {
    let bytes = match files::read(marker, files::SMALL) {
        Err(files::NotRead::Io(e)) if e.kind() == ErrorKind::NotFound => return None,
        Err(e) => return Some(format!("it {e}")),
        Ok(bytes) => bytes,
    };
    let marker: Marker = match serde_json::from_slice(&bytes) {
        Ok(marker) => marker,
        Err(e) => return Some(format!("it is damaged: {e}")),
    };
    let other = marker.scans.iter().find(|scan| ledger.entry(&scan.path).is_none_or(|entry| entry.done != **scan))?;
    Some(format!("it and the ledger disagree about {}", other.path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_told_by_the_names_of_their_files() {
        let there = |names: &[&str]| names.iter().map(|name| (PathBuf::from(name), String::new())).collect();
        let found = sessions_of(
            Path::new("/out/sub-01"),
            &there(&[
                "sub-01/sub-01_ses-A_ledger.json",
                "sub-01/sub-01_ses-A_summary.json",
                "sub-01/sub-01_ses-B_success.json",
                "sub-01/sub-01_summary.json",
                "sub-01/sub-012_summary.json",
                "sub-01/anat/sub-01_summary.json",
                "sub-01/notes_summary.json",
            ]),
        );
        assert_eq!(found, ["sub-01", "sub-01_ses-A", "sub-01_ses-B"]);
    }
}
