//! What brain extraction returns: the mask and what explains it, or why there is none.

use ndarray::Array3;

use crate::brain_belief::{Belief, Looks};
use crate::brain_doubt::Doubt;
use crate::brain_input::Background;
use crate::registration::head::HeadFit;

/// What kind of image the brain is looked for in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contrast {
    /// White matter brightest, CSF dark, scalp and marrow bright.
    T1w,
    /// Echo-planar (T2*) mean or reference volume: CSF brightest, scalp and skull dark.
    Bold,
}

/// How a mask was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The template's mask, carried over by an affine map and a warp.
    Template,
    /// A surface and the tissue under it, kept near the template's mask.
    SurfaceNearTemplate,
    /// A surface and the tissue under it.
    Surface,
    /// The image had no head around its brain: what is not background is the mask.
    Background,
}

impl Method {
    /// In a word or two.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Template => "template",
            Self::SurfaceNearTemplate => "surface near template",
            Self::Surface => "surface and tissue",
            Self::Background => "background",
        }
    }
}

/// A brain mask and what explains it.
#[derive(Clone, Debug)]
pub struct Brain {
    /// 1 in the brain, of the image's shape.
    pub mask: Array3<u8>,
    /// Volume of the mask in ml.
    pub volume_ml: f64,
    /// How the mask was made.
    pub method: Method,
    /// The background of an image that was stripped before; none where there is a head.
    pub already_stripped: Option<Background>,
    /// Where the template's head lies in the scan, and how well it fits.
    pub head: Option<HeadFit>,
    /// How much scan and template look alike inside the brain.
    pub belief: Option<Belief>,
    /// Overlap (Dice) of the mask with the carried brain, where the mask was made without it.
    pub overlap: Option<f64>,
    /// The distance in mm from the template's surface at which the mask was cut.
    pub threshold_mm: Option<f64>,
    /// Level just outside the template's brain in percent of that just inside.
    pub edge_percent: Option<f64>,
    /// Where between background and the bright level beneath it a surface took the brain's edge to be, 0 to 1.
    pub edge_fraction: Option<f64>,
    /// The intensity that parts tissue from CSF (T1w) or from surroundings (Bold), as a share of the local tissue level.
    pub tissue_threshold: Option<f64>,
    /// What makes the mask implausible; empty for a plain success.
    pub doubts: Vec<Doubt>,
}

/// Why no brain was found.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BrainError {
    /// Voxel sizes or shape cannot be those of a volume.
    #[error(
        "a volume of {} x {} x {} voxels of {:.2} x {:.2} x {:.2} mm cannot hold a brain; check the header and the field of view",
        shape[2], shape[1], shape[0], voxel_mm[2], voxel_mm[1], voxel_mm[0]
    )]
    Unusable {
        /// Shape (nz, ny, nx).
        shape: [usize; 3],
        /// Voxel sizes `[dz, dy, dx]`.
        voxel_mm: [f64; 3],
    },
    /// All voxels have the same value, or none is a number.
    #[error("all voxels have one value or none; there is nothing to see, check how the image was made")]
    Constant,
    /// No body of a head's size stands out of the background.
    #[error("nothing of the size of a head stands out of the background; look at the field of view and the contrast")]
    NoHead,
    /// The image does not look like the head of the asked contrast.
    #[error(
        "this is no head with T1 contrast: inside the brain it resembles the template by {local:.2} (T1w heads .65 to .97), \
         and the image {}; check its suffix",
        looks.sentence()
    )]
    NotT1w {
        /// Mean local correlation.
        local: f64,
        /// What it looks like.
        looks: Looks,
    },
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
}
