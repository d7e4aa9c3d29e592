//! Why a distortion cannot be corrected, and what to do.

use thiserror::Error;

/// Why there is no field, no shift or no corrected image.
#[derive(Debug, Error, PartialEq)]
pub enum DistortionError {
    /// Two arrays that belong together differ in shape.
    #[error("distortion: the {what} has shape {found:?}, {expected:?} is needed; bring both onto one grid")]
    Shape {
        /// Which array.
        what: &'static str,
        /// Shape (z, y, x) that is needed.
        expected: [usize; 3],
        /// Shape (z, y, x) of the array.
        found: [usize; 3],
    },
    /// There are too few voxels along phase encoding to say anything of a shift.
    #[error("distortion: {voxels} voxels along phase encoding, {least} are needed; check the direction and the image")]
    TooSmall {
        /// Voxels along phase encoding.
        voxels: usize,
        /// How many are needed.
        least: usize,
    },
    /// The image has no content.
    #[error("distortion: the {what} has no voxel above 0; check the file")]
    Empty {
        /// Which image.
        what: &'static str,
    },
    /// Nothing in the magnitude image stands out from the background.
    #[error("distortion: no head is found in the magnitude image; check that it belongs to the fieldmap")]
    NoHead,
    /// The field has no finite value inside the head.
    #[error(
        "distortion: the field has no usable voxel inside the head; check that it and the magnitude image belong together"
    )]
    NoField,
    /// The phase image is constant.
    #[error("distortion: the phase image is the same everywhere; check the file")]
    FlatPhase,
    /// The echo times make no difference.
    #[error(
        "distortion: an echo time difference of {seconds} s is not usable; EchoTime1 and EchoTime2 are in seconds and differ"
    )]
    EchoTimes {
        /// The difference in seconds.
        seconds: f64,
    },
    /// Not a direction of phase encoding.
    #[error("distortion: '{text}' is no PhaseEncodingDirection; one of i, i-, j, j-, k, k- is needed")]
    Direction {
        /// What was given.
        text: String,
    },
    /// A readout time that cannot be.
    #[error("distortion: {field} = {seconds} s is not usable; it is in seconds, above 0 and at most {most}")]
    Readout {
        /// Which field of the sidecar.
        field: &'static str,
        /// Its value.
        seconds: f64,
        /// The largest value that is believed.
        most: f64,
    },
    /// Nothing says how long the readout took.
    #[error(
        "distortion: the readout time is not known; add TotalReadoutTime or EffectiveEchoSpacing to the sidecar \
         (Philips: WaterFatShift and MagneticFieldStrength)"
    )]
    NoReadout,
    /// Both images are distorted the same way.
    #[error("distortion: both images have phase encoding {direction}; a pair of opposite directions is needed")]
    SamePolarity {
        /// Their direction.
        direction: super::PhaseEncoding,
    },
    /// The images are distorted along different axes.
    #[error(
        "distortion: the images have phase encoding {first} and {second}; a pair along one axis, one with '-' and one \
         without, is needed"
    )]
    OtherAxis {
        /// Direction of the first image.
        first: super::PhaseEncoding,
        /// Direction of the second.
        second: super::PhaseEncoding,
    },
    /// A voxel size that cannot be.
    #[error("distortion: voxel sizes {mm:?} mm are not usable; repair the header")]
    VoxelSize {
        /// Sizes (z, y, x) in mm.
        mm: [f64; 3],
    },
}

/// `Ok` where an array has the shape that is needed.
pub(super) fn same_shape<A>(
    what: &'static str,
    expected: (usize, usize, usize),
    found: &ndarray::ArrayView3<A>,
) -> Result<(), DistortionError> {
    let shape = |(z, y, x)| [z, y, x];
    if expected == found.dim() {
        return Ok(());
    }
    Err(DistortionError::Shape { what, expected: shape(expected), found: shape(found.dim()) })
}

/// `Ok` where every voxel size is a length.
pub(super) fn usable_voxels(mm: [f64; 3]) -> Result<(), DistortionError> {
    // A thousandth of a millimetre to a metre: beyond, the weights that follow from ratios lose their meaning.
    if mm.iter().all(|v| (1e-3..=1e3).contains(v)) { Ok(()) } else { Err(DistortionError::VoxelSize { mm }) }
}
