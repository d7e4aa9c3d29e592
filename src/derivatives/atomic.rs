//! Files that appear whole or not at all: written beside their place under a temporary name, synced, then renamed.
//!
//! A name survives a loss of power when its folder is synced too. That is done for many files at once: [`sync_names`].

use super::DerivativeError;
use super::temporary;
use crate::printable;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;
use xxhash_rust::xxh3::Xxh3Default;

/// A file that is written but not yet under its name. Dropping it removes it.
#[derive(Debug)]
pub struct Staged {
    file: NamedTempFile,
    path: PathBuf,
    written: Written,
}

/// What was written of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its size.
    pub bytes: u64,
    /// XXH3 of its bytes, 128 bits as 32 hexadecimal digits.
    pub xxh3: String,
}

/// Hashes the bytes on their way to a file. The content of the file is later compared with the hash, so that a disk that
/// lies is seen.
struct Noted<'f> {
    file: &'f mut File,
    bytes: u64,
    hash: Box<Xxh3Default>,
}

impl Write for Noted<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let taken = self.file.write(bytes)?;
        self.hash.update(bytes.get(..taken).unwrap_or_default());
        self.bytes += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl Staged {
    /// Writes a file beside `path` with `fill`, creating the folders above it.
    ///
    /// # Errors
    /// [`DerivativeError::Write`] with the final path when the folder cannot be made or the disk refuses.
    pub fn write<F>(path: PathBuf, fill: F) -> Result<Self, DerivativeError>
    where
        F: FnOnce(&mut (dyn Write + Send)) -> Result<(), Box<dyn std::error::Error + Send + Sync>>,
    {
        let failed =
            |source: Box<dyn std::error::Error + Send + Sync>| DerivativeError::Write { path: path.clone(), source };
        // A rename would take the place of a pipe or device, such as /dev/stdout.
        if std::fs::metadata(&path).is_ok_and(|there| !there.is_file()) {
            return Err(failed("something other than a file is there".into()));
        }
        let folder = path.parent().unwrap_or_else(|| Path::new("."));
        std::fs::create_dir_all(folder).map_err(|e| failed(e.into()))?;
        let mut file = temporary::create(folder).map_err(|e| failed(e.into()))?;
        let noted = Noted { file: file.as_file_mut(), bytes: 0, hash: Box::default() };
        let mut buffered = BufWriter::with_capacity(1 << 18, noted);
        fill(&mut buffered).map_err(failed)?;
        buffered.flush().map_err(|e| failed(e.into()))?;
        let Noted { bytes, hash, .. } = buffered.get_ref();
        let written = Written { bytes: *bytes, xxh3: format!("{:032x}", hash.digest128()) };
        drop(buffered);
        Ok(Self { file, path, written })
    }

    /// Syncs the file to disk and gives it its name, replacing what was there. Returns its size in bytes.
    ///
    /// # Errors
    /// [`DerivativeError::Write`] when the disk refuses; the old file, if any, is untouched.
    pub fn publish(self) -> Result<u64, DerivativeError> {
        self.sync()?;
        Ok(self.rename()?.bytes)
    }

    fn sync(&self) -> Result<(), DerivativeError> {
        self.file.as_file().sync_all().map_err(|e| DerivativeError::Write { path: self.path.clone(), source: e.into() })
    }

    fn rename(self) -> Result<Written, DerivativeError> {
        // Open until it has its name: the lock on it keeps others from removing it.
        let (_file, temporary) = self.file.into_parts();
        if let Err(e) = std::fs::rename(&temporary, &self.path) {
            return Err(DerivativeError::Write { path: self.path, source: e.into() });
        }
        let _ = temporary.keep(); // nothing is under the temporary name any more
        Ok(self.written)
    }
}

/// Syncs files to disk and then gives each its name. Returns what was written of each, in the same order.
///
/// All are synced at the same time, so that a file system with a journal can commit them together.
///
/// # Errors
/// [`DerivativeError::Write`] of the first that the disk refuses; no file has its name then, unless a rename was refused.
pub fn publish_all(files: Vec<Staged>) -> Result<Vec<Written>, DerivativeError> {
    std::thread::scope(|scope| {
        let start = |file| std::thread::Builder::new().spawn_scoped(scope, move || Staged::sync(file));
        let waiting: Vec<_> = files.iter().map(start).collect();
        waiting.into_iter().zip(&files).try_for_each(|(waiting, file)| match waiting.map(|thread| thread.join()) {
            Ok(Ok(synced)) => synced,
            // No more threads to be had.
            _ => file.sync(),
        })
    })?;
    files.into_iter().map(Staged::rename).collect()
}

/// Makes the names of files, given relative to `root`, survive a loss of power: syncs the folders they are in, and those
/// above them up to `root`, each once.
///
/// # Errors
/// [`DerivativeError::Write`] when a folder cannot be synced.
pub fn sync_names<'a>(root: &Path, files: impl IntoIterator<Item = &'a Path>) -> Result<(), DerivativeError> {
    let folders: BTreeSet<&Path> = files.into_iter().flat_map(|file| file.ancestors().skip(1)).collect();
    folders.into_iter().rev().try_for_each(|folder| sync_folder(&root.join(folder)))
}

/// Makes the names in one folder survive a loss of power.
///
/// # Errors
/// [`DerivativeError::Write`].
pub fn sync_folder(folder: &Path) -> Result<(), DerivativeError> {
    match File::open(folder).and_then(|opened| opened.sync_all()) {
        // Some network file systems do not know it for folders; they write names through.
        Err(e) if !matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
            Err(DerivativeError::Write { path: folder.to_owned(), source: e.into() })
        }
        _ => Ok(()),
    }
}

/// Writes one file of text whole.
///
/// # Errors
/// As [`Staged::write`] and [`Staged::publish`].
pub fn write_text(path: PathBuf, text: &str) -> Result<u64, DerivativeError> {
    Staged::write(path, |w| Ok(w.write_all(text.as_bytes())?))?.publish()
}

/// Writes one JSON value, indented, whole.
///
/// # Errors
/// As [`write_text`].
pub fn write_json(path: PathBuf, value: &impl serde::Serialize) -> Result<u64, DerivativeError> {
    stage_json(path, value)?.publish()
}

/// Stages one JSON value, indented, with a final newline.
///
/// # Errors
/// As [`Staged::write`].
pub fn stage_json(path: PathBuf, value: &impl serde::Serialize) -> Result<Staged, DerivativeError> {
    Staged::write(path, |w| {
        let text = serde_json::to_string_pretty(value).map_err(std::io::Error::from)?;
        Ok(writeln!(w, "{}", printable::text(&text))?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unpublished_file_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b.txt");
        drop(Staged::write(path.clone(), |w| Ok(w.write_all(b"x")?)).unwrap());
        assert_eq!(std::fs::read_dir(dir.path().join("a")).unwrap().count(), 0);
        assert_eq!(Staged::write(path.clone(), |w| Ok(w.write_all(b"xy")?)).unwrap().publish().unwrap(), 2);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "xy");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_replaced_and_a_device_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (elsewhere, link) = (dir.path().join("elsewhere"), dir.path().join("x.json"));
        std::fs::write(&elsewhere, "theirs").unwrap();
        std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
        write_text(link.clone(), "ours").unwrap();
        assert!(!link.is_symlink());
        assert_eq!(std::fs::read_to_string(&elsewhere).unwrap(), "theirs");
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        assert!(write_text(link.clone(), "ours").unwrap_err().to_string().ends_with("other than a file is there"));
        assert!(link.is_symlink());
    }

    #[test]
    fn a_failed_write_keeps_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b.txt");
        write_text(path.clone(), "old").unwrap();
        let failed = Staged::write(path.clone(), |w| {
            w.write_all(b"new")?;
            Err("no".into())
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
