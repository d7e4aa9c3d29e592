//! Why the tissues cannot be told apart, and what to do.

use thiserror::Error;

use super::FEWEST;

/// Why there is no map of tissues.
#[derive(Debug, Error, PartialEq)]
pub enum SegmentationError {
    /// Image, mask and prior differ in shape.
    #[error("tissues: the {what} has shape {found:?}, the image {image:?}; make it on the grid of the image")]
    Shape {
        /// What has another shape.
        what: &'static str,
        /// Its shape (z, y, x); of arrays that differ among themselves that of the first.
        found: (usize, usize, usize),
        /// Shape of the image (z, y, x).
        image: (usize, usize, usize),
    },
    /// Voxel sizes are not positive numbers.
    #[error("tissues: voxel sizes {voxel_mm:?} mm must be positive; check the header of the image")]
    Sizes {
        /// Voxel sizes as given (z, y, x).
        voxel_mm: [f64; 3],
    },
    /// Too few voxels in the mask have a finite intensity.
    #[error("tissues: only {usable} voxels of the mask can be used, {FEWEST} are needed; check the brain mask")]
    TooFew {
        /// Voxels that could be used.
        usable: usize,
    },
    /// The intensities do not fall into three classes.
    #[error(
        "tissues: the brain does not show three classes of intensity (CSF, grey and white matter, from dark to bright); \
         check that the image is T1-weighted and corrected for bias, and that the mask holds the brain alone"
    )]
    NoClasses,
}
