//! Claims: what one run works on, other runs on the same output leave alone. A claim is a locked file in the folder
//! `.neuro-preprocess` of the output; the lock ends with the process, also when it is killed, so no claim outlives its
//! holder. File and folder go when the claim is given back.

use super::DerivativeError;
use crate::files::open_no_link;
use crate::vocabulary::SessionId;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The folder of the claims, below the output folder.
const FOLDER: &str = ".neuro-preprocess";
/// What their names end in.
const LOCK: &str = "lock";
/// Tries to lock a file that others make and remove at the same time.
const ATTEMPTS: usize = 100;
/// Retries for a lock that is held, and the pause between them: a run that clears up holds each for an instant,
/// on a busy machine until it has its turn again.
const TRIES: usize = 50;
const INSTANT: Duration = Duration::from_millis(1);
/// How often it is looked whether the claim on tables and reports is free again, and for how long: others are quick with it.
const LOOK: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(60);

/// A right that one process at a time has; given back when dropped.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    /// Holds the lock, and says who we are.
    file: File,
}

/// Who holds a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    host: Option<String>,
    pid: u32,
}

/// What came of asking for a claim.
#[derive(Debug)]
pub enum Claimed {
    /// It is ours.
    Ours(Claim),
    /// A living process has it; which one, unless it is only just beginning.
    Others(Option<Holder>),
    /// The file system has no locks, for this reason: who else works here cannot be known.
    Unguarded(io::Error),
}

impl Claim {
    /// Asks for a participant-session. Never waits.
    ///
    /// # Errors
    /// [`DerivativeError::Write`] when the output folder cannot be written to.
    pub fn on_session(output: &Path, unit: &SessionId) -> Result<Claimed, DerivativeError> {
        let session = unit.session.as_ref().map(|s| format!("_ses-{s}")).unwrap_or_default();
        Self::take(output, &format!("sub-{}{session}", unit.participant))
    }

    /// Asks for the files at the root of the output, such as tables and reports, and waits for them a minute; `None` when
    /// they are not to be had. They are then still written whole, but may be older than what another run writes.
    #[must_use]
    pub fn on_reports(output: &Path) -> Option<Self> {
        let start = Instant::now();
        loop {
            match Self::take(output, "reports") {
                Ok(Claimed::Ours(claim)) => return Some(claim),
                Ok(Claimed::Others(_)) if start.elapsed() < PATIENCE => std::thread::sleep(LOOK),
                _ => return None,
            }
        }
    }

    fn take(output: &Path, name: &str) -> Result<Claimed, DerivativeError> {
        let folder = output.join(FOLDER);
        let path = folder.join(format!("{name}.{LOCK}"));
        let failed = |e: io::Error| DerivativeError::Write { path: path.clone(), source: e.into() };
        let mut tries = 0;
        for _ in 0..ATTEMPTS {
            make_folder(&folder).map_err(failed)?;
            let opened = open_no_link(&path, OpenOptions::new().read(true).write(true).create(true).truncate(false));
            let file = match opened {
                // A link made way, or another process has just given back the last claim: the folder is gone.
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                opened => opened.map_err(failed)?,
            };
            match file.try_lock() {
                Ok(()) if is_at(&file, &path) => {
                    let claim = Self { path: path.clone(), file };
                    claim.sign().map_err(failed)?;
                    return Ok(Claimed::Ours(claim));
                }
                // Its holder has just removed it: the next to come makes another.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if tries < TRIES => {
                    tries += 1;
                    std::thread::sleep(INSTANT);
                }
                Err(TryLockError::WouldBlock) => return Ok(Claimed::Others(Holder::read(&file))),
                Err(TryLockError::Error(e)) => {
                    release(&path);
                    return Ok(Claimed::Unguarded(e));
                }
            }
        }
        Ok(Claimed::Others(None))
    }

    fn sign(&self) -> io::Result<()> {
        self.file.set_len(0)?;
        (&self.file).write_all(&Holder::this().json())
    }

    /// Removes the files of claims that killed processes of this machine left.
    pub fn sweep(output: &Path) {
        let (here, folder) = (Holder::this().host, output.join(FOLDER));
        if !is_folder(&folder) {
            return;
        }
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        // Opening anything but a file may block or do something.
        let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
        let locks = files.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == LOCK));
        for path in locks {
            let Ok(file) = OpenOptions::new().read(true).write(true).open(&path) else { continue };
            if file.try_lock().is_ok() && is_at(&file, &path) && Holder::read(&file).is_none_or(|h| h.host == here) {
                release(&path);
            }
        }
        let _ = std::fs::remove_dir(folder); // fails while there are others, or none was ever there
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        release(&self.path);
    }
}

/// Makes the folder of the claims, but not the output folder, which may be mistyped. A link of that name is removed:
/// claims would be made and removed elsewhere. The folder may be gone again when this returns.
fn make_folder(folder: &Path) -> io::Result<()> {
    let Err(e) = std::fs::create_dir(folder) else { return Ok(()) };
    match folder.symlink_metadata() {
        _ if e.kind() != ErrorKind::AlreadyExists => Err(e),
        Ok(there) if there.is_symlink() => match std::fs::remove_file(folder) {
            Err(e) if folder.is_symlink() => Err(e),
            _ => Ok(()),
        },
        Ok(there) if !there.is_dir() => Err(e),
        _ => Ok(()),
    }
}

/// Whether it is a folder and no link to one.
fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_dir())
}

/// Removes the file of a claim, and its folder with the last of them.
fn release(path: &Path) {
    let _ = std::fs::remove_file(path); // without its lock it means nothing
    let _ = path.parent().map(std::fs::remove_dir); // fails while there are others
}

/// Whether `path` still leads to this open file.
fn is_at(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let (Ok(open), Ok(there)) = (file.metadata(), path.symlink_metadata()) else { return false };
        (open.dev(), open.ino()) == (there.dev(), there.ino())
    }
    #[cfg(not(unix))]
    {
        path.exists()
    }
}

impl Holder {
    fn this() -> Self {
        Self { host: crate::machine::host::name(), pid: std::process::id() }
    }

    fn json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    fn read(file: &File) -> Option<Self> {
        let mut text = Vec::new();
        file.take(4096).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {}", self.pid, self.host.as_deref().unwrap_or("another machine"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(session: &str) -> SessionId {
        SessionId { participant: "01".into(), session: Some(session.into()) }
    }

    #[test]
    fn one_holder_at_a_time_who_is_named_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let Claimed::Ours(first) = Claim::on_session(dir.path(), &unit("A")).unwrap() else { panic!("it is free") };
        let Claimed::Others(holder) = Claim::on_session(dir.path(), &unit("A")).unwrap() else { panic!("it is taken") };
        assert_eq!(holder, Some(Holder::this()));
        assert!(matches!(Claim::on_session(dir.path(), &unit("B")).unwrap(), Claimed::Ours(_)));
        Claim::sweep(dir.path());
        assert!(first.path.exists(), "it is in use");
        drop(first);
        assert!(matches!(Claim::on_session(dir.path(), &unit("A")).unwrap(), Claimed::Ours(_)));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_the_dead_left_is_taken_or_swept() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join(FOLDER);
        std::fs::create_dir(&folder).unwrap();
        for name in ["sub-01_ses-A.lock", "sub-02.lock"] {
            std::fs::write(folder.join(name), Holder::this().json()).unwrap();
        }
        let elsewhere = Holder { host: Some("elsewhere".into()), pid: 1 };
        std::fs::write(folder.join("sub-03.lock"), elsewhere.json()).unwrap();
        assert!(matches!(Claim::on_session(dir.path(), &unit("A")).unwrap(), Claimed::Ours(_)));
        Claim::sweep(dir.path());
        let left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|f| f.unwrap().file_name()).collect();
        assert_eq!(left, ["sub-03.lock"]);
    }

    #[test]
    fn a_sweep_takes_nothing_from_those_who_come_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    Claim::sweep(dir.path());
                }
            });
            let refused =
                (0..500).filter(|_| !matches!(Claim::on_session(dir.path(), &unit("A")), Ok(Claimed::Ours(_))));
            let refused = refused.count();
            over.store(true, std::sync::atomic::Ordering::Relaxed);
            assert_eq!(refused, 0);
        });
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_is_a_link_makes_way_and_what_is_no_claim_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (theirs, folder) = (dir.path().join("theirs"), dir.path().join(FOLDER));
        std::fs::create_dir(&theirs).unwrap();
        for name in ["notes", "sub-01_ses-A.lock"] {
            std::fs::write(theirs.join(name), "theirs").unwrap();
        }
        std::os::unix::fs::symlink(&theirs, &folder).unwrap();
        Claim::sweep(dir.path());
        let Claimed::Ours(claim) = Claim::on_session(dir.path(), &unit("A")).unwrap() else { panic!("it is free") };
        assert!(is_folder(&folder) && std::fs::read_dir(&theirs).unwrap().count() == 2);
        std::fs::write(folder.join("notes"), "theirs").unwrap();
        drop(claim);
        Claim::sweep(dir.path());
        assert_eq!(std::fs::read_to_string(folder.join("notes")).unwrap(), "theirs");
        std::fs::remove_dir_all(&folder).unwrap();
        std::fs::write(&folder, "").unwrap();
        assert!(Claim::on_session(dir.path(), &unit("A")).is_err());
    }

    #[test]
    fn many_who_ask_at_once_hold_it_one_after_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, most) = (std::sync::atomic::AtomicUsize::new(0), std::sync::atomic::AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let claim = Claim::on_reports(dir.path()).unwrap();
                        let now = inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
                        most.fetch_max(now, std::sync::atomic::Ordering::SeqCst);
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        drop(claim);
                    }
                });
            }
        });
        assert_eq!(most.into_inner(), 1);
    }
}
