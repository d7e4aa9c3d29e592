//! Why a file was refused or could not be written: which file and what is wrong. What to do is part of a message only where it
//! depends on the file; the program has general advice for each kind of failure.

use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// The kind of rule that a header breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderFault {
    /// A field has a value that no header may have.
    Malformed,
    /// The extents are not those of an image that can be processed.
    Dimensions,
    /// Voxels of this type cannot be read.
    DataType,
    /// Where the voxels lie cannot be told.
    Orientation,
}

/// A scan that could not be read, or an image that could not be written.
#[derive(Debug, Error)]
pub enum NiftiError {
    /// There is nothing at this path.
    #[error("{}: {problem}", path.display())]
    Missing {
        /// The file asked for.
        path: PathBuf,
        /// What was found instead.
        problem: String,
    },
    /// The operating system would not let us read.
    #[error("{}: cannot be read ({source})", path.display())]
    Read {
        /// The file asked for.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A placeholder stands where the scan should be.
    #[error("{}: {problem}; fetch the content with: {command}", path.display())]
    NotMaterialised {
        /// The file asked for.
        path: PathBuf,
        /// What was found instead.
        problem: String,
        /// The command that fetches it.
        command: String,
    },
    /// Something other than a single-file NIfTI image.
    #[error("{}: {problem}; {action}", path.display())]
    NotNifti {
        /// The file asked for.
        path: PathBuf,
        /// What it is instead.
        problem: String,
        /// What to do.
        action: String,
    },
    /// The file ends too early.
    #[error("{}: {problem}", path.display())]
    Truncated {
        /// The file asked for.
        path: PathBuf,
        /// Where it ends, and where it should.
        problem: String,
    },
    /// Deflate or its checksum failed.
    #[error("{}: the gzip stream is damaged ({problem})", path.display())]
    CorruptGzip {
        /// The file asked for.
        path: PathBuf,
        /// What the decompressor said.
        problem: String,
    },
    /// Unknown bytes follow the image.
    #[error("{}: {problem}", path.display())]
    TrailingData {
        /// The file asked for.
        path: PathBuf,
        /// What follows.
        problem: String,
    },
    /// A header check refused the file.
    #[error("{}: {problem}; {action}", path.display())]
    Header {
        /// The file asked for.
        path: PathBuf,
        /// Which kind of rule it breaks.
        fault: HeaderFault,
        /// The field and its value.
        problem: String,
        /// What to do.
        action: String,
    },
    /// More than one voxel in a hundred is NaN or infinite, and they are no background.
    #[error("{}: {count} of {total} voxels are NaN or infinite (up to 1 % would be set to 0)", path.display())]
    NonFinite {
        /// The file asked for.
        path: PathBuf,
        /// How many are.
        count: usize,
        /// Out of how many.
        total: usize,
    },
    /// The image does not fit into memory.
    #[error("{}: {bytes} bytes of memory cannot be allocated", path.display())]
    Memory {
        /// The file asked for.
        path: PathBuf,
        /// What was asked of the allocator.
        bytes: u64,
    },
    /// The array to write does not fit the header, or an extent exceeds NIfTI-1's 32767: a caller's mistake.
    #[error("an image of shape {got:?} (t, z, y, x) cannot be written on the grid {grid:?} (z, y, x) as NIfTI-1")]
    Shape {
        /// The shape of the array.
        got: [usize; 4],
        /// The shape of the header's grid.
        grid: [usize; 3],
    },
    /// The output could not be written.
    #[error("the image cannot be written ({0})")]
    Write(#[from] io::Error),
}
