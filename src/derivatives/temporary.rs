//! Temporary files: their names, how others see that they are being written, and how those that a
//! killed process left are removed.
//!
//! A writer holds a lock on its temporary file, which ends with the process whatever becomes of it. Locks of another
//! machine are not seen on every shared folder, so a file with another machine's name in its own is left alone for an hour.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tempfile::{Builder, NamedTempFile};

const PREFIX: &str = ".neuro-preprocess-";
const SUFFIX: &str = ".part";
/// Age from which a file that another machine may be writing counts as left.
const FOREIGN: Duration = Duration::from_secs(3600);
/// Files tried when a sweeper takes those just made; it does so once for each time it reads the folder.
const ATTEMPTS: usize = 8;

/// A new temporary file in `folder`, locked, with the permissions of any new file, and errors as the system gave them
/// (`tempfile` alone would make it private, and hide the numbers of errors).
pub(super) fn create(folder: &Path) -> io::Result<NamedTempFile> {
    let prefix = own_prefix();
    let mut builder = Builder::new();
    builder.prefix(&prefix).suffix(SUFFIX);
    for _ in 0..ATTEMPTS {
        let file =
            builder.make_in(folder, |path| File::options().read(true).write(true).create_new(true).open(path))?;
        match file.as_file().try_lock() {
            Ok(()) if file.path().exists() => return Ok(file),
            // A sweeper saw it between its making and its locking.
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            // A file system without locks: sweepers then go by age.
            Err(TryLockError::Error(_)) => return Ok(file),
        }
    }
    Err(io::Error::other("temporary files disappear as soon as they are made"))
}

/// Removes what killed processes left in these folders, each looked at once; folders that are not there are fine. Returns
/// how many files that were.
pub fn sweep<'a>(folders: impl IntoIterator<Item = &'a Path>) -> usize {
    let own = own_prefix();
    let folders: BTreeSet<&Path> = folders.into_iter().collect();
    let entries = folders.into_iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    entries.filter(|entry| is_part(&entry.file_name()) && remove_if_left(&entry.path(), &own)).count()
}

/// Whether a file is on its way to its name, or was.
pub(super) fn is_part(name: &std::ffi::OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with(PREFIX) && name.ends_with(SUFFIX)
}

/// Removes a file that is not being written, holding its lock, so that a new writer sees it gone.
fn remove_if_left(path: &Path, own: &str) -> bool {
    // Opening anything but a file may block or do something.
    let Ok(meta) = std::fs::symlink_metadata(path) else { return false };
    if !meta.is_file() {
        return false;
    }
    let Ok(file) = File::options().write(true).open(path) else { return false };
    let old = || age(&meta).is_some_and(|age| age > FOREIGN);
    let ours = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(own));
    let left = match file.try_lock() {
        Ok(()) => ours || old(),
        Err(TryLockError::WouldBlock) => false,
        Err(TryLockError::Error(_)) => old(),
    };
    left && std::fs::remove_file(path).is_ok()
}

fn age(meta: &std::fs::Metadata) -> Option<Duration> {
    SystemTime::now().duration_since(meta.modified().ok()?).ok()
}

/// `.neuro-preprocess-HOST_`, where HOST has no `_`.
fn own_prefix() -> String {
    let host = crate::machine::host::name().unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    format!("{PREFIX}{}_", host.chars().map(plain).take(64).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_being_written_stays_and_what_is_left_goes() {
        let dir = tempfile::tempdir().unwrap();
        let written = create(dir.path()).unwrap();
        let (_, left) = create(dir.path()).unwrap().into_parts();
        std::fs::write(dir.path().join("x.part"), "").unwrap();
        assert_eq!(sweep([dir.path(), dir.path(), &dir.path().join("none")]), 1);
        assert!(written.path().exists() && !left.exists() && dir.path().join("x.part").exists());
    }

    #[test]
    fn files_of_other_machines_go_when_they_are_old() {
        let dir = tempfile::tempdir().unwrap();
        let theirs = dir.path().join(".neuro-preprocess-elsewhere_1.part");
        let file = File::create(&theirs).unwrap();
        assert_eq!(sweep([dir.path()]), 0);
        file.set_modified(SystemTime::now() - FOREIGN * 2).unwrap();
        file.lock().unwrap();
        assert_eq!(sweep([dir.path()]), 0, "it is locked");
        drop(file);
        assert_eq!(sweep([dir.path()]), 1);
    }
}
