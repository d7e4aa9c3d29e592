//! What a file was when it was read: size, time, and a hash of its bytes, taken while they pass on their way to the voxels.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;
use xxhash_rust::xxh3::Xxh3Default;

/// Identifies the content of a file, wherever it lies and whatever it is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Size in bytes.
    pub bytes: u64,
    /// Modification time, as exact as the file system has it.
    pub modified: Option<Timestamp>,
    /// XXH3 of all bytes of the file as it is stored, 128 bits as 32 hexadecimal digits.
    pub xxh3: String,
}

impl Fingerprint {
    /// Reads a whole file for its fingerprint, holding little of it in memory.
    ///
    /// # Errors
    /// What the system says.
    pub fn of(path: &Path) -> io::Result<Self> {
        let mut file = Watched::new(File::open(path)?)?;
        io::copy(&mut file, &mut io::sink())?;
        Ok(file.fingerprint())
    }
}

/// The modification time of a file, where it has one that can be said.
#[must_use]
pub fn modified(meta: &Metadata) -> Option<Timestamp> {
    Timestamp::try_from(meta.modified().ok()?).ok()
}

/// A file that takes note of what is read from it, from begin to end.
pub(crate) struct Watched {
    file: File,
    bytes: u64,
    modified: Option<Timestamp>,
    hash: Box<Xxh3Default>,
}

impl Watched {
    /// Size and time are those of now: a file that changes while it is read has another time afterwards.
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let meta = file.metadata()?;
        Ok(Self { bytes: meta.len(), modified: modified(&meta), file, hash: Box::default() })
    }

    /// The fingerprint, once the file has been read to its end.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let xxh3 = format!("{:032x}", self.hash.digest128());
        Fingerprint { bytes: self.bytes, modified: self.modified, xxh3 }
    }
}

impl Read for Watched {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let got = self.file.read(into)?;
        self.hash.update(into.get(..got).unwrap_or_default());
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_of_the_content_only() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&a, b"abc").unwrap();
        std::fs::write(&b, b"abc").unwrap();
        let print = Fingerprint::of(&a).unwrap();
        // The value of the reference implementation: `printf abc | xxhsum -H2`.
        assert_eq!((print.bytes, print.xxh3.as_str()), (3, "06b05ab6733a618578af5f94892f3950"));
        assert_eq!(Fingerprint::of(&b).unwrap().xxh3, print.xxh3);
        std::fs::write(&b, b"abd").unwrap();
        assert_ne!(Fingerprint::of(&b).unwrap().xxh3, print.xxh3);
    }
}
