//! Reads the files that a command line names, which people write by hand: a wrong one must not fill the memory.

use crate::files::SMALL;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// Longest wait for the content of a pipe: a small file that is being written, or never will be.
const PATIENCE: Duration = Duration::from_secs(5);

/// The bytes of a file, a pipe or standard input.
///
/// # Errors
/// What the system says, that there are too many, or that nobody writes to the pipe.
pub(super) fn bytes(file: &Path) -> io::Result<Vec<u8>> {
    // What is typed into a terminal takes as long as it takes.
    if !is_pipe(file) {
        return all(file);
    }
    let (done, result) = mpsc::channel();
    let path = file.to_owned();
    // Left behind where it waits: only the end of the process frees it.
    std::thread::Builder::new().spawn(move || done.send(all(&path)))?;
    result.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        let problem = format!("it is a pipe, and its content did not arrive within {} s", PATIENCE.as_secs());
        Err(io::Error::new(io::ErrorKind::TimedOut, problem))
    })
}

#[cfg(unix)]
fn is_pipe(file: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::metadata(file).is_ok_and(|found| found.file_type().is_fifo())
}

#[cfg(not(unix))]
fn is_pipe(_: &Path) -> bool {
    false
}

fn all(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(SMALL + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SMALL {
        let problem = format!("it has more than the {SMALL} bytes that such a file can have");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
    }
    Ok(bytes)
}

/// The same as text.
///
/// # Errors
/// As of [`bytes`], or that it is not UTF-8.
pub(super) fn text(file: &Path) -> io::Result<String> {
    String::from_utf8(bytes(file)?).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_read_and_one_without_a_writer_does_not_hold_anybody_up() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = |name: &str| {
            let path = dir.path().join(name);
            assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
            path
        };
        let (alone, path) = (pipe("alone"), pipe("x"));
        let writer = path.clone();
        let writing = std::thread::spawn(move || std::fs::write(writer, "here"));
        assert_eq!(text(&path).unwrap(), "here");
        writing.join().unwrap().unwrap();
        assert_eq!(bytes(&alone).unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_file_beyond_all_bounds_is_refused_and_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        // A hole: nothing is on the disk.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(bytes(&path).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        #[cfg(target_os = "linux")]
        assert_eq!(bytes(Path::new("/dev/zero")).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        std::fs::write(&path, "A = 1").unwrap();
        assert_eq!(text(&path).unwrap(), "A = 1");
        std::fs::write(&path, b"\xE9").unwrap();
        assert_eq!(text(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
