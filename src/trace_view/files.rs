//! The files of a folder, line by line: a run of 10,000 subjects is never in memory as text.

use super::Archive;
use super::assemble::Assembly;
use super::lines::{LogsLine, TraceLine};
use crate::error::{Coded, ErrorCode};
use crate::telemetry::spool::READ_AT_ONCE;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Telemetry that cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// There are no trace files in these folders.
    #[error("no traces-*.jsonl file is in {}: the runs there left no traces", listed(.0))]
    NoTraces(Vec<PathBuf>),
    /// A file or folder cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Coded for ViewError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NoTraces(_) => ErrorCode::InputMissing,
            Self::Read { .. } => ErrorCode::ReadFailed,
        }
    }
}

/// Reads the telemetry files in `folders`. Lines that are no JSON are counted and left out.
///
/// # Errors
/// [`ViewError`] when there are no traces, or a file cannot be read.
pub fn read(folders: &[PathBuf]) -> Result<Archive, ViewError> {
    read_of(folders, None)
}

/// Reads only the files that one process wrote into `folder`; `stem` is the part of their names that tells it.
///
/// # Errors
/// As [`read`].
pub fn read_process(folder: &Path, stem: &str) -> Result<Archive, ViewError> {
    read_of(&[folder.to_owned()], Some(stem))
}

fn read_of(folders: &[PathBuf], stem: Option<&str>) -> Result<Archive, ViewError> {
    let mut found = Files::default();
    for folder in folders {
        found.add(folder, stem)?;
    }
    if found.traces.is_empty() {
        return Err(ViewError::NoTraces(folders.to_owned()));
    }
    let mut assembly = Assembly::default();
    let mut torn = 0;
    for path in &found.traces {
        torn += each_line(path, |line| {
            let line: Option<TraceLine<'_>> = serde_json::from_slice(line).ok();
            line.map(|line| assembly.spans(&line)).is_some()
        })?;
    }
    assembly.close();
    let all = assembly.any_unnamed();
    for path in &found.logs {
        torn += each_line(path, |line| {
            // Most lines are of no concern here and need not be taken apart.
            if !all && !is_bad_news(line) {
                return true;
            }
            let line: Option<LogsLine<'_>> = serde_json::from_slice(line).ok();
            line.map(|line| assembly.logs(&line)).is_some()
        })?;
    }
    Ok(Archive { runs: assembly.finish(), torn_lines: torn })
}

/// Whether a line may hold a warning or an error. A torn one has no end.
fn is_bad_news(line: &[u8]) -> bool {
    let has = |word: &[u8]| line.windows(word.len()).any(|w| w == word);
    has(b"\"WARN\"") || has(b"\"ERROR\"") || !line.ends_with(b"}")
}

/// The first folders by name; a list of thousands is useless.
fn listed(folders: &[PathBuf]) -> String {
    let mut text = folders.iter().take(3).map(|f| f.display().to_string()).collect::<Vec<_>>().join(", ");
    if folders.len() > 3 {
        text += &format!(" and {} more", folders.len() - 3);
    }
    text
}

/// The files of a folder by signal, in order of their names.
#[derive(Default)]
struct Files {
    traces: Vec<PathBuf>,
    logs: Vec<PathBuf>,
}

impl Files {
    fn add(&mut self, folder: &Path, stem: Option<&str>) -> Result<(), ViewError> {
        let failed = |source| ViewError::Read { path: folder.to_owned(), source };
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some((signal, rest)) = name.strip_suffix(".jsonl").and_then(|name| name.split_once('-')) else {
                continue;
            };
            // A second file of the same process has a number behind a dot.
            let end = stem.map_or(Some(""), |stem| rest.strip_prefix(stem));
            match signal {
                _ if !end.is_some_and(|end| end.is_empty() || end.starts_with('.')) => {}
                "traces" => self.traces.push(path),
                "logs" => self.logs.push(path),
                _ => {}
            }
        }
        self.traces.sort();
        self.logs.sort();
        Ok(())
    }
}

/// Gives each line to `take`, which says whether it could be read; returns how many could not.
fn each_line(path: &Path, mut take: impl FnMut(&[u8]) -> bool) -> Result<u64, ViewError> {
    let failed = |source| ViewError::Read { path: path.to_owned(), source };
    let mut reader = BufReader::with_capacity(1 << 18, File::open(path).map_err(failed)?);
    let (mut line, mut torn) = (Vec::new(), 0);
    loop {
        line.clear();
        if reader.by_ref().take(READ_AT_ONCE).read_until(b'\n', &mut line).map_err(failed)? == 0 {
            return Ok(torn);
        }
        let text = line.trim_ascii();
        if !text.is_empty() && !take(text) {
            torn += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_its_own_files_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let names =
            ["traces-n1-5-100.jsonl", "traces-n1-5-100.1.jsonl", "traces-n1-5-1007.jsonl", "logs-n1-5-100.jsonl"];
        for name in names.iter().chain(&["traces-xn1-5-100.jsonl", "metrics-n1-5-100.jsonl", "traces-n1-5-100.sent"]) {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let counts = |stem| {
            let mut files = Files::default();
            files.add(dir.path(), stem).unwrap();
            (files.traces.len(), files.logs.len())
        };
        assert_eq!((counts(Some("n1-5-100")), counts(None)), ((2, 1), (4, 1)));
    }
}
