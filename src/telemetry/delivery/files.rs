//! The spool as files in a folder: their names, which belong together, and the cursor beside each.
//!
//! `traces-HOST-PID-START.jsonl`, then `….1.jsonl` and so on when it grew too large. Beside a file, `NAME.jsonl.ack`
//! holds its [`Cursor`] while it is being sent; renamed to `NAME.jsonl.sent` nothing is left to send, which a listing of
//! the folder shows without opening anything.

use crate::files::open_no_link;
use crate::telemetry::stats::Signal;
use std::collections::{BTreeMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Folders below the one named that may hold outputs: a study, a pipeline, a version, and one more.
const MAX_DEPTH: usize = 6;

/// One file of the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolFile {
    /// Its folder.
    pub dir: PathBuf,
    /// What is in it.
    pub signal: Signal,
    /// `HOST-PID-START`: the process that wrote it.
    pub stem: String,
    /// 0 for the first, and up when the one before was full.
    pub segment: u32,
}

impl SpoolFile {
    /// The file with this name; `None` when the name is not one of the spool.
    #[must_use]
    pub fn parse(dir: &Path, name: &str) -> Option<Self> {
        let (signal, rest) = Signal::ALL.into_iter().find_map(|signal| {
            let rest = name.strip_prefix(signal.as_str())?.strip_prefix('-')?;
            Some((signal, rest.strip_suffix(".jsonl")?))
        })?;
        // A host name may hold dots and dashes; the last two parts are numbers.
        let (head, last) = rest.rsplit_once('-')?;
        let (start, segment) = last.split_once('.').unwrap_or((last, "0"));
        let (_, pid) = head.rsplit_once('-')?;
        let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let fits = number(start) && number(pid);
        let segment = segment.parse().ok().filter(|_| fits)?;
        let file = Self { dir: dir.to_owned(), signal, stem: format!("{head}-{start}"), segment };
        // `.0` or `.01`: such a file would be looked for under another name.
        (file.name() == name).then_some(file)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        let segment = if self.segment == 0 { String::new() } else { format!(".{}", self.segment) };
        format!("{}-{}{segment}.jsonl", self.signal.as_str(), self.stem)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.dir.join(self.name())
    }

    /// The file that follows when this one is full.
    #[must_use]
    pub fn next(&self) -> Self {
        Self { segment: self.segment + 1, ..self.clone() }
    }

    /// The cursor beside it, and whether everything is sent. Without one, nothing was.
    #[must_use]
    pub fn cursor(&self) -> (Cursor, bool) {
        let read = |end: &str| Cursor::parse(&std::fs::read_to_string(self.beside(end)).ok()?);
        read(SENT).map(|c| (c, true)).or_else(|| read(ACK).map(|c| (c, false))).unwrap_or_default()
    }

    /// Writes the cursor beside it, through to the disk, so that what was acknowledged is not sent again.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn save(&self, cursor: &Cursor) -> io::Result<()> {
        // Always as long as before and within one sector: written over, it is old or new, never half.
        let mut file = open_no_link(&self.beside(ACK), OpenOptions::new().create(true).write(true).truncate(false))?;
        file.write_all(cursor.text().as_bytes())?;
        file.sync_data()
    }

    /// Marks the file as sent to its end.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn close(&self, cursor: &Cursor) -> io::Result<()> {
        self.save(cursor)?;
        std::fs::rename(self.beside(ACK), self.beside(SENT))
    }

    fn beside(&self, end: &str) -> PathBuf {
        self.dir.join(self.name() + end)
    }
}

const ACK: &str = ".ack";
const SENT: &str = ".sent";

/// How far a file is sent, and what became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Bytes from the start that need not be sent any more.
    pub offset: u64,
    /// Items a collector took.
    pub delivered: u64,
    /// Items a collector refused for good.
    pub rejected: u64,
    /// Lines that could not be read: cut short by a kill.
    pub torn: u64,
}

impl Cursor {
    fn text(&self) -> String {
        format!("{:020} {:020} {:020} {:020}\n", self.offset, self.delivered, self.rejected, self.torn)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split_whitespace().map(str::parse);
        let mut next = || numbers.next()?.ok();
        let cursor = Self { offset: next()?, delivered: next()?, rejected: next()?, torn: next()? };
        // More than any file holds is damage, and would not add up.
        [cursor.delivered, cursor.rejected, cursor.torn].iter().all(|n| *n < 1 << 48).then_some(cursor)
    }
}

/// The spool files of a folder by the process that wrote them, each with whether it is sent to its end.
///
/// # Errors
/// When the folder cannot be read.
pub fn list(dir: &Path) -> io::Result<BTreeMap<String, Vec<(SpoolFile, bool)>>> {
    let mut names = HashSet::new();
    for entry in std::fs::read_dir(dir)? {
        names.extend(entry?.file_name().into_string());
    }
    let mut sets: BTreeMap<String, Vec<(SpoolFile, bool)>> = BTreeMap::new();
    for file in names.iter().filter_map(|name| SpoolFile::parse(dir, name)) {
        let sent = names.contains(&(file.name() + SENT));
        sets.entry(file.stem.clone()).or_default().push((file, sent));
    }
    for files in sets.values_mut() {
        files.sort_by_key(|(file, _)| (file.signal.as_str(), file.segment));
    }
    Ok(sets)
}

/// The folders with spool files at or below `dir`: itself, its `logs`, or those of the outputs in it.
#[must_use]
pub fn folders(dir: &Path) -> Vec<PathBuf> {
    let own: Vec<PathBuf> = [dir.to_owned(), dir.join("logs")].into_iter().filter(|d| is_spool(d)).collect();
    if !own.is_empty() {
        return own;
    }
    // Participants have many folders and no spool.
    let name = |e: &walkdir::DirEntry| e.file_name().to_string_lossy().into_owned();
    let worth = |e: &walkdir::DirEntry| {
        e.depth() == 0 || e.file_type().is_dir() && !name(e).starts_with("sub-") && !name(e).starts_with('.')
    };
    let walk = walkdir::WalkDir::new(dir).max_depth(MAX_DEPTH).sort_by_file_name();
    let found = walk.into_iter().filter_entry(worth).filter_map(Result::ok);
    found.map(walkdir::DirEntry::into_path).filter(|d| is_spool(d)).collect()
}

fn is_spool(dir: &Path) -> bool {
    let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|e| e.file_name().into_string().ok()).any(|name| SpoolFile::parse(dir, &name).is_some())
}

/// Opens a spool file for reading.
///
/// # Errors
/// When it cannot be opened.
pub fn open(file: &SpoolFile) -> io::Result<File> {
    File::open(file.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let dir = Path::new("/x");
        for (stem, segment) in [("n-1.cluster-12-1700000", 0), ("host-1-2", 17)] {
            let file = SpoolFile { dir: dir.into(), signal: Signal::Logs, stem: stem.into(), segment };
            assert_eq!(SpoolFile::parse(dir, &file.name()), Some(file));
        }
        for other in
            ["run-1-2.jsonl", "traces-h-1-2.jsonl.ack", "traces-h-x-2.jsonl", "traces-2.jsonl", "logs-h-1-2.x.jsonl"]
        {
            assert_eq!(SpoolFile::parse(dir, other), None, "{other}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_name_and_any_cursor_is_read_as_written(
            host in "[A-Za-z0-9.-]{1,20}", numbers in proptest::prelude::any::<[u64; 6]>(), kind in 0..3_usize,
        ) {
            let [pid, start, offset, delivered, rejected, torn] = numbers.map(|n| n >> 16);
            let stem = format!("{host}-{pid}-{start}");
            let file = SpoolFile { dir: "/x".into(), signal: Signal::ALL[kind], stem, segment: pid as u32 };
            proptest::prop_assert_eq!(SpoolFile::parse(Path::new("/x"), &file.name()), Some(file));
            let cursor = Cursor { offset, delivered, rejected, torn };
            proptest::prop_assert_eq!(Cursor::parse(&cursor.text()), Some(cursor));
        }

        #[test]
        fn a_name_that_is_taken_is_the_name_of_the_file(name in "(traces|logs|metrics)-[a-z0-9.+-]{0,4}-[0-9]{0,2}-[0-9.+]{0,5}.jsonl") {
            if let Some(file) = SpoolFile::parse(Path::new("/x"), &name) {
                proptest::prop_assert_eq!(file.name(), name);
            }
        }
    }

    #[test]
    fn cursors_keep_their_length_and_survive() {
        let dir = tempfile::tempdir().unwrap();
        let file = SpoolFile::parse(dir.path(), "traces-h-1-2.jsonl").unwrap();
        std::fs::write(file.path(), "").unwrap();
        assert_eq!(file.cursor(), (Cursor::default(), false));
        let (small, large) = (
            Cursor { offset: 9, ..Cursor::default() },
            Cursor { offset: u64::MAX, delivered: 7, rejected: 1, torn: 2 },
        );
        file.save(&large).unwrap();
        assert_eq!(file.cursor(), (large, false));
        file.save(&small).unwrap();
        assert_eq!(file.cursor(), (small, false));
        file.close(&large).unwrap();
        assert_eq!(file.cursor(), (large, true));
        assert!(list(dir.path()).unwrap()["h-1-2"][0].1);
    }

    #[test]
    fn spools_are_found_in_one_output_and_in_a_folder_of_outputs() {
        let dir = tempfile::tempdir().unwrap();
        for place in ["a/logs", "b/deep/logs", "b/sub-01/logs", "c"] {
            std::fs::create_dir_all(dir.path().join(place)).unwrap();
        }
        for place in ["a/logs", "b/deep/logs", "b/sub-01/logs"] {
            std::fs::write(dir.path().join(place).join("logs-h-1-2.jsonl"), "").unwrap();
        }
        let logs = dir.path().join("a/logs");
        assert_eq!((folders(&logs), folders(&dir.path().join("a"))), (vec![logs.clone()], vec![logs.clone()]));
        assert_eq!(folders(dir.path()), [logs, dir.path().join("b/deep/logs")]);
        assert!(folders(&dir.path().join("c")).is_empty());
    }
}
