//! Why a warp could not be computed.

use thiserror::Error;

/// Why there is no warp.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum WarpError {
    /// Two volumes that must be on one grid are not.
    #[error("registration: {what} has shape {found:?}, {expected:?} was expected; resample it to that grid first")]
    Shape {
        /// Which volume.
        what: &'static str,
        /// Its shape (z, y, x).
        found: (usize, usize, usize),
        /// The shape it should have.
        expected: (usize, usize, usize),
    },
    /// A volume is too small to be registered.
    #[error("registration: {what} has shape {found:?}; at least {least} voxels along each axis are needed")]
    TooSmall {
        /// Which volume.
        what: &'static str,
        /// Its shape (z, y, x).
        found: (usize, usize, usize),
        /// Fewest voxels along an axis.
        least: usize,
    },
    /// A volume holds numbers that are not finite.
    #[error("registration: {what} holds values that are not finite; replace them, for example by 0, first")]
    NotFinite {
        /// Which volume.
        what: &'static str,
    },
    /// A mask is empty, or what it leaves is.
    #[error("registration: {what} is empty; check the mask and that the affine brings both images together")]
    Empty {
        /// Which mask.
        what: &'static str,
    },
    /// An image shows nothing: the same value everywhere.
    #[error("registration: {what} has no contrast; check that it is the right image")]
    NoContrast {
        /// Which image.
        what: &'static str,
    },
    /// An affine has no inverse, or holds numbers that are not finite.
    #[error("registration: the affine of {what} cannot be inverted; check the header")]
    Singular {
        /// Which affine.
        what: &'static str,
    },
    /// The template's voxels are not cubes along the axes.
    #[error(
        "registration: the template's voxels are {voxel_mm:?} mm (x, y, z) or turned; resample it to cubes along RAS+"
    )]
    NotCubic {
        /// Length of the three columns of its affine.
        voxel_mm: [f64; 3],
    },
    /// The peaks of the tissues are in the wrong order.
    #[error(
        "registration: grey matter at {grey} and white matter at {white} are no T1w contrast; check the image's contrast and \
         its tissue classes"
    )]
    Peaks {
        /// Peak of grey matter.
        grey: f64,
        /// Peak of white matter.
        white: f64,
    },
    /// A recipe asks for what cannot be done.
    #[error("registration: the recipe is wrong: {why}")]
    Recipe {
        /// What is wrong and what would be right.
        why: String,
    },
}
