//! Walking a dataset's folders: the root, and each participant by itself so that many are walked at once.
//!
//! The depth is bounded by the layout (participant, session, datatype), so links cannot lead in circles, and a folder's
//! entries are only asked for more than their names where the name calls for it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::label::is_label;
use super::nearest::nearest;
use super::other::Other;
use super::scan::{Datatype, ScanFile, looks_like_ours};
use super::sidecar::Sidecar;
use super::skip::{SkipReason, Skipped};

/// The datatype folders of BIDS that hold nothing for this tool.
const OTHER_DATATYPES: [&str; 12] =
    ["beh", "dwi", "eeg", "emg", "ieeg", "meg", "micr", "motion", "mrs", "nirs", "perf", "pet"];

/// The datatype folders that are read.
const DATATYPES: [&str; 3] = [Datatype::Anat.as_str(), Datatype::Func.as_str(), Datatype::Fmap.as_str()];

/// What a walk found, in the order of names.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Names of the participants' folders (root only).
    pub participants: Vec<String>,
    /// Labels of the sessions; `None` for datatype folders without session.
    pub sessions: Vec<Option<String>>,
    /// Scans.
    pub scans: Vec<ScanFile>,
    /// Left out.
    pub skipped: Vec<Skipped>,
    /// Sidecars by folder.
    pub sidecars: Vec<(PathBuf, Sidecar)>,
    /// Valid data of other kinds: images, folders such as `dwi`.
    pub others: Vec<Other>,
}

/// What an entry is, links followed.
enum Kind {
    Folder,
    /// A file, or a link that leads nowhere: git-annex content that was not fetched, which reading will say.
    File,
    Special,
    Unknown(String),
}

struct Entry {
    name: OsString,
    kind: io::Result<fs::FileType>,
}

impl Entry {
    fn kind(&self, folder: &Path) -> Kind {
        let found = match &self.kind {
            Ok(kind) if kind.is_symlink() => match fs::metadata(folder.join(&self.name)) {
                Err(e) if e.kind() == ErrorKind::NotFound => return Kind::File,
                Err(e) => return Kind::Unknown(e.to_string()),
                Ok(found) => found.file_type(),
            },
            Ok(kind) => *kind,
            Err(e) => return Kind::Unknown(e.to_string()),
        };
        match (found.is_dir(), found.is_file()) {
            (true, _) => Kind::Folder,
            (_, true) => Kind::File,
            _ => Kind::Special,
        }
    }
}

/// A folder's entries sorted by name.
fn list(folder: &Path) -> io::Result<Vec<Entry>> {
    let entry = |e: fs::DirEntry| Entry { name: e.file_name(), kind: e.file_type() };
    let mut entries = fs::read_dir(folder)?.map(|e| e.map(entry)).collect::<io::Result<Vec<_>>>()?;
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// The root of a dataset: its participants' folders and sidecars.
///
/// # Errors
/// When the root cannot be listed.
pub(super) fn root(root: &Path) -> io::Result<Found> {
    let mut found = Found::default();
    for entry in list(root)? {
        let path = PathBuf::from(&entry.name);
        let Some(name) = entry.name.to_str() else {
            found.unreadable_name(&entry, path);
            continue;
        };
        if found.file_of_ours(&path, name) {
            continue;
        }
        match name.strip_prefix("sub-") {
            Some(label) => match entry.kind(root) {
                Kind::Folder if is_label(label) => found.participants.push(name.to_owned()),
                Kind::Folder => found.skip(path, SkipReason::BadName(format!("{label:?} is not a label"))),
                Kind::Unknown(why) => found.skip(path, SkipReason::Unreadable(why)),
                Kind::File | Kind::Special if is_label(label) => found.skip(path, SkipReason::NotAFolder),
                Kind::File | Kind::Special => {}
            },
            None if almost(name, "sub") && matches!(entry.kind(root), Kind::Folder) => {
                found.skip(path, misspelt(name, "sub"));
            }
            None => {}
        }
    }
    Ok(found)
}

/// One participant's folders.
pub(super) fn participant(root: &Path, name: &str) -> Found {
    let mut found = Found::default();
    found.holder(root, Path::new(name), true);
    found
}

impl Found {
    fn skip(&mut self, path: PathBuf, reason: SkipReason) {
        self.skipped.push(Skipped { path, reason });
    }

    /// A name that is not UTF-8 is worth a word when it is a folder's in a place that is walked, or a scan's.
    fn unreadable_name(&mut self, entry: &Entry, path: PathBuf) {
        let shown = entry.name.to_string_lossy();
        if looks_like_ours(&shown) || almost(&shown, "sub") || almost(&shown, "ses") {
            self.skip(path, SkipReason::NotUtf8);
        }
    }

    /// Takes a file outside the datatype folders that concerns us: a sidecar, a scan in the wrong place.
    fn file_of_ours(&mut self, path: &Path, name: &str) -> bool {
        if let Some(hidden) = name.strip_prefix('.') {
            if looks_like_ours(hidden.trim_start_matches('_')) && name.starts_with("._") {
                self.skip(path.to_owned(), SkipReason::AppleDouble);
            }
            return true;
        }
        if let Some(sidecar) = Sidecar::parse(name) {
            match sidecar {
                Ok(sidecar) => self.sidecars.push((path.parent().unwrap_or(Path::new("")).to_owned(), sidecar)),
                Err(e) => self.skip(path.to_owned(), SkipReason::BadName(e.to_string())),
            }
            return true;
        }
        if looks_like_ours(name) {
            self.skip(path.to_owned(), SkipReason::Misplaced);
            return true;
        }
        false
    }

    /// A folder that holds datatype folders: a participant's, or a session's.
    fn holder(&mut self, root: &Path, at: &Path, may_hold_sessions: bool) {
        let folder = root.join(at);
        let entries = match list(&folder) {
            Ok(entries) => entries,
            Err(e) => return self.skip(at.to_owned(), SkipReason::Unreadable(e.to_string())),
        };
        for entry in entries {
            let path = at.join(&entry.name);
            let Some(name) = entry.name.to_str() else {
                self.unreadable_name(&entry, path);
                continue;
            };
            if self.file_of_ours(&path, name) {
                continue;
            }
            match entry.kind(&folder) {
                Kind::Folder => self.folder(root, &path, name, may_hold_sessions),
                Kind::Unknown(why) => self.skip(path, SkipReason::Unreadable(why)),
                Kind::File | Kind::Special => {
                    let session = name.strip_prefix("ses-").is_some_and(|label| may_hold_sessions && is_label(label));
                    if session || DATATYPES.contains(&name) {
                        self.skip(path, SkipReason::NotAFolder);
                    }
                }
            }
        }
    }

    fn folder(&mut self, root: &Path, path: &Path, name: &str, may_hold_sessions: bool) {
        if DATATYPES.contains(&name) || OTHER_DATATYPES.contains(&name) {
            if may_hold_sessions && !self.sessions.contains(&None) {
                self.sessions.push(None);
            }
            if DATATYPES.contains(&name) {
                return self.datatype(root, path);
            }
            return self.others.push(Other::folder(path.to_owned(), name));
        }
        match name.strip_prefix("ses-").filter(|_| may_hold_sessions) {
            Some(label) if is_label(label) => {
                self.sessions.push(Some(label.to_owned()));
                self.holder(root, path, false);
            }
            Some(label) => self.skip(path.to_owned(), SkipReason::BadName(format!("{label:?} is not a label"))),
            None if may_hold_sessions && almost(name, "ses") => self.skip(path.to_owned(), misspelt(name, "ses")),
            None => self.skip(path.to_owned(), unknown_folder(name)),
        }
    }

    /// A datatype folder: the scans themselves.
    fn datatype(&mut self, root: &Path, at: &Path) {
        let folder = root.join(at);
        let entries = match list(&folder) {
            Ok(entries) => entries,
            Err(e) => return self.skip(at.to_owned(), SkipReason::Unreadable(e.to_string())),
        };
        let first = self.scans.len();
        for entry in entries {
            let path = at.join(&entry.name);
            let Some(name) = entry.name.to_str() else {
                self.unreadable_name(&entry, path);
                continue;
            };
            if !looks_like_ours(name) {
                if !self.file_of_ours(&path, name) {
                    self.others.extend(Other::image(&path, name));
                }
                continue;
            }
            match ScanFile::parse(&path) {
                Err(reason) => self.skip(path, reason),
                Ok(scan) => match entry.kind(&folder) {
                    Kind::File => self.scans.push(scan),
                    Kind::Folder | Kind::Special => self.skip(path, SkipReason::NotAFile),
                    Kind::Unknown(why) => self.skip(path, SkipReason::Unreadable(why)),
                },
            }
        }
        mark_twins(self.scans.get_mut(first..).unwrap_or_default());
    }
}

/// Marks the scans of one folder that are one scan by name: numbers padded differently, other case, both extensions.
fn mark_twins(scans: &mut [ScanFile]) {
    let mut seen: BTreeMap<(Datatype, String), usize> = BTreeMap::new();
    for at in 0..scans.len() {
        let Some(scan) = scans.get(at) else { continue };
        let identity = format!("{}_{}", scan.entities.identity(), scan.suffix.as_str()).to_ascii_lowercase();
        let first = *seen.entry((scan.datatype, identity)).or_insert(at);
        if let Ok([earlier, later]) = scans.get_disjoint_mut([first, at]) {
            later.twin = Some(earlier.path.clone());
            earlier.twin.get_or_insert_with(|| later.path.clone());
        }
    }
}

/// Whether a folder's name was meant to begin with `sub-` or `ses-`: other case, or another or no separator before the
/// label. `subject-01` and `subjects` are not.
fn almost(name: &str, key: &str) -> bool {
    let Some((start, rest)) = name.split_at_checked(key.len()) else { return false };
    let next = rest.chars().next();
    start.eq_ignore_ascii_case(key) && next.is_some_and(|c| c == '-' || c == '_' || c == ' ' || c.is_ascii_digit())
}

fn misspelt(name: &str, key: &str) -> SkipReason {
    match name.split_at_checked(key.len() + 1) {
        Some((start, label)) if start.ends_with('-') && is_label(label) => {
            SkipReason::WrongCase { expected: format!("{key}-{label}") }
        }
        _ => SkipReason::BadName(format!("expected {key}-LABEL")),
    }
}

fn unknown_folder(name: &str) -> SkipReason {
    let known = || DATATYPES.into_iter().chain(OTHER_DATATYPES);
    if let Some(expected) = known().find(|k| k.eq_ignore_ascii_case(name)) {
        return SkipReason::WrongCase { expected: expected.to_owned() };
    }
    let nearest = nearest(name, known(), 1).into_iter().find(|k| strsim::osa_distance(k, name) <= 1);
    SkipReason::UnknownFolder { nearest }
}
