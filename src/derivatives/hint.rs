//! What a refusal of the disk means and what to do about it: a sentence for each reason a file cannot be written.

use std::error::Error;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// `EIO` on every Unix: the device or the network file system failed. The standard library has no kind for it.
const EIO: i32 = 5;

/// `EMFILE` and `ENFILE`: this process, or the machine, has too many files open. The standard library has no kind for them.
const TOO_MANY_OPEN: [i32; 2] = [24, 23];

/// What to do about `source`, which is why `path` could not be written, to be put behind it; nothing where the disk has no
/// part in it.
pub(super) fn hint(path: &Path, source: &(dyn Error + 'static)) -> String {
    io_error(source).map(|e| format!("; {}", sentence(path, e))).unwrap_or_default()
}

fn sentence(path: &Path, e: &std::io::Error) -> String {
    let disk = mount_point(path);
    let disk = disk.display();
    match e.kind() {
        ErrorKind::StorageFull => {
            format!("the disk mounted at {disk} is full: make room (df -h {disk}; df -i {disk} counts its files)")
        }
        ErrorKind::QuotaExceeded => {
            format!("your quota on the disk mounted at {disk} is used up: remove files or ask for more (quota -s)")
        }
        ErrorKind::ReadOnlyFilesystem => {
            format!("the disk mounted at {disk} is read-only: choose another output, or mount it writable")
        }
        ErrorKind::PermissionDenied => {
            let folder = path.parent().unwrap_or(path).display();
            format!("you have no write permission there: check owner and permissions (ls -ld {folder})")
        }
        ErrorKind::StaleNetworkFileHandle => {
            format!("the network disk mounted at {disk} was disconnected: mount it again, then run again")
        }
        ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::AlreadyExists => {
            "a file is in the place of a folder, or the reverse: remove it, or choose another output".to_owned()
        }
        ErrorKind::NotFound => "its folder does not exist or was removed".to_owned(),
        ErrorKind::FileTooLarge => {
            "the file would exceed the size limit: raise the limit of the shell or the job (ulimit -f), or choose another disk"
                .to_owned()
        }
        ErrorKind::InvalidFilename => "the name is too long for this disk: shorten the labels of the scan".to_owned(),
        _ if e.raw_os_error().is_some_and(|number| TOO_MANY_OPEN.contains(&number)) => {
            "too many files are open: raise the limit (ulimit -n), or use fewer threads (--nprocs)".to_owned()
        }
        _ if e.raw_os_error() == Some(EIO) => {
            format!("the disk mounted at {disk} failed: the kernel's log says why (dmesg); then run again")
        }
        _ => "check free space, quota and permissions".to_owned(),
    }
}

/// Whether other files will be refused for the same reason: then there is no use in going on.
pub(super) fn is_hopeless(source: &(dyn Error + 'static)) -> bool {
    use ErrorKind::{FileTooLarge, QuotaExceeded, ReadOnlyFilesystem, StaleNetworkFileHandle, StorageFull};
    let hopeless = |e: &std::io::Error| {
        matches!(e.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem | StaleNetworkFileHandle | FileTooLarge)
    };
    io_error(source).is_some_and(hopeless)
}

/// What the system said, below what others made of it.
fn io_error<'e>(source: &'e (dyn Error + 'static)) -> Option<&'e std::io::Error> {
    let mut error = Some(source);
    while let Some(e) = error {
        if let Some(io) = e.downcast_ref::<std::io::Error>() {
            return Some(io);
        }
        // Its `source` says nothing.
        if let Some(csv::ErrorKind::Io(io)) = e.downcast_ref::<csv::Error>().map(csv::Error::kind) {
            return Some(io);
        }
        error = e.source();
    }
    None
}

/// The uppermost folder on the file system that `path` is or would be on.
fn mount_point(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let device = |p: &Path| std::fs::metadata(p).ok().map(|m| m.dev());
        let mut there = path.ancestors().skip_while(|p| device(p).is_none()).peekable();
        let own = there.peek().and_then(|p| device(p));
        there.take_while(|p| device(p) == own).last().unwrap_or(&path).to_owned()
    }
    #[cfg(not(unix))]
    {
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn every_refusal_has_a_sentence_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let numbers = [
            (28, "is full"),
            (122, "quota"),
            (30, "is read-only"),
            (13, "permissions (ls"),
            (116, "network"),
            (2, "does not exist"),
            (27, "ulimit -f"),
            (36, "shorten"),
            (24, "ulimit -n"),
            (23, "ulimit -n"),
            (5, "dmesg"),
            (20, "a file is in the place"),
            (21, "a file is in the place"),
            (17, "a file is in the place"),
        ];
        for (number, word) in numbers {
            let e = io::Error::from_raw_os_error(number);
            assert_eq!(is_hopeless(&e), [28, 122, 30, 116, 27].contains(&number), "{e}");
            let said = hint(&dir.path().join("none/x"), &e);
            assert!(said.contains(word), "{number}: {said}");
        }
        assert!(hint(dir.path(), &io::Error::other("?")).starts_with("; check free space"));
        assert_eq!(hint(dir.path(), &std::fmt::Error), "");
    }

    #[test]
    fn the_reason_is_found_below_other_errors() {
        let full = || io::Error::from_raw_os_error(28);
        assert!(is_hopeless(&csv::Error::from(full())));
        assert!(is_hopeless(&io::Error::from(serde_json::Error::io(full()))));
    }

    #[test]
    fn the_disk_is_the_uppermost_folder_on_it() {
        assert_eq!(mount_point(Path::new("/proc/none/there")), Path::new("/proc"));
    }
}
