//! Reads and writes NIfTI images, in memory always in one orientation: RAS+, `[[t, k, j, i]]`, `f32`, scaled.
//!
//! The format is read here and not by a crate because what arrives in practice needs more than the ready-made readers
//! give: gzip in several members (bgzip), NIfTI-2, either byte order, `vox_offset`, NaN slopes; and a reader that never
//! fills a short file with zeros, never trusts a header's sizes and never hangs on a pipe. NIfTI-1 is written, because
//! every tool reads it.
//!
//! The way of a file: `open` (what is this file? gzip? which version?) → `raw` (the fields) → `checks` (a battery of
//! small ones: refuse, or repair and note) → `orientation` (affine, axes) → `header` → `read` (voxels). `write` goes
//! back: canonical arrays return to the axis order of the scan they came from, so that an output lies voxel on voxel on
//! its input.
//!
//! Sources: NIfTI-1.1 `nifti1.h` and NIfTI-2 `nifti2.h` (nifti.nimh.nih.gov); RFC 1951, RFC 1952 for deflate and gzip.

mod background;
mod checks;
mod dtype;
mod error;
mod facts;
mod fingerprint;
mod gather;
mod header;
mod matrix;
mod open;
mod orientation;
mod raw;
mod read;
mod series;
mod stream;
mod write;

pub use error::{HeaderFault, NiftiError};
pub use facts::facts;
pub use fingerprint::{Fingerprint, modified};
pub use header::{Grid, Header};
pub use orientation::Form;
pub use read::{Image, read, read_header};
pub use series::SeriesWriter;
pub use write::{Voxels, beyond, write};

use std::fmt;

/// Something odd in a file that did not stop it from being read, and what was done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// A stable short name, such as `qform_differs`; fit for a label.
    pub kind: &'static str,
    /// What is odd, with the values.
    pub problem: String,
    /// What was done about it.
    pub action: String,
}

impl Note {
    pub(crate) fn new(kind: &'static str, problem: impl Into<String>, action: impl Into<String>) -> Self {
        Self { kind, problem: problem.into(), action: action.into() }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.problem, self.action)
    }
}
