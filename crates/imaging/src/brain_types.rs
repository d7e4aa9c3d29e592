//! What a brain is found in, what is found, and why none was.

use ndarray::Array3;

/// What kind of image the brain is looked for in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contrast {
    /// White matter brightest, CSF dark, scalp and marrow bright.
    T1w,
    /// Echo-planar (T2*) mean or reference volume: CSF brightest, scalp and skull dark.
    Bold,
}

/// A brain mask and what explains it.
#[derive(Clone, Debug)]
pub struct Brain {
    /// 1 in the brain, of the image's shape.
    pub mask: Array3<u8>,
    /// Volume of the mask in ml.
    pub volume_ml: f64,
    /// How the mask was found, in a word or two.
    pub method: &'static str,
    /// The image had no head around the brain: its non-zero voxels are the mask.
    pub already_stripped: bool,
    /// Where the surface started, `[x, y, z]` in mm from the outer corner of the first voxel; none for a stripped image.
    pub centre_mm: Option<[f64; 3]>,
    /// Where between background and the bright level beneath it the surface took the brain's edge to be, 0 to 1; none for a
    /// stripped image.
    pub edge_fraction: Option<f64>,
    /// The intensity that parts tissue from CSF (T1w) or from surroundings (Bold), as a share of the local tissue level;
    /// none for a stripped image.
    pub tissue_threshold: Option<f64>,
}

/// Why no brain was found.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BrainError {
    /// Voxel sizes or shape cannot be those of a volume.
    #[error("a volume of shape {shape:?} with voxels of {voxel_mm:?} mm cannot hold a brain; check the header")]
    Unusable {
        /// Shape (nz, ny, nx).
        shape: [usize; 3],
        /// Voxel sizes `[dz, dy, dx]`.
        voxel_mm: [f64; 3],
    },
    /// No body of a head's size stands out of the background.
    #[error("nothing of the size of a head stands out of the background; look at the field of view and the contrast")]
    NoHead,
    /// The tissue inside the surface could not be described.
    #[error("the surface closed on too little tissue to describe it; look at the field of view and the contrast")]
    NoTissue,
    /// The mask is not of a brain's size.
    #[error(
        "the mask found has {volume_ml:.0} ml, a human brain 300 to 2500 ml; look at the scan, it may not be a head"
    )]
    Volume {
        /// Volume of the mask in ml.
        volume_ml: f64,
    },
    /// The inside of the mask is too even for a brain.
    #[error("the inside of the mask varies by only {percent:.1} %, which no brain does; it may be a test object")]
    Uniform {
        /// Relative spread of intensity in percent.
        percent: f64,
    },
    /// The mask does not end where the image changes.
    #[error("the image just outside the mask is at {percent:.0} % of its inside; there is no edge of a brain")]
    NoEdge {
        /// Level outside as a percentage of the level inside.
        percent: f64,
    },
}
