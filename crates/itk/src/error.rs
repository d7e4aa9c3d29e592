//! Why a transform could not be written or read back: what is wrong with it, and what to do.

use std::io;
use thiserror::Error;

/// What to do about a file that is there but does not hold what it should.
const WRITE_AGAIN: &str = "remove the file and run again, or replace it by one that ITK or ANTs wrote";

/// A transform that could not be written or read. The path is the caller's to add.
#[derive(Debug, Error)]
pub enum ItkError {
    /// The operating system refused to read or write.
    #[error("the transform's file cannot be read or written ({0}); check free space, permissions and the disk")]
    Io(#[from] io::Error),
    /// The file is not HDF5, is damaged or cut short.
    #[error("the transform's file is not sound HDF5 ({0}); {WRITE_AGAIN}")]
    Hdf5(#[source] hdf5_pure::Error),
    /// The file is HDF5 or text, but not a transform as ITK writes it.
    #[error("the file is not an ITK transform of three dimensions: {0}; {WRITE_AGAIN}")]
    Layout(String),
    /// The file holds a transform of a kind that is not read here.
    #[error("the file holds a {kind}, and only affine transforms and displacement fields are read; {WRITE_AGAIN}")]
    Kind {
        /// ITK's name of it.
        kind: String,
    },
    /// The file announces more than it can hold, or than is allowed.
    #[error("the file announces {what}, which cannot be; {WRITE_AGAIN}")]
    TooLarge {
        /// What it announces.
        what: String,
    },
    /// A line of a text file cannot be understood.
    #[error("line {line}: {problem}; {WRITE_AGAIN}")]
    Text {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A number is NaN or infinite.
    #[error("{what} of the transform has a number that is NaN or infinite; the registration that made it failed")]
    NotFinite {
        /// Which part of the transform.
        what: &'static str,
    },
    /// A matrix flattens space.
    #[error("{what} of the transform has no inverse; check the orientation in the header of the scan it is for")]
    Singular {
        /// Which part of the transform.
        what: &'static str,
    },
    /// A field's array is not `(nz, ny, nx, 3)`, or empty: a caller's mistake.
    #[error("a displacement field of shape {0:?} cannot be written; it has to be (nz, ny, nx, 3)")]
    Shape([usize; 4]),
    /// There is no step to write.
    #[error("a transform without any step cannot be written")]
    Empty,
    /// The field does not fit into memory.
    #[error("{bytes} bytes of memory for a displacement field cannot be had; run on a larger node")]
    Memory {
        /// What was asked of the allocator.
        bytes: usize,
    },
}

impl From<hdf5_pure::Error> for ItkError {
    fn from(error: hdf5_pure::Error) -> Self {
        match error {
            hdf5_pure::Error::Io(source) => Self::Io(source),
            other => Self::Hdf5(other),
        }
    }
}
