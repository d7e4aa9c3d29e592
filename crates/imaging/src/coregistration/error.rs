//! Why two images cannot be brought together, and what to do.

use thiserror::Error;

use super::{FEWEST_POINTS, LEAST_SHARE};

/// Why there is no coregistration.
#[derive(Debug, Error, PartialEq)]
pub enum CoregisterError {
    /// The maps of the tissues differ in shape.
    #[error("coregistration: the maps of the tissues have shapes {shapes:?}; make all three on one grid")]
    Shape {
        /// Shapes (z, y, x) of the maps of CSF, grey and white matter.
        shapes: [(usize, usize, usize); 3],
    },
    /// A matrix from voxels to millimetres cannot be inverted.
    #[error("coregistration: the affine matrix of the {what} image cannot be inverted; repair its header")]
    Affine {
        /// Whose matrix.
        what: &'static str,
    },
    /// There is hardly a border of white matter.
    #[error(
        "coregistration: the border of white matter has only {points} points, {FEWEST_POINTS} are needed; \
         check the tissue map of the T1w image"
    )]
    NoBoundary {
        /// Points that were found.
        points: usize,
    },
    /// The volume has no content.
    #[error("coregistration: the bold volume has no voxel above 0; check the reference volume")]
    Empty,
    /// From no start is enough of the head inside the volume.
    #[error(
        "coregistration: from no start is {:.0} % of the border of white matter inside the bold volume (best {:.0} %); \
         check that both scans are of one head and that their headers are right, or leave the bold scan in its own space",
        100.0 * LEAST_SHARE, 100.0 * share
    )]
    NotInView {
        /// Largest part of the points inside, 0 to 1.
        share: f64,
    },
}
