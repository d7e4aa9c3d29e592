//! Reads the files that a command line names, which people write by hand: a wrong one must not fill the memory.

use crate::files::SMALL;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The bytes of a file, a pipe or standard input.
///
/// # Errors
/// What the system says, or that there are too many.
pub(super) fn bytes(file: &Path) -> io::Result<Vec<u8>> {
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
