//! Brain extraction: the mask of brain tissue, ventricles and sulci of a T1w volume or a reference EPI volume.
//!
//! No template, no weights: a deformable surface finds the brain on a 2 mm copy (`brain_evolve`: BET,
//! Smith 2002), a quadratic field makes tissue even, the surface settles again on the even image, and the mask takes its
//! edge from the tissue near it at full resolution. What cannot be a brain is refused rather than masked.

use ndarray::{Array3, ArrayView3, CowArray, Ix3};

use crate::brain_check::{already_stripped, check_brain};
use crate::brain_fit::{Fitted, fit};
use crate::brain_locate::{Head, locate, relative_noise};
use crate::brain_refine::refine;
use crate::filter::{par_count, shrink};

/// Edge in mm of the voxels the surface moves in.
const WORKING_MM: f64 = 2.0;

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

/// Finds the brain in a RAS+ volume (nz, ny, nx) of raw intensities with voxels of `[dz, dy, dx]` mm.
///
/// An image whose background is exactly zero and whose rest has the size of a brain is taken as stripped already. Values
/// that are not finite count as 0. The result is the same at any number of threads.
///
/// # Errors
/// [`BrainError`] when there is no head, or what was found is not of the size, unevenness and outline of a brain.
pub fn extract_brain(image: ArrayView3<f32>, voxel_mm: [f64; 3], contrast: Contrast) -> Result<Brain, BrainError> {
    let shape = [image.dim().0, image.dim().1, image.dim().2];
    let usable = |(&n, &d): (&usize, &f64)| n >= 4 && d.is_finite() && d > 0.05 && n as f64 * d > 40.0;
    if !shape.iter().zip(&voxel_mm).all(usable) {
        return Err(BrainError::Unusable { shape, voxel_mm });
    }
    let image: CowArray<f32, Ix3> = if par_count(image, |v| !v.is_finite()) == 0 {
        image.into()
    } else {
        image.mapv(|v| if v.is_finite() { v } else { 0.0 }).into()
    };
    if let Some(mask) = already_stripped(image.view(), voxel_mm) {
        return Ok(brain(mask, voxel_mm, None));
    }
    let factor = voxel_mm.map(|d| ((WORKING_MM / d + 0.05) as usize).max(1));
    let small = shrink(image.view(), factor);
    let size = [0, 1, 2].map(|a| voxel_mm[a] * factor[a] as f64);
    let head = locate(small.view(), size).ok_or(BrainError::NoHead)?;
    let noise = relative_noise(image.view(), voxel_mm, &head);
    let fitted = fit(&small, size, head, contrast, noise).ok_or(BrainError::NoTissue)?;
    let mask = refine(image.view(), voxel_mm, &fitted.mesh, &fitted.field, fitted.edge);
    let found = brain(mask, voxel_mm, Some((head, &fitted)));
    check_brain(fitted.even.view(), size, factor, &found)?;
    Ok(found)
}

fn brain(mask: Array3<u8>, voxel_mm: [f64; 3], surface: Option<(Head, &Fitted)>) -> Brain {
    let voxels = par_count(mask.view(), |&v| v != 0);
    let volume_ml = voxels as f64 * voxel_mm.iter().product::<f64>() / 1000.0;
    Brain {
        mask,
        volume_ml,
        method: if surface.is_some() { "surface and tissue" } else { "non-zero voxels" },
        already_stripped: surface.is_none(),
        centre_mm: surface.map(|(head, _)| head.centre),
        edge_fraction: surface.map(|(_, fitted)| fitted.fraction),
        tissue_threshold: surface.map(|(_, fitted)| f64::from(fitted.edge.tissue[0])),
    }
}
