//! Safe opening of files at predictable paths: no links, no pipes, no huge files.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

/// The largest file with text for one thing, such as a sidecar or a marker, in bytes. Real ones have some kB.
pub const SMALL: u64 = 16 << 20;
/// The largest table, in bytes: a million rows.
pub const TABLE: u64 = 256 << 20;

/// Why [`read`] gives nothing. Each says what the file does: "it" or its name go before it.
#[derive(Debug, thiserror::Error)]
pub enum NotRead {
    /// A folder, pipe or device.
    #[error("is not a regular file")]
    NoFile,
    /// More than the limit.
    #[error("has {0} bytes, which is too much for such a file")]
    TooLarge(u64),
    /// What the system said.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// The content of a regular file of at most `largest` bytes; a limit keeps a wrong file from filling the memory. Looks
/// before opening: a pipe of that name would block for ever.
///
/// # Errors
/// [`NotRead`].
pub fn read(path: &Path, largest: u64) -> Result<Vec<u8>, NotRead> {
    let bytes = check(&std::fs::metadata(path)?, largest)?;
    let mut content = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default());
    // Others may make it longer meanwhile.
    File::open(path)?.take(largest + 1).read_to_end(&mut content)?;
    match content.len() as u64 {
        bytes if bytes > largest => Err(NotRead::TooLarge(bytes)),
        _ => Ok(content),
    }
}

fn check(found: &Metadata, largest: u64) -> Result<u64, NotRead> {
    match found.len() {
        _ if !found.is_file() => Err(NotRead::NoFile),
        bytes if bytes > largest => Err(NotRead::TooLarge(bytes)),
        bytes => Ok(bytes),
    }
}

/// Opens a file to be written in place, which `options` must not truncate. A link of that name is removed: nothing is
/// written to a file elsewhere.
///
/// # Errors
/// What the system says, or that others have put a link there again.
pub fn open_no_link(path: &Path, options: &OpenOptions) -> io::Result<File> {
    if path.is_symlink() {
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    let file = options.open(path)?;
    if path.is_symlink() {
        return Err(io::Error::other("a link has just been created there"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_within_the_limit_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        assert!(matches!(read(&path, 3), Err(NotRead::Io(e)) if e.kind() == io::ErrorKind::NotFound));
        assert!(matches!(read(dir.path(), 3), Err(NotRead::NoFile)));
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(read(&path, 3).unwrap(), b"abc");
        std::fs::write(&path, "abcd").unwrap();
        assert!(matches!(read(&path, 3), Err(NotRead::TooLarge(4))));
    }

    #[cfg(unix)]
    #[test]
    fn links_make_way_and_pipes_do_not_block() {
        let dir = tempfile::tempdir().unwrap();
        let (theirs, link) = (dir.path().join("theirs"), dir.path().join("x"));
        std::fs::write(&theirs, "theirs").unwrap();
        std::os::unix::fs::symlink(&theirs, &link).unwrap();
        assert_eq!(read(&link, SMALL).unwrap(), b"theirs");
        let file = open_no_link(&link, OpenOptions::new().create(true).append(true)).unwrap();
        std::io::Write::write_all(&mut &file, b"ours").unwrap();
        assert_eq!((read(&link, SMALL).unwrap(), read(&theirs, SMALL).unwrap()), (b"ours".into(), b"theirs".into()));
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(matches!(read(&pipe, SMALL), Err(NotRead::NoFile)));
    }
}
