//! Who may send the files of a process: one claim file per process, made with `O_EXCL`, without locks, because shared
//! file systems have none that can be trusted.
//!
//! The writer holds the claim while it lives, a later sender after it. A claim is free to be taken over when its holder
//! is known to be dead (same boot, same PID namespace, other start time), or when nothing has touched it for
//! [`STALE`]. Taking over makes the next file, `STEM.claim.1` after `STEM.claim.0`, so that of two who try one wins.

use crate::machine::host::Process;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often a holder touches its claim.
pub const BEAT: Duration = Duration::from_secs(30);
/// Age from which a claim of a process that cannot be looked at (another machine, another container) counts as left.
const STALE: Duration = Duration::from_secs(300);

/// The right to send the files of one process; given back when dropped.
#[derive(Debug)]
pub struct Claim {
    dir: PathBuf,
    stem: String,
    number: u32,
    file: File,
}

impl Claim {
    /// Takes the claim on the files with `stem` (`HOST-PID-START`) in `dir`; `None` when another process has it.
    ///
    /// # Errors
    /// When the folder does not let itself be written to.
    pub fn take(dir: &Path, stem: &str) -> io::Result<Option<Self>> {
        let mut number = 0;
        while path(dir, stem, number + 1).exists() {
            number += 1;
        }
        let newest = path(dir, stem, number);
        if newest.exists() {
            if !is_left(&newest) {
                return Ok(None);
            }
            number += 1;
        }
        let mut file = match OpenOptions::new().write(true).create_new(true).open(path(dir, stem, number)) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::AlreadyExists => return Ok(None),
            Err(e) => return Err(e),
        };
        file.write_all(format!("{}\n", Process::this()).as_bytes())?;
        Ok(Some(Self { dir: dir.to_owned(), stem: stem.to_owned(), number, file }))
    }

    /// Says that the holder lives. A claim that was taken over meanwhile is lost for good: then false.
    #[must_use]
    pub fn touch(&self) -> bool {
        let _ = self.file.set_modified(SystemTime::now()); // at worst the claim looks stale
        !path(&self.dir, &self.stem, self.number + 1).exists()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        for number in 0..=self.number {
            let _ = std::fs::remove_file(path(&self.dir, &self.stem, number)); // the holder is dead for all to see
        }
    }
}

fn path(dir: &Path, stem: &str, number: u32) -> PathBuf {
    dir.join(format!("{stem}.claim.{number}"))
}

/// Whether the holder of the claim at `path` is gone.
fn is_left(path: &Path) -> bool {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let alive = Process::parse(&text).and_then(|holder| holder.is_alive());
    alive.map_or_else(|| age(path).is_some_and(|age| age > STALE), |alive| !alive)
}

fn age(path: &Path) -> Option<Duration> {
    SystemTime::now().duration_since(path.metadata().ok()?.modified().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leave(dir: &Path, number: u32, holder: &Process) {
        std::fs::write(path(dir, "s", number), holder.to_string()).unwrap();
    }

    #[test]
    fn one_holder_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = Claim::take(dir.path(), "s").unwrap().unwrap();
        assert!(first.touch());
        assert!(Claim::take(dir.path(), "s").unwrap().is_none());
        assert!(Claim::take(dir.path(), "other").unwrap().is_some());
        drop(first);
        assert!(Claim::take(dir.path(), "s").unwrap().is_some());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
    }

    #[test]
    fn the_dead_are_succeeded_by_exactly_one() {
        let dir = tempfile::tempdir().unwrap();
        // Our own number, of a process that began at another time.
        leave(dir.path(), 0, &Process { started: "1".into(), ..Process::this() });
        let heir = Claim::take(dir.path(), "s").unwrap().unwrap();
        assert_eq!(heir.number, 1);
        assert!(Claim::take(dir.path(), "s").unwrap().is_none());
        drop(heir);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn far_away_only_age_counts() {
        let dir = tempfile::tempdir().unwrap();
        leave(dir.path(), 0, &Process { place: "elsewhere".into(), pid: 1, started: "1".into() });
        assert!(Claim::take(dir.path(), "s").unwrap().is_none());
        let old = File::options().write(true).open(path(dir.path(), "s", 0)).unwrap();
        old.set_modified(SystemTime::now() - STALE * 2).unwrap();
        let heir = Claim::take(dir.path(), "s").unwrap().unwrap();
        // The old holder comes back from a long sleep and sees that it was succeeded.
        let back = Claim { dir: dir.path().into(), stem: "s".into(), number: 0, file: old };
        assert!(!back.touch() && heir.touch());
        std::mem::forget(back);
    }
}
